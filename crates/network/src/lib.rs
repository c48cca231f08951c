//! The network of a machine, made of nothing but a packet device and this process.
//!
//! A machine that is to reach a part of the world gets a network of its own with one neighbour: the gateway, which is this
//! crate. Packets of the machine end here, in a TCP/IP stack in this process; for each connection that the [`Policy`]
//! admits, the host makes one of its own, and bytes go from one to the other. So nothing is set up on the host, nothing
//! needs rights there, and nothing is left behind.
//!
//! ```text
//! machine ── tun, tap or QEMU's socket ──> Link ──> Stack ──┬── TCP: policy ──> a connection of the host
//!                                                           ├── UDP: policy ──> a socket of the host
//!                                                           └── the gateway's port 53: Names ──> the host's name servers
//! ```
//!
//! * [`policy`] says what may be reached; [`refused`] collects what was not, for [`Refusals`].
//! * `dns` answers names and pins the addresses that it answered; `hello` reads the name in a connection's first bytes.
//! * `link` takes packets from a descriptor; `packet` judges and makes them; `stack` is the loop over all of it.
//! * [`Network`] is the thread that it runs in, one for each machine.
//!
//! Invariants: the guest is believed nothing, neither a length nor an address; whatever is refused is refused at once and
//! recorded; connections, associations, questions, pins and records are bounded; when a [`Network`] ends, everything of it
//! does.

#![forbid(unsafe_code)]

mod dns;
mod hello;
mod link;
mod network;
mod packet;
pub mod policy;
pub mod refused;
mod stack;

pub use dns::Resolver;
pub use link::{Framing, Link};
pub use network::{GATEWAY, GUEST, GUEST_HARDWARE, HOST_NAME, MTU, Network, PREFIX_LENGTH, Settings};
pub use policy::{Policy, PolicyError, Rule};
pub use refused::{Reason, Refusals, Refused, Transport};
