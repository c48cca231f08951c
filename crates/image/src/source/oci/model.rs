//! The documents of the OCI image specification, and Docker's of the same form. Fields that nobody here needs are not read.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::OciError;
use crate::digest::Digest;
use crate::source::Root;
use crate::tree::Tree;

/// A reference to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: MediaType,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// What a blob is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct MediaType(pub(super) String);

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It comes from outside.
        let shown: String = self.0.chars().take(120).flat_map(char::escape_debug).collect();
        formatter.write_str(&shown)
    }
}

/// Types of documents that are read, as they are asked for.
pub(super) const DOCUMENTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const LAYERS: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

impl MediaType {
    pub(super) fn is_index(&self) -> bool {
        [DOCUMENTS[0], DOCUMENTS[2]].contains(&self.0.as_str())
    }

    pub(super) fn is_layer(&self) -> bool {
        LAYERS.contains(&self.0.as_str())
    }
}

impl Descriptor {
    /// A part of an image from a place that knows no types.
    pub(super) fn layer(digest: String, size: u64) -> Self {
        let media_type = MediaType(LAYERS[0].to_owned());
        Self { media_type, digest, size, annotations: BTreeMap::new(), platform: None }
    }

    /// The digest, of the one kind that every registry has.
    pub(super) fn sha256(&self) -> Result<Digest, OciError> {
        let digits = self.digest.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
        digits.ok_or_else(|| {
            let shown: String = self.digest.chars().take(100).flat_map(char::escape_debug).collect();
            OciError::Unsupported { reason: format!("`{shown}` is no digest of the kind sha256") }
        })
    }
}

/// A list of manifests, one for each platform.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

impl Index {
    /// The manifest for linux/amd64, or the only one where platforms are not named: then the configuration tells.
    pub(super) fn for_this_machine(&self) -> Result<&Descriptor, OciError> {
        let is_mine = |found: &&Descriptor| {
            found.platform.as_ref().is_some_and(|platform| {
                (platform.os.as_str(), platform.architecture.as_str()) == ("linux", "amd64")
            })
        };
        if let Some(found) = self.manifests.iter().find(is_mine) {
            return Ok(found);
        }
        match &self.manifests[..] {
            [only] if only.platform.is_none() => Ok(only),
            [] => Err(OciError::Unsupported { reason: "its index is empty".to_owned() }),
            others => {
                let names = others.iter().filter_map(|found| found.platform.as_ref());
                // Builders add entries for `unknown/unknown`, which are no images.
                let names = names.filter(|platform| platform.os != "unknown");
                let names: Vec<String> =
                    names.map(|platform| format!("{}/{}", platform.os, platform.architecture)).collect();
                if names.is_empty() {
                    let reason =
                        "its index has several images and does not say for which machines".to_owned();
                    return Err(OciError::Unsupported { reason });
                }
                let found: String = names.join(", ").chars().take(200).flat_map(char::escape_debug).collect();
                Err(OciError::Platform { found })
            }
        }
    }
}

/// What an image consists of.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// How an image is run.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    pub(super) architecture: String,
    pub(super) os: String,
    pub(super) rootfs: Layers,
    #[serde(default)]
    pub(super) config: Option<Settings>,
}

/// The digests of unpacked layers, the lowest first.
#[derive(Debug, Deserialize)]
pub(super) struct Layers {
    pub(super) diff_ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    working_dir: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Settings {
    /// A root with what is said here. An image that names no user, or root, leaves it to firedog who runs commands.
    pub(super) fn into_root(self, tree: Tree) -> Root {
        let pairs = self.env.unwrap_or_default();
        let pair =
            |pair: String| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut root = Root::new(tree, "oci".to_owned());
        root.environment = pairs.into_iter().filter_map(pair).collect();
        root.user =
            self.user.filter(|user| !matches!(user.as_str(), "" | "root" | "0" | "0:0" | "root:root"));
        root.working_directory = self.working_dir.filter(|folder| folder.starts_with('/') && folder != "/");
        root.labels = self.labels.unwrap_or_default();
        root
    }
}

/// The list of images in an archive of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) layers: Vec<String>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

impl Saved {
    /// Whether it is called so, with or without its registry and tag.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let tags = self.repo_tags.as_deref().unwrap_or_default();
        tags.iter().any(|tag| {
            tag == name || tag.rsplit_once(':').is_some_and(|(before, tag)| before == name || tag == name)
        })
    }
}
