//! One packet in and any number out: what the TCP/IP stack takes for its device.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::link::Output;
use crate::network::MTU;

/// The device during one call of the stack.
pub(super) struct Slot<'a> {
    /// The packet that came.
    pub(super) packet: Option<&'a [u8]>,
    pub(super) output: &'a mut Output,
}

pub(super) struct Receive<'a>(&'a [u8]);

pub(super) struct Send<'a>(&'a mut Output);

impl Device for Slot<'_> {
    type RxToken<'a>
        = Receive<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Send<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Receive<'_>, Send<'_>)> {
        Some((Receive(self.packet.take()?), Send(self.output)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Send<'_>> {
        self.output.has_room().then_some(Send(self.output))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU.into();
        capabilities
    }
}

impl RxToken for Receive<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        self.0.send(length, fill)
    }
}
