//! Asks a registry, as the OCI distribution specification has it: a manifest by tag or digest, blobs by digest.
//!
//! Invariants: nothing is believed that a digest can tell; a secret goes to the registry and to the server of tokens that the registry names
//! over an encrypted connection, and to nobody that these redirect to; answers and waiting have limits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::model::{DOCUMENTS, Descriptor, MediaType};
use super::reference::{Credentials, OciReference};
use super::{Blobs, First, MAX_DOCUMENT, OciError, file};
use crate::digest::Digest;
use crate::progress::{Progress, Reporter};

/// How long a registry may take to be reached, and to begin an answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// How long nothing may come of a blob.
const BODY_DEADLINE: Duration = Duration::from_secs(4 * 3600);
/// Longest answer of a server of tokens, and longest explanation of an error.
const MAX_TOKEN: u64 = 1 << 20;
const MAX_EXPLANATION: u64 = 64 << 10;
const MAX_REDIRECTS: u32 = 5;

/// Why a registry did not give an image.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There was no answer.
    #[error("cannot ask `{url}`")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It wants to know who asks, or does not like who asks.
    #[error("the registry `{registry}` refuses `{repository}`: {reason}")]
    Refused {
        /// The registry.
        registry: String,
        /// The image's name in it.
        repository: String,
        /// As far as the registry says why.
        reason: String,
    },
    /// It does not have it.
    #[error("the registry `{registry}` has no `{what}`")]
    Missing {
        /// The registry.
        registry: String,
        /// The image or blob.
        what: String,
    },
    /// It answers what no registry should.
    #[error("`{url}` answers with an error: {reason}")]
    Answer {
        /// What was asked.
        url: String,
        /// What it says.
        reason: String,
    },
    /// The answer ended too early, or the file with it cannot be written.
    #[error("cannot download `{url}`")]
    Download {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A registry, asked for one image.
#[derive(Debug)]
pub(super) struct Registry {
    agent: Agent,
    reference: OciReference,
    credentials: Option<Credentials>,
    /// The header `Authorization`, once the registry has said what it wants.
    authorization: Mutex<Option<String>>,
}

impl Registry {
    pub(super) fn new(reference: OciReference, credentials: Option<Credentials>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .timeout_connect(Some(CONNECT_DEADLINE))
            .timeout_recv_response(Some(ANSWER_DEADLINE))
            .timeout_recv_body(Some(BODY_DEADLINE))
            .user_agent(concat!("firedog/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), reference, credentials, authorization: Mutex::new(None) }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.reference.base(), self.reference.repository())
    }

    /// Asks, and asks again with what the registry wants to know when it says so.
    fn get(&self, url: &str, accept: &str, what: &str) -> Result<Response<Body>, RegistryError> {
        let mut answer = self.ask(url, accept)?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let challenge =
                answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let authorization = self.authorize(challenge.unwrap_or_default())?;
            *self.authorization.lock().expect("nobody panics with it") = Some(authorization);
            answer = self.ask(url, accept)?;
        }
        let registry = || self.reference.registry().to_owned();
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => {
                Err(RegistryError::Missing { registry: registry(), what: what.to_owned() })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(&explanation(answer))),
            _ => Err(RegistryError::Answer { url: url.to_owned(), reason: explanation(answer) }),
        }
    }

    fn ask(&self, url: &str, accept: &str) -> Result<Response<Body>, RegistryError> {
        let mut request = self.agent.get(url).header(header::ACCEPT, accept);
        if let Some(authorization) = &*self.authorization.lock().expect("nobody panics with it") {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.call().map_err(|source| unreachable(url, source))
    }

    fn refused(&self, reason: &str) -> RegistryError {
        RegistryError::Refused {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn basic(&self) -> Option<String> {
        let Credentials { user, secret } = self.credentials.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))))
    }

    /// What to say to a challenge: a token that its server gives, or name and secret.
    fn authorize(&self, challenge: &str) -> Result<String, RegistryError> {
        let challenge = Challenge::parse(challenge)
            .ok_or_else(|| self.refused("it does not say what it wants to know"))?;
        let Challenge::Bearer { realm, service } = challenge else {
            return self.basic().ok_or_else(|| self.refused("it wants a name and a password"));
        };
        let is_same_host = realm.starts_with(&format!("{}/", self.reference.base()));
        if !realm.starts_with("https://") && !is_same_host {
            return Err(self.refused("it names a server of tokens whose connections are not encrypted"));
        }
        let scope = format!("repository:{}:pull", self.reference.repository());
        let mut request = self.agent.get(&realm).query("scope", &scope);
        if let Some(service) = &service {
            request = request.query("service", service);
        }
        if let Some(basic) = self.basic() {
            request = request.header(header::AUTHORIZATION, basic);
        }
        let mut answer = request.call().map_err(|source| unreachable(&realm, source))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(self.refused(&explanation(answer)));
            }
            _ => return Err(RegistryError::Answer { url: realm, reason: explanation(answer) }),
        }
        let wrong = || RegistryError::Answer { url: realm.clone(), reason: "it gives no token".to_owned() };
        let bytes = read(&mut answer, MAX_TOKEN).map_err(|_| wrong())?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        let token = token.token.or(token.access_token).ok_or_else(wrong)?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ok(format!("Bearer {token}"))
    }
}

fn unreachable(url: &str, source: ureq::Error) -> RegistryError {
    RegistryError::Unreachable { url: url.to_owned(), source: Box::new(source) }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What a registry says of its errors.
#[derive(Deserialize)]
struct Explanation {
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer says of itself, for people.
fn explanation(mut answer: Response<Body>) -> String {
    let status = answer.status();
    let bytes = read(&mut answer, MAX_EXPLANATION).unwrap_or_default();
    let problem =
        serde_json::from_slice::<Explanation>(&bytes).ok().and_then(|found| found.errors.into_iter().next());
    let text = match problem {
        Some(Problem { code, message }) if message.is_empty() => code,
        Some(Problem { message, .. }) => message,
        None => status.canonical_reason().unwrap_or("no reason").to_owned(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    format!("{text} ({})", status.as_u16())
}

fn read(answer: &mut Response<Body>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The header `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut rest) = (None, None, rest.trim_start());
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            match name.trim() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

impl Blobs for Registry {
    fn first(&self) -> Result<First, OciError> {
        let version = self.reference.version();
        let url = self.url(&format!("manifests/{version}"));
        let what = self.reference.to_string();
        let mut answer = self.get(&url, &DOCUMENTS.join(", "), &what)?;
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type =
            media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = read(&mut answer, MAX_DOCUMENT)
            .map_err(|source| RegistryError::Download { url: url.clone(), source })?;
        if !DOCUMENTS.contains(&media_type.as_str()) {
            let shown = MediaType(media_type);
            return Err(OciError::Unsupported { reason: format!("its manifest is of the type `{shown}`") });
        }
        if let Some(digest) = self.reference.digest()
            && Digest::of(&bytes) != digest
        {
            let reason = format!("its digest is sha256:{}", Digest::of(&bytes));
            return Err(OciError::Damaged { digest: version.to_owned(), reason });
        }
        Ok(First::Document { media_type: MediaType(media_type), bytes })
    }

    fn write(
        &self,
        descriptor: &Descriptor,
        to: &Path,
        limit: u64,
        report: Reporter<'_>,
    ) -> Result<(), OciError> {
        let digest = descriptor.sha256()?;
        let is_document = DOCUMENTS.contains(&descriptor.media_type.0.as_str());
        let kind = if is_document { "manifests" } else { "blobs" };
        let url = self.url(&format!("{kind}/sha256:{digest}"));
        let accept = if is_document { descriptor.media_type.0.as_str() } else { "*/*" };
        let what = format!("{}@sha256:{digest}", self.reference.repository());
        let mut answer = self.get(&url, accept, &what)?;
        let mut target = File::create(to).map_err(file("make", to))?;
        let mut from = answer.body_mut().as_reader().take(limit);
        let (mut buffer, mut done) = (vec![0; 256 << 10], 0);
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(RegistryError::Download { url, source }.into()),
            };
            target.write_all(&buffer[..count]).map_err(file("write", to))?;
            done += count as u64;
            report(Progress::Bytes { done, total: descriptor.size });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    fn check(text: &str, expected: Option<(&str, Option<&str>)>) {
        let expected = expected.map(|(realm, service)| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        });
        assert_eq!(Challenge::parse(text), expected, "{text}");
    }

    #[test]
    fn challenges_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b=c""#;
        check(hub, Some(("https://auth.docker.io/token", Some("registry.docker.io"))));
        check("bearer scope=x, realm=https://a/t", Some(("https://a/t", None)));
        check("Bearer service=\"a\"", None);
        check("Bearer realm=\"unfinished", None);
        check("Negotiate", None);
        check("", None);
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
    }
}
