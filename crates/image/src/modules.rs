//! Which kernel modules a machine needs before its root file system is there, and in which order they load.
//!
//! The order comes from the modules themselves: each names those that it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cpio::Archive;

/// The largest module that is read, in bytes.
const MAX_MODULE: u64 = 64 << 20;
/// How many files a folder of modules may have; Debian's cloud kernel has 800, its full one 4,000.
const MAX_FILES: usize = 100_000;

/// What every machine needs, of any kind: a disk, a channel to the host, and a writable layer over the root.
const NEEDED: &[&str] = &["virtio_blk", "virtio_console", "overlay", "ext4"];
/// What some kinds of machine need: two kinds of bus, two kinds of channel, network, entropy, memory given back.
const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_net",
    "virtio_rng",
    "virtio_balloon",
    "vmw_vsock_virtio_transport",
];

/// Why the modules of a kernel do not do.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The folder cannot be read.
    #[error("cannot read the kernel modules in `{folder}`")]
    Read {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A module that every machine needs is neither there nor part of the kernel.
    #[error(
        "the kernel has no `{name}`: neither a module `{name}.ko` in `{folder}`, nor a line in `modules.builtin` there"
    )]
    Missing {
        /// The module.
        name: &'static str,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A module needs another that is not there.
    #[error("the kernel module `{module}` needs `{needed}`, which is not in `{folder}`")]
    MissingDependency {
        /// The module.
        module: String,
        /// What it needs.
        needed: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A module is packed in a way that the agent in a guest cannot load.
    #[error("the kernel module `{path}` is compressed; unpack the modules first")]
    Compressed {
        /// The file.
        path: PathBuf,
    },
    /// Modules need each other in a circle, or a file is larger than any module.
    #[error("the kernel module `{module}` is damaged")]
    Damaged {
        /// The module.
        module: String,
    },
}

/// Modules in the order of loading: name without `.ko`, and content.
#[derive(Debug)]
pub(crate) struct Modules(Vec<(String, Vec<u8>)>);

impl Modules {
    /// Those that machines need, found anywhere below `folder` (`lib/modules/RELEASE` of a kernel's package).
    pub(crate) fn find(folder: &Path) -> Result<Self, ModulesError> {
        let index = Index::read(folder)?;
        let mut selection = Selection { index: &index, chosen: Vec::new(), seen: BTreeSet::new() };
        for name in WANTED {
            selection.add_if_there(name)?;
        }
        for name in NEEDED {
            let is_there = selection.add_if_there(name)?;
            if !is_there && !index.builtin.contains(*name) {
                return Err(ModulesError::Missing { name, folder: folder.to_owned() });
            }
        }
        Ok(Self(selection.chosen))
    }

    /// The names, in the order of loading.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The archive `modules.cpio`.
    pub(crate) fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = Archive::new(Vec::new());
        archive.folder("modules")?;
        let order: String = self.names().map(|name| format!("{name}\n")).collect();
        archive.file("modules/order", 0o644, order.as_bytes())?;
        for (name, content) in &self.0 {
            archive.file(&format!("modules/{name}.ko"), 0o644, content)?;
        }
        archive.finish()
    }
}

/// What a folder of modules has. Keys have `_` where a file's name may have `-`, as the kernel compares them.
struct Index {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Index {
    fn read(folder: &Path) -> Result<Self, ModulesError> {
        let failed = |source| ModulesError::Read { folder: folder.to_owned(), source };
        let mut index = Self { folder: folder.to_owned(), files: BTreeMap::new(), builtin: BTreeSet::new() };
        let mut pending = vec![folder.to_owned()];
        let mut count = 0;
        while let Some(current) = pending.pop() {
            for entry in fs::read_dir(&current).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                count += 1;
                if count > MAX_FILES {
                    return Err(failed(io::Error::other(format!("it has more than {MAX_FILES} files"))));
                }
                let kind = entry.file_type().map_err(failed)?;
                if kind.is_dir() {
                    pending.push(entry.path());
                } else if kind.is_file() {
                    index.add(&entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(index)
    }

    fn add(&mut self, path: &Path) -> io::Result<()> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        if name == "modules.builtin" {
            let text = fs::read_to_string(path)?;
            self.builtin.extend(text.lines().filter_map(|line| module_name(Path::new(line))));
        } else if let Some(name) = module_name(path) {
            self.files.insert(name, path.to_owned());
        }
        Ok(())
    }
}

/// The kernel's name of the module in a file: of `virtio-rng.ko` it is `virtio_rng`.
fn module_name(path: &Path) -> Option<String> {
    let (stem, extension) = path.file_name()?.to_str()?.split_once(".ko")?;
    matches!(extension, "" | ".xz" | ".zst" | ".gz").then(|| stem.replace('-', "_"))
}

struct Selection<'a> {
    index: &'a Index,
    chosen: Vec<(String, Vec<u8>)>,
    seen: BTreeSet<String>,
}

impl Selection<'_> {
    /// Adds a module after those that it needs. `false` where there is none of this name.
    fn add_if_there(&mut self, name: &str) -> Result<bool, ModulesError> {
        let name = name.replace('-', "_");
        let Some(path) = self.index.files.get(&name) else { return Ok(false) };
        if !self.seen.insert(name.clone()) {
            let is_done = self.chosen.iter().any(|(chosen, _)| *chosen == name);
            return if is_done { Ok(true) } else { Err(ModulesError::Damaged { module: name }) };
        }
        if path.extension().is_none_or(|extension| extension != "ko") {
            return Err(ModulesError::Compressed { path: path.clone() });
        }
        let failed = |source| ModulesError::Read { folder: self.index.folder.clone(), source };
        if fs::metadata(path).map_err(failed)?.len() > MAX_MODULE {
            return Err(ModulesError::Damaged { module: name });
        }
        let content = fs::read(path).map_err(failed)?;
        for needed in dependencies(&content) {
            if !self.add_if_there(&needed)? && !self.index.builtin.contains(&needed.replace('-', "_")) {
                let folder = self.index.folder.clone();
                return Err(ModulesError::MissingDependency { module: name, needed, folder });
            }
        }
        self.chosen.push((name, content));
        Ok(true)
    }
}

/// The modules that a module names in its information section, a list of `key=value` strings that end in a zero.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Modules;

    /// Modules by file name, with what they depend on, and the builtin ones.
    fn check(modules: &[(&str, &str)], builtin: &str, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("drivers")).unwrap();
        for (name, depends) in modules {
            let content = format!("\x7fELF...\0license=GPL\0depends={depends}\0retpoline=Y\0");
            std::fs::write(folder.path().join("drivers").join(name), content).unwrap();
        }
        std::fs::write(folder.path().join("modules.builtin"), builtin).unwrap();
        let found = Modules::find(folder.path())
            .map(|modules| modules.names().collect::<Vec<_>>().join(" "))
            .map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{found:?} is not {expected:?}"),
        }
    }

    const BUILTIN: &str =
        "kernel/fs/ext4/ext4.ko\nkernel/fs/overlayfs/overlay.ko\nkernel/virtio-console.ko\n";

    #[test]
    fn a_module_comes_after_those_that_it_needs() {
        let modules = [
            ("virtio_blk.ko", "virtio_ring,virtio"),
            ("virtio.ko", "virtio_ring"),
            ("virtio_ring.ko", ""),
            ("virtio-rng.ko", "virtio,virtio_ring"),
            ("joydev.ko", ""),
        ];
        check(&modules, BUILTIN, Ok("virtio_ring virtio virtio_rng virtio_blk"));
    }

    #[test]
    fn what_is_missing_is_named() {
        check(&[], BUILTIN, Err("the kernel has no `virtio_blk`"));
        check(&[("virtio_blk.ko", "virtio")], BUILTIN, Err("`virtio_blk` needs `virtio`"));
        check(&[("virtio_blk.ko", "ext4")], BUILTIN, Ok("virtio_blk"));
        check(&[("virtio_blk.ko.xz", "")], BUILTIN, Err("is compressed"));
        check(&[("virtio_blk.ko", "virtio"), ("virtio.ko", "virtio_blk")], BUILTIN, Err("damaged"));
    }
}
