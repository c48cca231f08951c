//! What tools said of scripts, kept for the next call: one file for each repository, with the scripts of its last call.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use workflow::lint::tools::Script;

use super::Remark;

/// The form of the files. Another one is not read.
const FORM: &str = "1";

/// The answers of the last call, and those of this one.
#[derive(Debug, Default)]
pub(super) struct Cache {
    path: Option<PathBuf>,
    known: HashMap<String, Vec<Remark>>,
    used: BTreeMap<String, Vec<Remark>>,
    changed: bool,
}

impl Cache {
    /// The cache of the repository at `root` in `folder`; an empty one that is not kept where there is no such folder.
    pub(super) fn open(folder: Option<&Path>, root: Option<&Path>) -> Self {
        let Some((folder, root)) = folder.zip(root) else { return Self::default() };
        let name = hash(&[FORM.as_bytes(), root.as_os_str().as_encoded_bytes()]);
        let path = folder.join("check").join(format!("{name}.json"));
        // What cannot be read is asked for again.
        let known = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path: Some(path), known: known.unwrap_or_default(), ..Self::default() }
    }

    pub(super) fn get(&mut self, key: &str) -> Option<Vec<Remark>> {
        let remarks = self.known.get(key).or_else(|| self.used.get(key))?.clone();
        self.used.insert(key.to_owned(), remarks.clone());
        Some(remarks)
    }

    pub(super) fn put(&mut self, key: String, remarks: Vec<Remark>) {
        self.changed = true;
        self.used.insert(key, remarks);
    }

    /// Writes what this call has used. That it cannot be written costs time only.
    pub(super) fn save(&mut self) {
        let Some(path) = self.path.as_deref().filter(|_| self.changed) else { return };
        let Ok(bytes) = serde_json::to_vec(&self.used) else { return };
        let Some(folder) = path.parent() else { return };
        let beside = path.with_extension(format!("{}", std::process::id()));
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&beside, bytes))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            drop(fs::remove_file(&beside));
        }
    }
}

/// What changes when a program is installed anew.
pub(super) fn identity(program: &Path) -> String {
    let place = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let of = |it: fs::Metadata| format!("{}-{}-{}", it.len(), it.mtime(), it.mtime_nsec());
    format!("{} {}", place.display(), fs::metadata(&place).map(of).unwrap_or_default())
}

/// The key of a script for a tool.
pub(super) fn key(identity: &str, script: &Script) -> String {
    let kind = format!("{:?} {}", script.language, script.ends_at_failure);
    hash(&[FORM.as_bytes(), identity.as_bytes(), kind.as_bytes(), script.written.text().as_bytes()])
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Cache, Remark};

    fn remark() -> Remark {
        Remark { start: (1, 2), end: (1, 3), message: "m".into(), advice: true, help: Some("h".into()) }
    }

    #[test]
    fn what_the_last_call_used_is_known() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let open = || Cache::open(Some(folder.path()), Some(Path::new("/repository")));
        let mut first = open();
        first.put("a".into(), vec![remark()]);
        first.put("b".into(), Vec::new());
        first.save();
        let mut second = open();
        assert_eq!(second.get("a"), Some(vec![remark()]));
        second.put("c".into(), Vec::new());
        second.save();
        let mut third = open();
        assert_eq!(
            (third.get("a"), third.get("b"), third.get("c")),
            (Some(vec![remark()]), None, Some(Vec::new()))
        );
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let mut cache = Cache::open(None, None);
        cache.put("a".into(), Vec::new());
        cache.save();
        assert_eq!(cache.get("a"), Some(Vec::new()));
    }
}
