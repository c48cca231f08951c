//! The seam to whatever connects virtual machines to a network.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use futures_util::future::BoxFuture;
use guest::protocol::NetworkConfiguration;

use crate::spec::MachineSpec;

/// Connects virtual machines.
pub trait Connect: Send + Sync + fmt::Debug {
    /// What the machine `spec` gets; none where it has no network device.
    fn connect<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, io::Result<Option<Attachment>>>;
}

/// What one machine is connected by.
pub struct Attachment {
    /// Where its frames go.
    pub link: Link,
    /// The hardware address of its device.
    pub hardware_address: [u8; 6],
    /// What the guest is told.
    pub configuration: NetworkConfiguration,
    /// Dropped when nothing of the machine runs any more.
    pub held: Box<dyn Any + Send + Sync>,
}

/// Where a machine's frames go.
#[derive(Debug)]
pub enum Link {
    /// A queue of a tap device.
    Tap(OwnedFd),
    /// One end of a pair of Unix datagram sockets; each datagram is one Ethernet frame.
    Frames(OwnedFd),
}

impl fmt::Debug for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Attachment").field("link", &self.link).finish_non_exhaustive()
    }
}

/// Connects nothing: machines have no network device, only their own loopback interface.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disconnected;

impl Connect for Disconnected {
    fn connect<'a>(&'a self, _spec: &'a MachineSpec) -> BoxFuture<'a, io::Result<Option<Attachment>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
