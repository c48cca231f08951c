//! Devices, as the kernel announces them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use super::{DEVICE_DEADLINE, InitError};

/// The kernel's announcements, from the time of [`Devices::watch`] on.
#[derive(Debug)]
pub(super) struct Devices {
    socket: OwnedFd,
}

impl Devices {
    #[expect(unsafe_code, reason = "no safe binding offers the address of a netlink group")]
    pub(super) fn watch() -> io::Result<Self> {
        const KERNEL_GROUP: u32 = 1;
        let protocol = rustix::net::netlink::KOBJECT_UEVENT;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(protocol))?;
        // SAFETY: every bit pattern, so also zero, is a valid address.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = KERNEL_GROUP;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the pointer is to an address of that length, which the call only reads.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound == 0 { Ok(Self { socket }) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until `find` finds something, looking again whenever the kernel announces a change.
    pub(super) fn wait_for<T>(
        &self,
        what: &str,
        mut find: impl FnMut() -> Option<T>,
    ) -> Result<T, InitError> {
        let deadline = Instant::now() + DEVICE_DEADLINE;
        loop {
            if let Some(found) = find() {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).expect("the deadline is a minute");
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(InitError::NoDevice { what: what.to_owned() }),
                Ok(_) => self.discard(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(super::failed("wait for devices")(error)),
            }
        }
    }

    /// That something changed is all that counts; also when the kernel had to drop announcements.
    fn discard(&self) {
        let mut message = [0; 8192];
        while matches!(
            rustix::net::recv(&self.socket, &mut message[..], RecvFlags::empty()),
            Ok(_) | Err(Errno::NOBUFS)
        ) {}
    }
}
