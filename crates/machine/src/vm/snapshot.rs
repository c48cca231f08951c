//! The folder of a snapshot: what it holds, and whether it can be gone on from.
//!
//! ```text
//! snapshot.json   what it is of, and how long the files are; written last
//! devices         the state of the devices, and where there is no file for it the memory
//! memory          the memory, as long as the machine's, with holes
//! disk            the machine's own disk, with holes
//! ```
//!
//! The folder is made under another name and renamed when it is whole. Nothing in it is ever written to again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk;
use crate::backend::{BackendName, BootError, SnapshotError, SnapshotSize};
use crate::spec::Size;

/// The version of the folder's layout and of the machines' devices; another's snapshots are refused.
pub const VERSION: u32 = 1;

/// Longest description, in bytes.
const MAX_MANIFEST: u64 = 64 * 1024;

/// The names of the files.
pub(crate) const DEVICES: &str = "devices";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const DISK: &str = "disk";
const MANIFEST: &str = "snapshot.json";

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The backend's name.
    pub backend: String,
    /// The program that ran the machine, with its version, and what its processor was made by.
    pub program: String,
    /// The digest of the machine's image.
    pub image: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The repository's name, which the workspace's path has.
    pub repository: String,
    /// Whether the machine has a network device.
    pub has_network: bool,
    /// How long the file of the devices is, in bytes.
    pub devices_bytes: u64,
    /// How long the file of the memory is, where there is one.
    pub memory_bytes: Option<u64>,
    /// How long the file of the disk is.
    pub disk_bytes: u64,
}

/// Why a snapshot cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum Unusable {
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The description is none.
    #[error("`{}` is no description of a snapshot: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    /// It is of something else.
    #[error("it is of {what} `{theirs}`, and this is `{ours}`")]
    Other { what: &'static str, theirs: String, ours: String },
    /// A file is not as long as it was.
    #[error("`{}` is damaged: it has {found} bytes instead of {expected}", path.display())]
    Damaged { path: PathBuf, found: u64, expected: u64 },
}

/// What a snapshot must be of.
#[derive(Debug, Clone)]
pub(crate) struct Expected<'a> {
    pub(crate) backend: BackendName,
    pub(crate) program: &'a str,
    pub(crate) image: &'a str,
}

/// A snapshot that can be gone on from, with its files open for reading.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) devices: File,
    pub(crate) memory: Option<File>,
    pub(crate) disk: File,
}

/// Reads what a snapshot's folder says that it is.
pub fn read(folder: &Path) -> Result<Manifest, Unusable> {
    let path = folder.join(MANIFEST);
    let mut text = String::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_MANIFEST).read_to_string(&mut text))
        .map_err(|source| Unusable::Read { path: path.clone(), source })?;
    // The version first: what another's fields are is not known here.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let malformed =
        |error: serde_json::Error| Unusable::Malformed { path: path.clone(), message: error.to_string() };
    let Versioned { version } = serde_json::from_str(&text).map_err(malformed)?;
    if version != VERSION {
        let (theirs, ours) = (version.to_string(), VERSION.to_string());
        return Err(Unusable::Other { what: "version", theirs, ours });
    }
    serde_json::from_str(&text).map_err(malformed)
}

impl Snapshot {
    /// Opens the snapshot in a folder, unless it is damaged or of something else.
    pub(crate) fn open(folder: &Path, expected: &Expected<'_>) -> Result<Self, Unusable> {
        let manifest = read(folder)?;
        let backend = expected.backend.to_string();
        let pairs = [
            ("a machine of the backend", &manifest.backend, backend.as_str()),
            ("a machine by", &manifest.program, expected.program),
            ("the image", &manifest.image, expected.image),
        ];
        for (what, theirs, ours) in pairs {
            if theirs != ours {
                return Err(Unusable::Other { what, theirs: theirs.clone(), ours: ours.to_owned() });
            }
        }
        let open = |name: &str, expected: u64| {
            let path = folder.join(name);
            let file = File::open(&path).map_err(|source| Unusable::Read { path: path.clone(), source })?;
            let length =
                file.metadata().map_err(|source| Unusable::Read { path: path.clone(), source })?.len();
            if length == expected {
                Ok(file)
            } else {
                Err(Unusable::Damaged { path, found: length, expected })
            }
        };
        Ok(Self {
            devices: open(DEVICES, manifest.devices_bytes)?,
            memory: manifest.memory_bytes.map(|bytes| open(MEMORY, bytes)).transpose()?,
            disk: open(DISK, manifest.disk_bytes)?,
            manifest,
        })
    }

    /// Refuses a machine that would have a network device more or less than it had.
    pub(crate) fn check_network(&self, has_network: bool) -> Result<(), BootError> {
        if self.manifest.has_network == has_network {
            return Ok(());
        }
        let text = |has: bool| if has { "with a network device" } else { "without a network device" };
        let (theirs, ours) = (text(!has_network).to_owned(), text(has_network).to_owned());
        let source = Unusable::Other { what: "a machine", theirs, ours };
        Err(BootError::Snapshot { path: PathBuf::new(), source })
    }

    pub(crate) fn size(&self) -> Size {
        Size { vcpus: self.manifest.vcpus, memory_mib: self.manifest.memory_mib }
    }
}

/// A snapshot's folder while it is being made; removed unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: PathBuf,
    into: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    /// Makes the folder that will be `into`, which must not be there.
    pub(crate) fn create(into: &Path) -> Result<Self, SnapshotError> {
        let failed = |source| SnapshotError::Write { path: into.to_owned(), source };
        if fs::symlink_metadata(into).is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut name = into.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-unfinished", std::process::id()));
        let folder = into.with_file_name(name);
        if let Some(parent) = into.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::create_dir(&folder).map_err(failed)?;
        let unfinished = Self { folder, into: into.to_owned(), is_finished: false };
        fs::set_permissions(&unfinished.folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(unfinished)
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps what a file holds as one of the snapshot's. Programs of other users may read it, who cannot enter the folder.
    pub(crate) fn keep(&self, name: &str, from: &File) -> Result<u64, SnapshotError> {
        let path = self.path(name);
        let write = || {
            let file = disk::copy_to(from, &path)?;
            file.set_permissions(fs::Permissions::from_mode(0o444))?;
            disk::allocated(&file)
        };
        write().map_err(|source| SnapshotError::Write { path: path.clone(), source })
    }

    /// Writes the description and gives the folder its name.
    pub(crate) fn finish(mut self, manifest: &Manifest) -> Result<(), SnapshotError> {
        let path = self.path(MANIFEST);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SnapshotError::Write { path, source }
        };
        let text = serde_json::to_string_pretty(manifest).expect("a description is plain data");
        fs::write(&path, text).map_err(failed(&path))?;
        fs::rename(&self.folder, &self.into).map_err(failed(&self.into))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // What stays is under a name that nobody looks for.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What a snapshot takes, from what its files do.
pub(crate) fn size(devices: u64, memory: u64, disk: u64) -> SnapshotSize {
    SnapshotSize { memory: devices + memory, disk }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::{DEVICES, DISK, Expected, MEMORY, Manifest, Snapshot, Unfinished, VERSION};
    use crate::backend::BackendName;

    fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            backend: "qemu".to_owned(),
            program: "QEMU 10 (tcg)".to_owned(),
            image: "abc".to_owned(),
            vcpus: 1,
            memory_mib: 512,
            repository: "demo".to_owned(),
            has_network: false,
            devices_bytes: 3,
            memory_bytes: Some(4),
            disk_bytes: 5,
        }
    }

    fn make(into: &Path, manifest: &Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = Unfinished::create(into).unwrap();
        for (name, length) in [(DEVICES, 3), (MEMORY, 4), (DISK, 5)] {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; length]).unwrap();
            unfinished.keep(name, &File::open(path).unwrap()).unwrap();
        }
        unfinished.finish(manifest).unwrap();
    }

    /// What opening the snapshot says after a change to it.
    fn check(change: impl Fn(&Path, &mut Manifest), expected: Result<(), &str>) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("snapshot");
        let mut manifest = manifest();
        make(&folder, &manifest);
        change(&folder, &mut manifest);
        let path = folder.join("snapshot.json");
        if fs::read_to_string(&path).is_ok_and(|text| text.starts_with('{')) {
            fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
        }
        let ours = Expected { backend: BackendName::Qemu, program: "QEMU 10 (tcg)", image: "abc" };
        let opened = Snapshot::open(&folder, &ours).map(|_| ());
        let opened = opened.map_err(|error| error.to_string().replace(root.path().to_str().unwrap(), ""));
        assert_eq!(opened, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_snapshot_of_something_else_or_a_damaged_one_is_refused() {
        check(|_, _| {}, Ok(()));
        check(|_, manifest| manifest.version = 99, Err("it is of version `99`, and this is `1`"));
        let other = "it is of the image `abd`, and this is `abc`";
        check(|_, manifest| manifest.image = "abd".to_owned(), Err(other));
        let other = "it is of a machine of the backend `firecracker`, and this is `qemu`";
        check(|_, manifest| manifest.backend = "firecracker".to_owned(), Err(other));
        let other = "it is of a machine by `QEMU 7 (tcg)`, and this is `QEMU 10 (tcg)`";
        check(|_, manifest| manifest.program = "QEMU 7 (tcg)".to_owned(), Err(other));
        let damaged = "`/snapshot/memory` is damaged: it has 4 bytes instead of 7";
        check(|_, manifest| manifest.memory_bytes = Some(7), Err(damaged));
        check(
            |folder, _| fs::remove_file(folder.join(DISK)).unwrap(),
            Err("`/snapshot/disk` cannot be read"),
        );
        let none =
            "`/snapshot/snapshot.json` is no description of a snapshot: expected value at line 1 column 1";
        check(|folder, _| fs::write(folder.join("snapshot.json"), "x").unwrap(), Err(none));
    }

    #[test]
    fn one_that_is_not_finished_leaves_nothing_and_none_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("snapshot");
        drop(Unfinished::create(&folder).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        make(&folder, &manifest());
        assert!(Unfinished::create(&folder).is_err());
    }
}
