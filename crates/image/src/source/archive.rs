//! A root file system in a tar archive of the user, packed or not.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::digest::copy;
use crate::program::{Program, ProgramError};
use crate::source::Root;
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::Tree;

/// Why an archive is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read, or not be unpacked.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It unpacks to more than an image may have.
    #[error("`{path}` unpacks to more than {limit} bytes; a larger limit is given with `--max-size`")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The program that unpacks it failed.
    #[error("cannot unpack `{path}`")]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProgramError,
    },
    /// What is in it cannot be used.
    #[error("cannot use `{path}`")]
    Tar {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TarError,
    },
}

/// The root file system in the archive `path`; what is unpacked goes into `folder`.
pub(crate) fn root(path: &Path, folder: &Path, limit: u64) -> Result<Root, ArchiveError> {
    let file = plain(path, folder, "root.tar", limit)?;
    let mut tree = Tree::new();
    tarball::read_into(&mut tree, file, Whiteouts::Keep)
        .map_err(|source| ArchiveError::Tar { path: path.to_owned(), source })?;
    Ok(Root::new(tree, "tar".to_owned()))
}

/// The file at `path`, unpacked into `folder` under `name` where it is packed: with gzip, or with what a program of the
/// host unpacks.
pub(crate) fn plain(path: &Path, folder: &Path, name: &str, limit: u64) -> Result<File, ArchiveError> {
    let read = |source| ArchiveError::Read { path: path.to_owned(), source };
    let mut magic = [0; 6];
    let mut file = File::open(path).map_err(read)?;
    let count = file.read(&mut magic).map_err(read)?;
    let unpacked = folder.join(name);
    match &magic[..count] {
        [0x1f, 0x8b, ..] => {
            let packed = File::open(path).map_err(read)?;
            let mut from = flate2::read::MultiGzDecoder::new(packed).take(limit.saturating_add(1));
            let mut to = File::create(&unpacked).map_err(read)?;
            copy(&mut from, &mut to).map_err(read)?;
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => with_program("zstd", "zstd", path, &unpacked, limit)?,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => with_program("xz", "xz-utils", path, &unpacked, limit)?,
        _ => return File::open(path).map_err(read),
    }
    let file = File::open(&unpacked).map_err(read)?;
    if file.metadata().map_err(read)?.len() > limit {
        return Err(ArchiveError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(file)
}

/// `head` ends the program by a broken pipe where it writes too much.
fn with_program(
    program: &str,
    package: &'static str,
    path: &Path,
    unpacked: &Path,
    limit: u64,
) -> Result<(), ArchiveError> {
    let read = |source| ArchiveError::Read { path: path.to_owned(), source };
    let packed = File::open(path).map_err(read)?;
    let mut to = File::create(unpacked).map_err(read)?;
    let (mut reader, writer) = io::pipe().map_err(read)?;
    let result = std::thread::scope(|scope| {
        let unpacking = scope.spawn(|| {
            Program::new(program, package)
                .arguments(["-d", "-c"])
                .standard_input(packed)
                .standard_output(writer)
                .run(&|_| ())
        });
        let copied = copy(&mut (&mut reader).take(limit.saturating_add(1)), &mut to);
        drop(reader);
        (copied, unpacking.join().expect("it does not panic"))
    });
    match result {
        (Err(source), _) => Err(read(source)),
        (Ok(copied), _) if copied > limit => Err(ArchiveError::TooLarge { path: path.to_owned(), limit }),
        (Ok(_), Err(source)) => Err(ArchiveError::Unpack { path: path.to_owned(), source }),
        (Ok(_), Ok(())) => Ok(()),
    }
}
