//! Gets a kernel and its modules: from Debian's package, or from files that are here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::{KernelError, MAX_KERNEL, vmlinux};
use crate::modules::{Modules, ModulesError};
use crate::program::{Program, ProgramError};
use crate::progress::{Progress, Reporter};
use crate::recipe::KernelOrigin;

/// The package that depends on the kernel of the day.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelSourceError {
    /// A program of the host failed.
    #[error("cannot get Debian's kernel (`--kernel FILE --modules DIR` take one that is here)")]
    Program(#[from] ProgramError),
    /// The package is not as it was.
    #[error("Debian's kernel package is not as expected: {0}")]
    Package(&'static str),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no kernel.
    #[error("`{path}` is no kernel")]
    Kernel {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// The modules do not do.
    #[error(transparent)]
    Modules(#[from] ModulesError),
}

/// A kernel, unpacked.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    pub(crate) vmlinux: Vec<u8>,
    pub(crate) modules: Modules,
}

/// The kernel from `origin`; packages are fetched and unpacked in `folder`.
pub(crate) fn kernel(
    origin: &KernelOrigin,
    folder: &Path,
    report: Reporter<'_>,
) -> Result<Kernel, KernelSourceError> {
    let (file, modules) = match origin {
        KernelOrigin::Files { kernel, modules } => (kernel.clone(), modules.clone()),
        KernelOrigin::Debian => debian(folder, report)?,
    };
    let read = |source| KernelSourceError::Read { path: file.clone(), source };
    if fs::metadata(&file).map_err(read)?.len() > MAX_KERNEL as u64 {
        return Err(KernelSourceError::Kernel { path: file, source: KernelError::TooLarge });
    }
    let content = fs::read(&file).map_err(read)?;
    let vmlinux =
        vmlinux(content).map_err(|source| KernelSourceError::Kernel { path: file.clone(), source })?;
    let release = modules.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Ok(Kernel {
        release: release.ok_or(KernelSourceError::Package("the folder of the modules has no name"))?,
        vmlinux,
        modules: Modules::find(&modules)?,
    })
}

/// The kernel's file and the folder of its modules.
fn debian(folder: &Path, report: Reporter<'_>) -> Result<(PathBuf, PathBuf), KernelSourceError> {
    const LIMIT: u64 = 1 << 20;
    report(Progress::Stage("fetching the kernel"));
    let text = Program::new("apt-cache", "apt").arguments(["depends", META_PACKAGE]).output(LIMIT)?;
    let text = String::from_utf8_lossy(&text);
    let package = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .ok_or(KernelSourceError::Package("its meta package names no kernel"))?;
    let folder = folder.join("kernel");
    let read = |source| KernelSourceError::Read { path: folder.clone(), source };
    fs::create_dir(&folder).map_err(read)?;
    Program::new("apt-get", "apt")
        .arguments(["download", "-q", package])
        .folder(&folder)
        .standard_output(std::process::Stdio::null())
        .run(report)?;
    let file = only_entry(&folder).map_err(read)?;
    let root = folder.join("root");
    Program::new("dpkg-deb", "dpkg").arguments([Path::new("--extract"), &file, &root]).run(report)?;
    let release = only_entry(&root.join("lib/modules")).map_err(read)?;
    let name = release.file_name().expect("an entry has a name").to_string_lossy().into_owned();
    Ok((root.join("boot").join(format!("vmlinuz-{name}")), release))
}

fn only_entry(folder: &Path) -> io::Result<PathBuf> {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    match &entries[..] {
        [entry] => Ok(entry.clone()),
        _ => Err(io::Error::other(format!("it has {} entries and should have one", entries.len()))),
    }
}
