//! Container images made by hand, as folders, archives and answers of a registry.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Digest, Image};
use serde_json::{Value, json};

use crate::fixture::{Entry, program, tar};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How a layer is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packed {
    No,
    Gzip,
    Zstd,
}

/// An image: its blobs by digest, and the descriptor of its manifest.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifest: Value,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) configuration: Value,
}

impl Container {
    pub(crate) fn new(layers: &[(&[Entry<'_>], Packed)]) -> Self {
        let config = json!({"Env": ["PATH=/bin", "LANG=C"], "WorkingDir": "/work", "Labels": {"a": "b"}});
        Self::with(layers, "amd64", config)
    }

    pub(crate) fn with(layers: &[(&[Entry<'_>], Packed)], architecture: &str, config: Value) -> Self {
        let mut made = Self {
            blobs: BTreeMap::new(),
            manifest: Value::Null,
            layers: layers.iter().map(|(entries, _)| tar(entries)).collect(),
            configuration: Value::Null,
        };
        let diff_ids: Vec<String> = made.layers.iter().map(|layer| digest(layer)).collect();
        made.configuration = json!({
            "architecture": architecture, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let configuration = made.add(CONFIGURATION, made.configuration.to_string().into_bytes());
        let packed = made.layers.clone().into_iter().zip(layers);
        let layers: Vec<Value> = packed
            .map(|(layer, (_, how))| match how {
                Packed::No => made.add(LAYER, layer),
                Packed::Gzip => made.add(&format!("{LAYER}+gzip"), gzip(&layer)),
                Packed::Zstd => made.add(&format!("{LAYER}+zstd"), zstd(&layer)),
            })
            .collect();
        made.set_manifest(
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": layers}),
        );
        made
    }

    pub(crate) fn set_manifest(&mut self, manifest: Value) {
        self.manifest = self.add(MANIFEST, manifest.to_string().into_bytes());
    }

    /// Adds a blob and gives its descriptor.
    pub(crate) fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor = json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()});
        self.blobs.insert(digest(&bytes), bytes);
        descriptor
    }

    /// The document behind a descriptor.
    pub(crate) fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blobs[descriptor["digest"].as_str().unwrap()]).unwrap()
    }

    /// Writes OCI's layout, with these manifests in its index.
    pub(crate) fn write_layout(&self, folder: &Path, manifests: &[Value]) {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        for (digest, bytes) in &self.blobs {
            fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), bytes).unwrap();
        }
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        fs::write(folder.join("index.json"), index.to_string()).unwrap();
    }

    /// A folder with the layout.
    pub(crate) fn layout(&self, above: &Path) -> PathBuf {
        let folder = above.join("layout");
        self.write_layout(&folder, std::slice::from_ref(&self.manifest));
        folder
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    fs::write(&path, bytes).unwrap();
    let packed = Command::new("zstd").args(["-q", "-c"]).arg(path).output().unwrap();
    assert!(packed.status.success());
    packed.stdout
}

/// What the root of an image has at a path, by a program that is not ours.
pub(crate) fn cat(image: &Image, path: &str) -> Result<String, String> {
    let asked = Command::new(program("debugfs"))
        .args(["-R", &format!("cat {path}")])
        .arg(image.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    // The first line is the version.
    match said.lines().nth(1) {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(String::from_utf8_lossy(&asked.stdout).into_owned()),
    }
}
