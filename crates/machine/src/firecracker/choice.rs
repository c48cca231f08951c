//! Whether this host can make Firecracker's machines, and what is missing.

use std::path::{Path, PathBuf};

use super::{Confinement, Firecracker, NoProgram, Program};
use crate::kvm::{self, Kvm};
use crate::probe::{FoundImage, NoBackend, Selection, State};

/// What to install.
const INSTALL: &str = "install `firecracker` and, for root, its `jailer` from a release of github.com/firecracker-microvm/firecracker";

/// How the one that was asked for is to be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jail {
    /// By its jailer, if this is root.
    AsUsual,
    /// As whoever calls.
    Never,
}

impl From<NoProgram> for NoBackend {
    fn from(error: NoProgram) -> Self {
        let remedy = match &error {
            NoProgram::NoJailer { .. } => {
                "put the `jailer` of the same release beside it, or choose `firecracker-unjailed`".to_owned()
            }
            _ => INSTALL.to_owned(),
        };
        Self { reason: error.to_string(), remedy: Some(remedy) }
    }
}

/// Firecracker, where somebody asked for it.
pub(crate) fn asked(
    jail: Jail,
    path: &[PathBuf],
    find_image: &dyn Fn() -> Result<FoundImage, NoBackend>,
) -> Result<Selection, NoBackend> {
    let (program, confinement) = find(jail, path)?;
    let how = match &confinement {
        Confinement::Jailer(_) => "behind its jailer",
        Confinement::User => "without its jailer",
    };
    let reason = format!("asked for; Firecracker {} {how}", program.version());
    Ok(Selection { backend: Box::new(make(program, confinement, find_image)?), reason })
}

/// Firecracker, where there is all that it needs. What is found out quickest is looked for first.
pub(crate) fn usual(
    path: &[PathBuf],
    find_image: &dyn Fn() -> Result<FoundImage, NoBackend>,
) -> Option<Firecracker> {
    if !Path::new("/dev/kvm").exists() {
        return None;
    }
    let (program, confinement) = find(Jail::AsUsual, path).ok()?;
    make(program, confinement, find_image).ok()
}

/// What there is of it, for a person who asks.
pub(crate) fn state(path: &[PathBuf]) -> State {
    match find(Jail::AsUsual, path).map_err(NoBackend::from) {
        Err(NoBackend { reason, remedy }) => State::Missing { reason, remedy },
        Ok((program, confinement)) => match kvm::probe() {
            Kvm::Fast { .. } => {
                let jailer = match confinement {
                    Confinement::Jailer(jailer) => format!(", jailed by {}", jailer.display()),
                    Confinement::User => String::new(),
                };
                let (version, file) = (program.version(), program.file().display());
                State::Available(format!("Firecracker {version} ({file}){jailer}; without a network device"))
            }
            slow => {
                let reason = format!("there is Firecracker {}, but {slow}", program.version());
                State::Missing { reason, remedy: None }
            }
        },
    }
}

fn find(jail: Jail, path: &[PathBuf]) -> Result<(Program, Confinement), NoProgram> {
    let program = Program::find(path)?;
    let confinement = match jail {
        Jail::AsUsual => program.confinement(path)?,
        Jail::Never => Confinement::User,
    };
    Ok((program, confinement))
}

fn make(
    program: Program,
    confinement: Confinement,
    find_image: &dyn Fn() -> Result<FoundImage, NoBackend>,
) -> Result<Firecracker, NoBackend> {
    match kvm::probe() {
        Kvm::Fast { .. } => {}
        slow => return Err(NoBackend { reason: format!("Firecracker needs KVM: {slow}"), remedy: None }),
    }
    let FoundImage { image, held } = find_image()?;
    Ok(Firecracker::new(program, confinement, image).holding(held))
}
