//! The folder of a Firecracker, with the files that it is shown and the sockets that it makes.
//!
//! Firecracker only ever gets relative names, of files in one folder of its own, which is its root where it is jailed. They are
//! the same for each machine, so that a snapshot, which remembers them, can be gone on from in any folder.
//!
//! Whoever broke out of a guest can do in that folder what it likes. So what is found there is looked at before it is used: sockets
//! and files are opened without following links, and sockets connected to by their descriptor. That also spares them the limit
//! on the length of a socket's path.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::vm::cage::Bind;

/// The socket of the API.
pub(super) const API: &str = "api.sock";

/// The socket of the vsock device.
pub(super) const VSOCK: &str = "vsock.sock";

/// The port that the agent listens to.
pub(super) const AGENT_PORT: u32 = 1024;

/// Longest acknowledgement of a connection, `OK` and a number, in bytes.
const MAX_ACKNOWLEDGEMENT: usize = 32;

/// A Firecracker's folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    opened: OwnedFd,
    /// Whose files Firecracker can write to, where it is jailed.
    user: Option<u32>,
}

impl Folder {
    /// Makes the folder.
    pub(super) fn make(path: PathBuf, user: Option<u32>) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self { path, opened, user })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of it is on the host.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Shows a file of the host, which cannot be changed there: by a link, or in a jail by a mount, which is returned.
    pub(super) fn show(&self, name: &str, file: &Path) -> io::Result<Option<Bind>> {
        let to = self.join(name);
        let file = fs::canonicalize(file)?;
        if self.user.is_none() {
            symlink(file, to)?;
            return Ok(None);
        }
        File::create_new(&to)?;
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
        Ok(Some(Bind { from: text(&file)?, to: text(&to)? }))
    }

    /// Lets Firecracker write to a file.
    pub(super) fn give(&self, name: &str) -> io::Result<()> {
        let file = self.join(name);
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        match self.user {
            Some(user) => chown(&file, Some(user), Some(user)),
            None => Ok(()),
        }
    }

    /// Opens a regular file that Firecracker has written.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.opened, name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file of its own"));
        }
        Ok(File::from(file))
    }

    /// Removes a file that may be there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A socket, as a path that leads to it and to nothing else as long as the descriptor is open.
    pub(super) fn socket(&self, name: &str) -> io::Result<(OwnedFd, PathBuf)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = openat(&self.opened, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&socket)?.st_mode) != FileType::Socket {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no socket"));
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        Ok((socket, path))
    }

    /// Connects to the agent; waits as long as the guest does not answer.
    pub(super) async fn connect_agent(&self) -> io::Result<UnixStream> {
        let (_socket, path) = self.socket(VSOCK)?;
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(format!("CONNECT {AGENT_PORT}\n").as_bytes()).await?;
        let mut line = Vec::new();
        // Byte by byte: what follows the line is the agent's.
        while line.last() != Some(&b'\n') {
            if line.len() == MAX_ACKNOWLEDGEMENT {
                return Err(no_acknowledgement());
            }
            line.push(stream.read_u8().await?);
        }
        let number = line.strip_prefix(b"OK ").and_then(|rest| rest.strip_suffix(b"\n"));
        match number {
            Some(number) if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => Ok(stream),
            _ => Err(no_acknowledgement()),
        }
    }
}

fn no_acknowledgement() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what answers at the socket acknowledges no connection")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::{Folder, VSOCK};

    /// What connecting to the agent says when what listens there answers with `answer`.
    async fn check(answer: &'static [u8], expected: Result<(), &str>) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::make(root.path().join("vm"), None).unwrap();
        let listener = UnixListener::bind(folder.join(VSOCK)).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 13];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"CONNECT 1024\n");
            stream.write_all(answer).unwrap();
        });
        let connected = folder.connect_agent().await.map(drop).map_err(|error| error.to_string());
        answering.join().unwrap();
        assert_eq!(connected, expected.map_err(str::to_owned), "{answer:?}");
    }

    #[tokio::test]
    async fn only_an_acknowledgement_connects() {
        let none = "what answers at the socket acknowledges no connection";
        check(b"OK 1073741824\n", Ok(())).await;
        check(b"OK \n", Err(none)).await;
        check(b"OK 12x\n", Err(none)).await;
        check(b"NO 12\n", Err(none)).await;
        check(&[b'O'; 100], Err(none)).await;
        check(b"OK 1", Err("unexpected end of file")).await;
    }

    #[test]
    fn what_lies_in_the_folder_is_looked_at_before_it_is_used() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::make(root.path().join("vm"), None).unwrap();
        let _listener = UnixListener::bind(root.path().join("other.sock")).unwrap();
        symlink("../other.sock", folder.join("api.sock")).unwrap();
        assert!(folder.socket("api.sock").is_err(), "a link to a socket of somebody else's");
        fs::write(folder.join("file"), "x").unwrap();
        assert_eq!(folder.socket("file").unwrap_err().to_string(), "it is no socket");
        assert!(folder.open("file").is_ok());
        fs::hard_link(folder.join("file"), root.path().join("second")).unwrap();
        assert_eq!(folder.open("file").unwrap_err().to_string(), "it is no file of its own");
        symlink("/etc/passwd", folder.join("link")).unwrap();
        assert!(folder.open("link").is_err());
        assert!(folder.open("..").is_err());
    }
}
