//! Datagrams: a socket of the host for each pair of a machine's port and a destination.
//!
//! The socket is connected, so that only the destination can answer, and that nobody listens there is known. An
//! association ends when nothing came or went for [`IDLE`]; where there are too many, that of the longest silence does.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::dns::Gate;
use crate::link::Output;
use crate::network::{GATEWAY, MTU};
use crate::packet::{self, Datagram, Unreachable};
use crate::refused::Transport;

/// Most associations of a machine.
pub(super) const MAX_ASSOCIATIONS: usize = 256;

/// How long an association lives in silence.
const IDLE: Duration = Duration::from_secs(120);

/// Most datagrams that one association gives before the others have their turn.
const DATAGRAMS: usize = 32;

/// The longest datagram that fits into a packet, in bytes.
const MAX_CONTENT: usize = MTU as usize - 28;

/// A machine's port, and the destination as the machine knows it.
type Pair = (u16, (Ipv4Addr, u16));

struct Association {
    socket: UdpSocket,
    used: Instant,
}

/// A machine's associations.
pub(super) struct Associations {
    of: HashMap<Pair, Association>,
    buffer: Vec<u8>,
}

impl Default for Associations {
    fn default() -> Self {
        Self { of: HashMap::new(), buffer: vec![0; MTU.into()] }
    }
}

impl Associations {
    /// Sends a datagram of the machine on, or refuses it.
    pub(super) fn take(
        &mut self,
        datagram: Datagram<'_>,
        bytes: &[u8],
        gate: &Arc<Gate>,
        output: &mut Output,
    ) {
        let pair = (datagram.from_port, datagram.to);
        if !self.of.contains_key(&pair) {
            if gate.connection(datagram.to.0, datagram.to.1, Transport::Udp).is_err() {
                return packet::unreachable(output, Unreachable::Port, bytes);
            }
            self.make_room();
            let Ok(socket) = connect(datagram.to) else {
                return packet::unreachable(output, Unreachable::Host, bytes);
            };
            let association = Association { socket, used: Instant::now() };
            self.of.insert(pair, association);
        }
        let Some(association) = self.of.get_mut(&pair) else { return };
        association.used = Instant::now();
        // A datagram that finds no room is lost, as anywhere. Sent past the runtime, which does not know of a new socket that
        // it has room.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::net::send(&association.socket, datagram.content, flags);
        // Another host's word comes later, and is heard with the next datagram.
        if sent == Err(Errno::CONNREFUSED)
            || association.socket.take_error().is_ok_and(|error| error.is_some())
        {
            packet::unreachable(output, Unreachable::Port, bytes);
        }
    }

    fn make_room(&mut self) {
        if self.of.len() >= MAX_ASSOCIATIONS {
            let silent = self.of.iter().min_by_key(|(_, association)| association.used);
            let pair = silent.map(|(pair, _)| *pair);
            pair.and_then(|pair| self.of.remove(&pair));
        }
    }

    /// Takes what came for the machine; whether anything did.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, output: &mut Output) -> bool {
        let now = Instant::now();
        let mut moved = false;
        self.of.retain(|(port, from), association| {
            for _ in 0..DATAGRAMS {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match association.socket.poll_recv(context, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => {
                        moved = true;
                        association.used = now;
                        let content = buffer.filled();
                        if content.len() <= MAX_CONTENT {
                            packet::datagram(output, *from, *port, content);
                        }
                    }
                    Poll::Ready(Err(_)) => {
                        moved = true;
                        return false;
                    }
                }
            }
            association.used + IDLE > now
        });
        moved
    }

    /// When the next association ends.
    pub(super) fn due(&self) -> Option<Instant> {
        self.of.values().map(|association| association.used + IDLE).min()
    }
}

fn connect((address, port): (Ipv4Addr, u16)) -> io::Result<UdpSocket> {
    let address = if address == GATEWAY { Ipv4Addr::LOCALHOST } else { address };
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((address, port))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
