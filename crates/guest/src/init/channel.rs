//! The byte streams to the host of a virtual machine.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::devices::Devices;
use super::{Channel, InitError, complain, failed};
use crate::serve::{Ended, Kind, Server};

/// Connections that may wait; there is one host.
const BACKLOG: i32 = 4;

/// Serves sessions until the host asks for the end, or can never be heard again.
pub(super) fn serve(channel: &Channel, devices: &Devices) -> Result<(), InitError> {
    let mut server = Server::start(Kind::Machine).map_err(failed("start to wait for processes"))?;
    match channel {
        Channel::SerialPort(name) => {
            let what = format!("port `{name}` to the host");
            let device = devices.wait_for(&what, || port(name))?;
            let opened = OpenOptions::new().read(true).write(true).open(&device);
            let stream = opened.map_err(failed(format!("open `{}`", device.display())))?;
            // The port is there as long as the virtual machine is, whoever is at its other end.
            server.serve(stream).map(drop).map_err(InitError::Channel)
        }
        Channel::Vsock(port) => {
            let listener = listen(*port).map_err(failed(format!("listen on the vsock port {port}")))?;
            serve_connections(&mut server, &listener)
        }
    }
}

/// Serves the connections to a listening socket, one after another, until one asks for the end.
pub(crate) fn serve_connections(server: &mut Server, listener: &OwnedFd) -> Result<(), InitError> {
    loop {
        let stream = accept(listener).map_err(failed("accept the host's connection"))?;
        match server.serve(stream) {
            Ok(Ended::Shutdown) => return Ok(()),
            // A host that was restored elsewhere connects again; processes run on meanwhile.
            Ok(Ended::Stream) => {}
            Err(error) => complain(&InitError::Channel(error)),
        }
    }
}

/// The device of the serial port with a name.
fn port(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    let is_named = |folder: &PathBuf| {
        fs::read_to_string(folder.join("name")).is_ok_and(|found| found.trim_end() == name)
    };
    let folder = ports.map(|entry| entry.path()).find(is_named)?;
    let device = PathBuf::from("/dev").join(folder.file_name()?);
    device.exists().then_some(device)
}

#[expect(unsafe_code, reason = "no safe binding offers the addresses of vsock")]
fn listen(port: u32) -> io::Result<OwnedFd> {
    let family = AddressFamily::from_raw(libc::AF_VSOCK as u16);
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: every bit pattern, so also zero, is a valid address.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_port = port;
    address.svm_cid = libc::VMADDR_CID_ANY;
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the pointer is to an address of that length, which the call only reads.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[expect(unsafe_code, reason = "the safe function cannot read the addresses of vsock")]
fn accept(listener: &OwnedFd) -> io::Result<File> {
    loop {
        let (nobody, length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: nothing is written where the pointers are null.
        let accepted = unsafe { libc::accept4(listener.as_raw_fd(), nobody, length, libc::SOCK_CLOEXEC) };
        if accepted >= 0 {
            // SAFETY: the descriptor is new and nobody else's.
            return Ok(File::from(unsafe { OwnedFd::from_raw_fd(accepted) }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
