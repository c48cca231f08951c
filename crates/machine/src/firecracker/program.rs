//! The Firecracker and the jailer of this host.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::api::Version;

/// The programs' names.
const FIRECRACKER: &str = "firecracker";
const JAILER: &str = "jailer";

/// A Firecracker of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    file: PathBuf,
    version: Version,
}

/// How Firecracker is confined, besides by its own filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confinement {
    /// By this jailer: a root, a user and namespaces of its own. Only for root.
    Jailer(PathBuf),
    /// As the user that this process runs as: all that it could do if a guest broke out is what that user can.
    User,
}

/// Why there is no Firecracker to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum NoProgram {
    /// There is none.
    #[error("there is no `{FIRECRACKER}` on PATH")]
    Missing,
    /// It does not say its version.
    #[error("`{} --version` fails", file.display())]
    Unusable { file: PathBuf },
    /// It is of a version that does not fit.
    #[error("Firecracker {version} is not supported, only {supported}", supported = Version::supported())]
    Unsupported { version: Version },
    /// There is no jailer for it.
    #[error("there is no `{JAILER}` beside `{}` or on PATH, and this is root", firecracker.display())]
    NoJailer { firecracker: PathBuf },
    /// The jailer is another's.
    #[error("the jailer is of version {jailer}, Firecracker of {firecracker}")]
    OtherJailer { jailer: Version, firecracker: Version },
}

impl Program {
    /// The first Firecracker on a search path; it is asked for its version.
    pub fn find(path: &[PathBuf]) -> Result<Self, NoProgram> {
        Self::at(find(FIRECRACKER, path).ok_or(NoProgram::Missing)?)
    }

    /// The Firecracker in a file; it is asked for its version.
    pub fn at(file: PathBuf) -> Result<Self, NoProgram> {
        let version = ask(&file, "Firecracker")?;
        match version.is_supported() {
            true => Ok(Self { file, version }),
            false => Err(NoProgram::Unsupported { version }),
        }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// How it is confined if nothing else is said: for root by the jailer that belongs to it.
    pub fn confinement(&self, path: &[PathBuf]) -> Result<Confinement, NoProgram> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Confinement::User);
        }
        let beside = self.file.with_file_name(JAILER);
        let found = beside.is_file().then_some(beside).or_else(|| find(JAILER, path));
        let jailer = found.ok_or_else(|| NoProgram::NoJailer { firecracker: self.file.clone() })?;
        let version = ask(&jailer, "Jailer")?;
        if version != self.version {
            return Err(NoProgram::OtherJailer { jailer: version, firecracker: self.version.clone() });
        }
        Ok(Confinement::Jailer(jailer))
    }
}

fn find(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// What a program says is its version.
fn ask(file: &Path, name: &str) -> Result<Version, NoProgram> {
    let unusable = || NoProgram::Unusable { file: file.to_owned() };
    let output = Command::new(file).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success()).ok_or_else(unusable)?;
    parse(&String::from_utf8_lossy(&output.stdout), name).ok_or_else(unusable)
}

fn parse(text: &str, name: &str) -> Option<Version> {
    let line = text.lines().next()?;
    line.strip_prefix(name)?.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_version_is_read_from_what_the_programs_say() {
        let said = "Firecracker v1.17.0-dev\n\n2026-11-24T15:42:37 [anonymous-instance:main] exiting\n";
        assert_eq!(parse(said, "Firecracker").unwrap().to_string(), "1.17.0-dev");
        assert_eq!(parse("Jailer v1.13.0\n\n", "Jailer").unwrap().to_string(), "1.13.0");
        assert_eq!(parse("Jailer v1.13.0\n", "Firecracker"), None);
        assert_eq!(parse("", "Jailer"), None);
    }
}
