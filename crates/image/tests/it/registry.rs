//! Container images from a registry: one that answers only what the specification allows to ask.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use image::{BuildError, Credentials, Image, OciOrigin, RootOrigin};
use serde_json::json;

use crate::container::{Container, INDEX, MANIFEST, Packed, digest};
use crate::fixture::{Entry, Place, SHELL, told};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Anyone,
    Basic,
    /// With a token, which anyone gets.
    Token,
    /// With a token, which `me` with `secret` gets.
    PrivateToken,
}

#[derive(Clone)]
struct Registry {
    address: String,
    access: Access,
    container: Arc<Container>,
    /// What the manifest `tag` is: type and bytes.
    tagged: Arc<(String, Vec<u8>)>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Blobs are said to be elsewhere: there nobody must say a secret.
    redirects: bool,
    /// Answers are cut after so many bytes.
    cut: Option<usize>,
}

/// What was asked.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        });
        Some(Self { method, target, headers: headers.collect() })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Registry {
    fn start(container: &Container, access: Access) -> Self {
        let bytes = container.blobs[container.manifest["digest"].as_str().unwrap()].clone();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = Self {
            address: listener.local_addr().unwrap().to_string(),
            access,
            container: Arc::new(container.clone()),
            tagged: Arc::new((MANIFEST.to_owned(), bytes)),
            asked: Arc::default(),
            redirects: false,
            cut: None,
        };
        registry.serve(listener)
    }

    /// The same with a change, at another port.
    fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut registry = self.clone();
        registry.address = listener.local_addr().unwrap().to_string();
        registry.asked = Arc::default();
        change(&mut registry);
        registry.serve(listener)
    }

    fn serve(self, listener: TcpListener) -> Self {
        let registry = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(request) = Request::read(&stream) {
                    registry.asked.lock().unwrap().push(request.target.clone());
                    let answer = registry.answer(&request);
                    // A client that has seen enough is gone.
                    drop(registry.write(stream, answer));
                }
            }
        });
        self
    }

    fn write(&self, mut stream: TcpStream, (status, headers, body): Answer) -> std::io::Result<()> {
        let mut head =
            format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        let length = self.cut.map_or(body.len(), |cut| cut.min(body.len()));
        stream.write_all(&body[..length])
    }

    fn answer(&self, request: &Request) -> Answer {
        assert_eq!(request.method, "GET");
        let host =
            if request.target.starts_with("/elsewhere/") { self.elsewhere() } else { self.address.clone() };
        assert_eq!(request.header("host"), host);
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if path == "/token" {
            return self.token(request, query);
        }
        if let Some(digest) = path.strip_prefix("/elsewhere/") {
            return match self.container.blobs.get(digest) {
                Some(blob) if request.header("authorization").is_empty() => (200, Vec::new(), blob.clone()),
                _ => (400, Vec::new(), Vec::new()),
            };
        }
        if !self.may(request) {
            return self.challenge();
        }
        match path.strip_prefix("/v2/some/name/").and_then(|rest| rest.split_once('/')) {
            Some(("manifests", version)) => self.manifest(version, request.header("accept")),
            Some(("blobs", digest)) if self.redirects => (
                307,
                vec![("Location", format!("http://{}/elsewhere/{digest}", self.elsewhere()))],
                Vec::new(),
            ),
            Some(("blobs", digest)) => match self.container.blobs.get(digest) {
                Some(blob) => (200, Vec::new(), blob.clone()),
                None => not_found("BLOB_UNKNOWN"),
            },
            _ => not_found("NAME_UNKNOWN"),
        }
    }

    /// Another host, for who looks at names only.
    fn elsewhere(&self) -> String {
        self.address.replace("127.0.0.1", "localhost")
    }

    fn manifest(&self, version: &str, accept: &str) -> Answer {
        let (media_type, bytes) = match self.container.blobs.get(version) {
            Some(blob) => (MANIFEST, blob.clone()),
            None if version == "tag" => (self.tagged.0.as_str(), self.tagged.1.clone()),
            None => return not_found("MANIFEST_UNKNOWN"),
        };
        let is_wanted = accept.split(", ").any(|wanted| wanted == media_type) || media_type == "text/html";
        assert!(is_wanted, "{media_type} was not asked for: {accept}");
        (200, vec![("Content-Type", media_type.to_owned())], bytes)
    }

    fn may(&self, request: &Request) -> bool {
        let expected = match self.access {
            Access::Anyone => return true,
            Access::Basic => "Basic bWU6c2VjcmV0",
            Access::Token | Access::PrivateToken => "Bearer t.o-k_e=n",
        };
        request.header("authorization") == expected
    }

    fn challenge(&self) -> Answer {
        let challenge = match self.access {
            Access::Basic => "Basic realm=\"registry\"".to_owned(),
            _ => {
                let realm = format!("http://{}/token", self.address);
                format!(
                    "Bearer realm=\"{realm}\",service=\"the registry\",scope=\"repository:some/name:pull\""
                )
            }
        };
        let body = json!({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}).to_string();
        (401, vec![("WWW-Authenticate", challenge)], body.into_bytes())
    }

    fn token(&self, request: &Request, query: &str) -> Answer {
        assert_eq!(query, "scope=repository%3Asome%2Fname%3Apull&service=the%20registry");
        if self.access == Access::PrivateToken && request.header("authorization") != "Basic bWU6c2VjcmV0" {
            let body = json!({"errors": [{"code": "DENIED", "message": "wrong\u{1b} password"}]}).to_string();
            return (401, Vec::new(), body.into_bytes());
        }
        (200, Vec::new(), json!({"token": "t.o-k_e=n", "expires_in": 300}).to_string().into_bytes())
    }

    fn pull(&self, place: &Place, name: &str, credentials: bool) -> Result<Image, BuildError> {
        let reference = format!("{}/{name}", self.address).parse().unwrap();
        let credentials =
            credentials.then(|| Credentials { user: "me".to_owned(), secret: "secret".to_owned() });
        let recipe = place.recipe(RootOrigin::Oci(OciOrigin::Registry { reference, credentials }));
        place.store.build("test", &recipe, &|_| ())
    }
}

fn not_found(code: &str) -> Answer {
    (404, Vec::new(), json!({"errors": [{"code": code}]}).to_string().into_bytes())
}

fn container() -> Container {
    Container::new(&[(SHELL, Packed::Gzip), (&[Entry::File("etc/x", "1")], Packed::Gzip)])
}

#[test]
fn an_image_is_the_same_from_a_registry_and_from_files() {
    let place = Place::new();
    let container = container();
    let registry = Registry::start(&container, Access::Anyone);
    let pulled = registry.pull(&place, "some/name:tag", false).unwrap();
    let recipe = place.recipe(RootOrigin::Oci(OciOrigin::Path(container.layout(place.path()))));
    assert_eq!(pulled.digest(), place.store.build("other", &recipe, &|_| ()).unwrap().digest());
    let by_digest = format!("some/name@{}", container.manifest["digest"].as_str().unwrap());
    assert_eq!(registry.pull(&place, &by_digest, false).unwrap().digest(), pulled.digest());
}

#[test]
fn whoever_may_pull_says_who_it_is() {
    let place = Place::new();
    let container = container();
    for (access, credentials, expected) in [
        (Access::Anyone, false, None),
        (Access::Token, false, None),
        (Access::Token, true, None),
        (Access::Basic, true, None),
        (Access::PrivateToken, true, None),
        (Access::Basic, false, Some("it wants a name and a password")),
        (Access::PrivateToken, false, Some("wrong password (401)")),
    ] {
        let registry = Registry::start(&container, access);
        let pulled = registry.pull(&place, "some/name:tag", credentials);
        match expected {
            None => drop(pulled.unwrap()),
            Some(expected) => {
                let failed = told(&pulled.unwrap_err());
                assert_eq!(
                    failed,
                    format!("the registry `{}` refuses `some/name`: {expected}", registry.address)
                );
            }
        }
    }
}

#[test]
fn a_secret_does_not_follow_to_where_blobs_are() {
    let place = Place::new();
    let registry =
        Registry::start(&container(), Access::PrivateToken).changed(|registry| registry.redirects = true);
    registry.pull(&place, "some/name:tag", true).unwrap();
    let asked = registry.asked.lock().unwrap().clone();
    assert_eq!(
        asked
            .iter()
            .filter(|target| *target == "/token?scope=repository%3Asome%2Fname%3Apull&service=the%20registry")
            .count(),
        1
    );
}

#[test]
fn an_index_leads_to_the_manifest_for_this_machine() {
    let place = Place::new();
    let mut container = container();
    let expected = Registry::start(&container, Access::Anyone).pull(&place, "some/name:tag", false).unwrap();
    let mut mine = container.manifest.clone();
    mine["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "manifests": [mine]});
    let index = container.add(INDEX, index.to_string().into_bytes());
    let bytes = container.blobs.remove(index["digest"].as_str().unwrap()).unwrap();
    let registry = Registry::start(&container, Access::Token)
        .changed(|registry| registry.tagged = Arc::new((INDEX.to_owned(), bytes)));
    assert_eq!(registry.pull(&place, "some/name:tag", false).unwrap().digest(), expected.digest());
}

#[test]
fn answers_that_no_registry_should_give_are_errors() {
    let good = Registry::start(&container(), Access::Anyone);
    let check = |change: &dyn Fn(&mut Registry), name: &str, expected: &str| {
        let place = Place::new();
        let registry = good.changed(change);
        let failed = told(&registry.pull(&place, name, false).unwrap_err());
        let shown = failed.replace(&registry.address, "HERE");
        assert!(shown.contains(expected), "{shown}\n{expected}");
        assert_eq!(place.store.list().unwrap().len(), 0);
    };
    check(&|_| (), "some/name:other", "the registry `HERE` has no `HERE/some/name:other`");
    check(&|_| (), "other/name:tag", "the registry `HERE` has no `HERE/other/name:tag`");
    let absent = format!("some/name@{}", digest(b"absent"));
    check(&|_| (), &absent, "the registry `HERE` has no ");
    let html =
        |registry: &mut Registry| registry.tagged = Arc::new(("text/html".to_owned(), b"<html>".to_vec()));
    check(&html, "some/name:tag", "its manifest is of the type `text/html`");
    let nonsense =
        |registry: &mut Registry| registry.tagged = Arc::new((MANIFEST.to_owned(), b"{}".to_vec()));
    check(&nonsense, "some/name:tag", "the image's manifest cannot be understood");
    check(
        &|registry| registry.cut = Some(100),
        "some/name:tag",
        "cannot download `http://HERE/v2/some/name/manifests/tag`",
    );
    let endless =
        |registry: &mut Registry| registry.tagged = Arc::new((MANIFEST.to_owned(), vec![b' '; 5 << 20]));
    check(
        &endless,
        "some/name:tag",
        "cannot download `http://HERE/v2/some/name/manifests/tag`: file too large",
    );
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reference = format!("localhost:{port}/a:b").parse().unwrap();
    let recipe = place.recipe(RootOrigin::Oci(OciOrigin::Registry { reference, credentials: None }));
    let failed = told(&place.store.build("test", &recipe, &|_| ()).unwrap_err());
    assert!(
        failed.starts_with(&format!("cannot ask `http://localhost:{port}/v2/a/manifests/b`: ")),
        "{failed}"
    );
}
