//! What is kept of folders, and what comes back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vault::{Seen, Vault, VaultError};

pub(crate) const PLENTY: u64 = 1 << 40;

pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("from")).unwrap();
        Self { folder }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.at("from").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn vault(&self, budget: u64) -> Vault {
        Vault::open(&self.at("vault"), budget).unwrap()
    }

    /// Keeps the folder as a checkpoint; returns how many bytes that added.
    pub(crate) fn keep(&self, vault: &Vault, id: &str, seen: &mut Seen) -> Result<u64, VaultError> {
        let mut draft = vault.begin(id)?;
        draft.capture("home", &self.at("from"), seen, &|_| false)?;
        draft.write("state", b"{}")?;
        draft.publish()
    }

    /// Makes a folder of what is kept.
    pub(crate) fn restore(&self, vault: &Vault, id: &str, to: &str) -> Result<(), VaultError> {
        fs::create_dir_all(self.at(to)).unwrap();
        let kept = vault.get(id)?;
        for (_, tree) in kept.trees()? {
            kept.restore(&tree, &self.at(to))?;
        }
        Ok(())
    }
}

/// Each entry below a folder with all that is to come back of it.
fn describe(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if metadata.is_dir() {
                open.push(path.clone());
                String::new()
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let (mode, at) = (metadata.mode(), (metadata.mtime(), metadata.mtime_nsec()));
            all.push(format!("{name} {mode:o} {at:?} {content}"));
        }
    }
    all.sort();
    all
}

#[test]
fn what_is_kept_comes_back_as_it_was() {
    let place = Place::new();
    place.write("a/b/file", "text");
    place.write("empty", "");
    place.write("large", &"0123456789abcdef".repeat(600_000));
    place.write("script", "#!/bin/sh\n");
    fs::create_dir(place.at("from/folder")).unwrap();
    symlink("../outside", place.at("from/link")).unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(place.at("from").join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("script", 0o755);
    mode("a/b/file", 0o444);
    mode("a/b", 0o555);
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    place.restore(&vault, "run.1", "to").unwrap();
    assert_eq!(describe(&place.at("to")), describe(&place.at("from")));
    mode("a/b", 0o755);
    fs::set_permissions(place.at("to/a/b"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn only_what_changed_is_added() {
    let place = Place::new();
    for number in 0..100 {
        place.write(&format!("folder/file-{number}"), &number.to_string().repeat(1000));
    }
    let vault = place.vault(PLENTY);
    let mut seen = Seen::default();
    let first = place.keep(&vault, "run.1", &mut seen).unwrap();
    assert!(first > 100_000, "{first}");
    let same = place.keep(&vault, "run.2", &mut seen).unwrap();
    assert!(same < 200, "nothing changed: {same}");
    place.write("folder/file-7", "another");
    let changed = place.keep(&vault, "run.3", &mut seen).unwrap();
    assert!(changed < 30_000, "one file and its folder changed: {changed}");
    let anew = place.keep(&vault, "other.1", &mut Seen::default()).unwrap();
    assert!(anew < 200, "another run has the same files: {anew}");
    for (id, text) in [("run.1", "7".repeat(1000)), ("run.3", "another".to_owned())] {
        place.restore(&vault, id, id).unwrap();
        assert_eq!(fs::read_to_string(place.at(id).join("folder/file-7")).unwrap(), text);
    }
}

#[test]
fn a_change_that_leaves_time_and_size_as_they_were_is_seen() {
    let place = Place::new();
    place.write("file", "one");
    let vault = place.vault(PLENTY);
    let mut seen = Seen::default();
    place.keep(&vault, "run.1", &mut seen).unwrap();
    let path = place.at("from/file");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    place.keep(&vault, "run.2", &mut seen).unwrap();
    place.restore(&vault, "run.2", "to").unwrap();
    assert_eq!(fs::read_to_string(place.at("to/file")).unwrap(), "two");
}

#[test]
fn links_are_not_followed_in_either_direction() {
    let place = Place::new();
    fs::create_dir(place.at("outside")).unwrap();
    fs::write(place.at("outside/theirs"), "theirs").unwrap();
    place.write("folder/theirs", "mine");
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    fs::create_dir(place.at("to")).unwrap();
    symlink(place.at("outside"), place.at("to/folder")).unwrap();
    assert!(place.restore(&vault, "run.1", "to").is_err());
    assert_eq!(fs::read_to_string(place.at("outside/theirs")).unwrap(), "theirs");
    fs::rename(place.at("from"), place.at("moved")).unwrap();
    symlink(place.at("moved"), place.at("from")).unwrap();
    let refused = place.keep(&vault, "run.2", &mut Seen::default());
    assert!(matches!(refused, Err(VaultError::NotAFolder(_))), "{refused:?}");
}

#[test]
fn sockets_and_pipes_are_left_out_and_counted() {
    let place = Place::new();
    place.write("file", "text");
    let _socket = std::os::unix::net::UnixListener::bind(place.at("from/socket")).unwrap();
    let vault = place.vault(PLENTY);
    let mut draft = vault.begin("run.1").unwrap();
    let captured = draft.capture("home", &place.at("from"), &mut Seen::default(), &|_| false).unwrap();
    assert_eq!(captured.left_out, 1);
    draft.publish().unwrap();
    place.restore(&vault, "run.1", "to").unwrap();
    assert!(!place.at("to/socket").exists() && place.at("to/file").exists());
}

#[test]
fn what_is_to_be_left_out_is_not_kept() {
    let place = Place::new();
    for name in ["temp/1.sh", "temp/file", "deep/temp/1.sh"] {
        place.write(name, name);
    }
    let vault = place.vault(PLENTY);
    let mut draft = vault.begin("run.1").unwrap();
    let leave_out = |path: &Path| path == Path::new("temp/1.sh");
    draft.capture("home", &place.at("from"), &mut Seen::default(), &leave_out).unwrap();
    draft.publish().unwrap();
    place.restore(&vault, "run.1", "to").unwrap();
    let is_there = |name: &str| place.at("to").join(name).exists();
    assert_eq!(["temp/1.sh", "temp/file", "deep/temp/1.sh"].map(is_there), [false, true, true]);
}

#[test]
fn what_is_damaged_is_not_restored() {
    let place = Place::new();
    place.write("file", "text");
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    let mut chunks = Vec::new();
    for folder in fs::read_dir(place.at("vault/chunks")).unwrap() {
        chunks.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    let text = chunks.iter().find(|path| fs::read(path).unwrap() == b"text").unwrap();
    fs::write(text, "tixt").unwrap();
    let damaged = place.restore(&vault, "run.1", "to");
    assert!(matches!(damaged, Err(VaultError::Damaged { .. })), "{damaged:?}");
    fs::remove_file(text).unwrap();
    let damaged = place.restore(&vault, "run.1", "again");
    assert!(matches!(damaged, Err(VaultError::Damaged { .. })), "{damaged:?}");
}
