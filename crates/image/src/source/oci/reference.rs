//! References to container images, as people write them: `debian`, `ghcr.io/owner/name:tag`, `localhost:5000/a@sha256:…`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::digest::Digest;

/// Longest part of a reference, as registries have it.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;
/// The registry of names without one, and where it is.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

/// Where a container image is.
#[derive(Debug, Clone)]
pub enum OciOrigin {
    /// In a registry.
    Registry {
        /// Which image.
        reference: OciReference,
        /// What the registry is told when it asks who this is.
        credentials: Option<Credentials>,
    },
    /// A folder in OCI's layout, or an archive of one or of `docker save`. `PATH:NAME` means the image of that name in it.
    Path(PathBuf),
}

/// A name and a secret for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or token.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The file in which Docker and Podman keep logins: `{"auths": {"REGISTRY": {"auth": "BASE64 OF USER:SECRET"}}}`. What else is in it is
/// not read.
#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    auth: Option<String>,
}

impl Credentials {
    /// The login for a registry in the text of Docker's `config.json`. One that a program of the desktop keeps is not found.
    ///
    /// # Errors
    ///
    /// When the text is not JSON of that form.
    pub fn find(text: &str, registry: &str) -> Result<Option<Self>, serde_json::Error> {
        let logins: Logins = serde_json::from_str(text)?;
        let names = match registry {
            DEFAULT_REGISTRY => &["https://index.docker.io/v1/", "index.docker.io", DEFAULT_REGISTRY][..],
            other => &[other],
        };
        let with_scheme = format!("https://{registry}");
        let found =
            names.iter().copied().chain([with_scheme.as_str()]).find_map(|name| logins.auths.get(name));
        Ok(found.and_then(|login| Self::decode(login.auth.as_deref()?)))
    }

    fn decode(text: &str) -> Option<Self> {
        let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (user, secret) = pair.split_once(':')?;
        Some(Self { user: user.to_owned(), secret: secret.to_owned() })
    }
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciReference {
    registry: String,
    repository: String,
    /// A tag, or a digest with `sha256:` before it.
    version: String,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no reference to a container image: {reason}")]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

impl OciReference {
    /// The registry's name, by which credentials are found: a host, perhaps with a port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// A tag, or a digest with `sha256:` before it.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The digest, where the reference names one.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.version.strip_prefix("sha256:")?.parse().ok()
    }

    /// Where the registry answers. Only one on this host is spoken to without encryption.
    pub(super) fn base(&self) -> String {
        let host = if self.registry == DEFAULT_REGISTRY { DEFAULT_REGISTRY_HOST } else { &self.registry };
        let scheme = if is_this_host(host) { "http" } else { "https" };
        format!("{scheme}://{host}")
    }
}

fn is_this_host(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for OciReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.version.starts_with("sha256:") { '@' } else { ':' };
        write!(formatter, "{}/{}{separator}{}", self.registry, self.repository, self.version)
    }
}

impl FromStr for OciReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let shown: String = text.chars().take(200).collect();
        let wrong = move |reason| ReferenceError { text: shown.clone(), reason };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon behind the last slash begins the tag; one before it is of a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag is none"));
        }
        let version = match (digest, tag) {
            (Some(digest), _) => {
                let digits = digest.strip_prefix("sha256:").and_then(|digits| digits.parse::<Digest>().ok());
                digits.ok_or_else(|| wrong("its digest is none of the kind sha256"))?;
                digest
            }
            (None, tag) => tag.unwrap_or("latest"),
        };
        let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            Some(_) => (DEFAULT_REGISTRY, name.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if !is_host(registry) {
            return Err(wrong("its registry is no host"));
        }
        if repository.len() > MAX_NAME || !repository.split('/').all(is_part) {
            return Err(wrong(
                "a name has lower-case letters, digits and single `.`, `_` and `-` between them",
            ));
        }
        Ok(Self { registry: registry.to_owned(), repository, version: version.to_owned() })
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= MAX_NAME
            && name.split('.').all(|part| {
                !part.is_empty()
                    && !part.starts_with('-')
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok()) && (is_name(name) || name == "[::1]")
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

/// Letters and digits, with separators only between them.
fn is_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(is_word) && part.bytes().last().is_some_and(is_word);
    ends && part.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte)) && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Credentials, OciReference};

    #[test]
    fn logins_are_found_by_registry() {
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}, "ghcr.io": {},
            "localhost:5000": {"auth": "bm8gY29sb24="}, "https://quay.io": {"auth": "YTpiOmM="}}, "credsStore": "x"}"#;
        let check = |registry: &str, expected: Option<(&str, &str)>| {
            let found = Credentials::find(text, registry).unwrap();
            let found = found.as_ref().map(|login| (login.user.as_str(), login.secret.as_str()));
            assert_eq!(found, expected, "{registry}");
        };
        check("docker.io", Some(("me", "secret")));
        check("quay.io", Some(("a", "b:c")));
        check("ghcr.io", None);
        check("localhost:5000", None);
        check("example.org", None);
        assert!(Credentials::find("7", "ghcr.io").is_err());
        assert_eq!(
            format!("{:?}", Credentials::find(text, "docker.io").unwrap().unwrap()),
            "Credentials { user: \"me\", .. }"
        );
    }

    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        let parsed = text.parse::<OciReference>();
        let parsed = match &parsed {
            Ok(reference) => Ok((reference.to_string(), reference.base())),
            Err(error) => Err(error.reason),
        };
        let expected = expected.map(|(reference, base)| (reference.to_owned(), base.to_owned()));
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let hub = "https://registry-1.docker.io";
        check("debian", Ok(("docker.io/library/debian:latest", hub)));
        check("debian:12-slim", Ok(("docker.io/library/debian:12-slim", hub)));
        check("index.docker.io/a/b", Ok(("docker.io/a/b:latest", hub)));
        check("owner/name:1.0", Ok(("docker.io/owner/name:1.0", hub)));
        check("ghcr.io/a/b/c", Ok(("ghcr.io/a/b/c:latest", "https://ghcr.io")));
        check("localhost:5000/a", Ok(("localhost:5000/a:latest", "http://localhost:5000")));
        check("127.0.0.1:80/a:b", Ok(("127.0.0.1:80/a:b", "http://127.0.0.1:80")));
        check("10.0.0.1:80/a:b", Ok(("10.0.0.1:80/a:b", "https://10.0.0.1:80")));
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("docker.io/library/a@{digest}");
        check(&format!("a:tag@{digest}"), Ok((&pinned, hub)));
    }

    #[test]
    fn what_no_registry_could_have_is_refused() {
        let name = "a name has lower-case letters, digits and single `.`, `_` and `-` between them";
        for text in ["", "A", "a//b", "a/../b", "-a", "a b", "https://a/b", "a?b", "a/b/", &"a".repeat(300)] {
            let parsed = text.parse::<OciReference>();
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
        check("Owner/name", Err(name));
        check("a:", Err("its tag is none"));
        check("a@sha256:12", Err("its digest is none of the kind sha256"));
        check("a@md5:12", Err("its digest is none of the kind sha256"));
        check("a..b/c", Err("its registry is no host"));
        check("host:99999/c", Err("its registry is no host"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_is_written_the_same(text in ".{0,60}") {
            if let Ok(reference) = text.parse::<OciReference>() {
                let written = reference.to_string();
                prop_assert_eq!(written.parse::<OciReference>(), Ok(reference));
                prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
