//! The network device of a virtual machine, which leads to a network of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use guest::protocol::NetworkConfiguration;
use network::{Framing, Link, Network, Policy};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::network::configuration;
use crate::spec::{self, MachineSpec};

/// The hardware address of each machine's device. Its network has nobody else in it.
pub(crate) const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0xf1, 0xd0, 0x60, 0x00, 0x02];

/// What one machine is connected by.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// Where the device's frames go: a socket of datagrams, one frame each.
    pub(crate) frames: OwnedFd,
    /// What the guest is told.
    pub(crate) configuration: NetworkConfiguration,
    /// Ends with the machine.
    pub(crate) network: Network,
}

/// Starts the network of a machine; none for one that is to have no device.
pub(crate) fn attach(spec: &MachineSpec) -> io::Result<Option<Attachment>> {
    let policy = match &spec.network {
        spec::Network::None => return Ok(None),
        spec::Network::Full => {
            Arc::new(Policy::public(Vec::new()).expect("no exceptions are no contradiction"))
        }
        spec::Network::Limited(policy) => Arc::clone(policy),
    };
    let (ours, frames) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let network = crate::network::start(&policy, || Ok(Link::new(ours, Framing::Frames)))?;
    Ok(Some(Attachment { frames, configuration: configuration(), network }))
}
