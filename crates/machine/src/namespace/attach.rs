//! The network of a forked machine: its device is made inside, and its other end comes out by a socket.

use std::io;
use std::os::fd::OwnedFd;

use guest::template::{Answer, ForkNetwork, receive};
use network::{Framing, Link};
use rustix::fs::{Access, access};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::mounts::CLONE_DEVICE_INSIDE;
use crate::backend::{BackendName, BootError};
use crate::connection::GREETING_DEADLINE;
use crate::network::{CLONE_DEVICE, configuration, start};
use crate::spec::{MachineSpec, Network};

/// A machine's network, and what its fork is told of it.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) order: ForkNetwork,
    /// For the machine, which sends the device to it.
    pub(super) socket: Option<OwnedFd>,
    /// What the machine reaches goes through it; none where there is nothing to limit.
    pub(super) network: Option<network::Network>,
}

/// Starts what the machine's network needs on the host.
pub(super) fn attach(spec: &MachineSpec) -> Result<Attachment, BootError> {
    let policy = match &spec.network {
        Network::Full => return Ok(Attachment { order: ForkNetwork::Shared, socket: None, network: None }),
        Network::None => return Ok(Attachment { order: ForkNetwork::Loopback, socket: None, network: None }),
        Network::Limited(policy) => policy,
    };
    let unavailable = |reason: String| BootError::Unavailable { backend: BackendName::Namespace, reason };
    access(CLONE_DEVICE, Access::READ_OK | Access::WRITE_OK).map_err(|error| {
        let error = io::Error::from(error);
        unavailable(format!(
            "machines with a network of their own need `{CLONE_DEVICE}` to be readable and writable for this user: {error}"
        ))
    })?;
    let failed = |error| unavailable(format!("the machine's network cannot be started: {error}"));
    let (ours, theirs) = pair().map_err(failed)?;
    let network = start(policy, move || link(&ours)).map_err(failed)?;
    let order = ForkNetwork::Device { by: CLONE_DEVICE_INSIDE.into(), configuration: configuration() };
    Ok(Attachment { order, socket: Some(theirs), network: Some(network) })
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&ours, Timeout::Recv, Some(GREETING_DEADLINE))?;
    Ok((ours, theirs))
}

/// Waits for the machine's device. Where the machine ends without one, its log says why.
fn link(socket: &OwnedFd) -> io::Result<Link> {
    match receive::<Answer>(socket)? {
        Some((Answer::Device, mut descriptors)) if descriptors.len() == 1 => {
            let device = descriptors.pop().expect("there is one");
            Ok(Link::new(device, Framing::Packets))
        }
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
