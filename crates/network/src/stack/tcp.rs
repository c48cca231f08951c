//! Connections of the machine, each with one of the host.
//!
//! ```text
//! SYN ──> policy ──┬── refused: reset
//!                  └── dialing ──┬── failed: reset or unreachable
//!                                └── SYN to the stack ──> bytes both ways ──> both ends closed, or one reset
//! ```
//!
//! A closed half is closed on the other side once everything before it is there; a reset is a reset on the other side.

mod upstream;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr, IpListenEndpoint};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::upstream::Upstream;
use super::DNS;
use super::device::Slot;
use crate::dns::Gate;
use crate::hello::{self, Hello};
use crate::link::{Framing, Output};
use crate::network::{GATEWAY, PREFIX_LENGTH};
use crate::packet::{self, Segment, Unreachable};
use crate::policy::Grant;
use crate::refused::Transport;

/// Most connections of a machine, those that are being made included.
pub(super) const MAX_CONNECTIONS: usize = 512;

/// Bytes that wait for the machine, and as many that wait for the other side, per connection.
const BUFFER: usize = 256 * 1024;

/// Bytes that a connection of questions for names may have under way.
const DNS_BUFFER: usize = 16 * 1024;

/// How long the host may take to make a connection.
const DIAL_DEADLINE: Duration = Duration::from_secs(60);

/// How long the machine may leave bytes unacknowledged.
const SILENCE: Duration = Duration::from_secs(120);

/// A machine's port, and the destination as the machine knows it.
type Pair = (u16, (Ipv4Addr, u16));

struct Connection {
    socket: SocketHandle,
    upstream: Upstream,
    /// Whether the name in its first bytes is to be judged before the other side gets them.
    is_unjudged: bool,
    to_upstream: Half,
    from_upstream: Half,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Open,
    Closed,
}

/// What became of a half in a turn.
enum Moved {
    Nothing,
    Something,
    /// The connection is over for both sides.
    Reset,
}

struct Dialed {
    pair: Pair,
    grant: Grant,
    result: io::Result<TcpStream>,
    /// The machine's packet that asked for it.
    opening: Vec<u8>,
}

/// A machine's connections.
pub(super) struct Connections {
    gate: Arc<Gate>,
    interface: Interface,
    sockets: SocketSet<'static>,
    of: HashMap<Pair, Connection>,
    dialing: JoinSet<Dialed>,
    dialed: HashMap<tokio::task::Id, Pair>,
    /// The begin of the stack's clock.
    start: Instant,
}

impl Connections {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        // A machine that could guess the numbers of its own connections gains nothing by it.
        config.random_seed = u64::from(std::process::id());
        let mut output = Output::new(Framing::Packets);
        let mut slot = Slot { packet: None, output: &mut output };
        let mut interface = Interface::new(config, &mut slot, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(GATEWAY.into(), PREFIX_LENGTH)).expect("there is room for the first");
        });
        interface.routes_mut().add_default_ipv4_route(GATEWAY).expect("there is room for the first");
        interface.set_any_ip(true);
        Self {
            gate,
            interface,
            sockets: SocketSet::new(Vec::new()),
            of: HashMap::new(),
            dialing: JoinSet::new(),
            dialed: HashMap::new(),
            start: Instant::now(),
        }
    }

    /// Takes a segment of the machine.
    pub(super) fn take(&mut self, segment: Segment, bytes: &[u8], output: &mut Output) {
        let pair = (segment.from_port, segment.to);
        if !segment.opens || self.of.contains_key(&pair) {
            return self.take_other(bytes, output);
        }
        if self.dialed.values().any(|dialed| *dialed == pair) {
            return;
        }
        if segment.to == (GATEWAY, DNS) {
            if self.of.len() + self.dialed.len() < MAX_CONNECTIONS {
                let (ours, theirs) = tokio::io::duplex(DNS_BUFFER);
                let gate = Arc::clone(&self.gate);
                let task = tokio::spawn(async move { gate.answer_stream(theirs).await });
                self.open(pair, Upstream::Names(ours, task), Grant::Address, bytes, output);
            }
            return;
        }
        let Ok(grant) = self.gate.connection(segment.to.0, segment.to.1, Transport::Tcp) else {
            return packet::reset(output, &segment);
        };
        if self.of.len() + self.dialed.len() < MAX_CONNECTIONS {
            let opening = bytes.to_vec();
            let dial = async move {
                let result = dial(segment.to).await;
                Dialed { pair, grant, result, opening }
            };
            let task = self.dialing.spawn(dial);
            self.dialed.insert(task.id(), pair);
        }
    }

    /// Gives the stack a packet that opens nothing.
    pub(super) fn take_other(&mut self, bytes: &[u8], output: &mut Output) {
        let now = self.now();
        let mut slot = Slot { packet: Some(bytes), output };
        self.interface.poll_ingress_single(now, &mut slot, &mut self.sockets);
    }

    fn now(&self) -> smoltcp::time::Instant {
        let since = i64::try_from(self.start.elapsed().as_micros());
        smoltcp::time::Instant::from_micros(since.unwrap_or(i64::MAX))
    }

    /// The host's side is there: now the machine is answered.
    fn open(&mut self, pair: Pair, upstream: Upstream, grant: Grant, opening: &[u8], output: &mut Output) {
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_timeout(Some(SILENCE.into()));
        let (address, port) = pair.1;
        let listening = socket.listen(IpListenEndpoint { addr: Some(address.into()), port });
        listening.expect("a new socket listens at a port that is not zero");
        let connection = Connection {
            socket: self.sockets.add(socket),
            upstream,
            is_unjudged: grant == Grant::Name,
            to_upstream: Half::Open,
            from_upstream: Half::Open,
        };
        self.of.insert(pair, connection);
        self.take_other(opening, output);
    }

    /// Moves on what can be; whether anything did.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, output: &mut Output) -> bool {
        let mut moved = false;
        while let Poll::Ready(Some(dialed)) = self.dialing.poll_join_next_with_id(context) {
            moved = true;
            match dialed {
                Ok((id, dialed)) => {
                    self.dialed.remove(&id);
                    self.take_dialed(dialed, output);
                }
                Err(broken) => drop(self.dialed.remove(&broken.id())),
            }
        }
        for (pair, connection) in &mut self.of {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.socket);
            for half in [Connection::poll_to_upstream, Connection::poll_from_upstream] {
                match half(connection, socket, pair, &self.gate, context) {
                    Moved::Nothing => {}
                    Moved::Something => moved = true,
                    Moved::Reset => {
                        moved = true;
                        socket.abort();
                        connection.reset();
                    }
                }
            }
        }
        let now = self.now();
        let mut slot = Slot { packet: None, output };
        let sent = self.interface.poll_egress(now, &mut slot, &mut self.sockets);
        self.remove_ended();
        moved || sent == PollResult::SocketStateChanged
    }

    fn take_dialed(&mut self, dialed: Dialed, output: &mut Output) {
        let Dialed { pair, grant, result, opening } = dialed;
        match result {
            Ok(stream) => self.open(pair, Upstream::Stream(stream), grant, &opening, output),
            Err(error) => match (error.kind(), packet::read(&opening)) {
                (
                    io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::TimedOut,
                    _,
                ) => packet::unreachable(output, Unreachable::Host, &opening),
                (_, packet::Packet::Tcp(segment)) => packet::reset(output, &segment),
                _ => {}
            },
        }
    }

    /// Removes connections that are over on both sides.
    fn remove_ended(&mut self) {
        self.of.retain(|_, connection| {
            let socket = self.sockets.get::<Socket<'_>>(connection.socket);
            let is_delivered = connection.to_upstream == Half::Closed;
            let is_over = match socket.state() {
                // Where the stack still knows the other end, it owes it a reset.
                State::Closed => socket.remote_endpoint().is_none() && is_delivered,
                State::TimeWait => is_delivered,
                // The machine gave up before it began.
                State::Listen => true,
                _ => false,
            };
            if is_over {
                if !is_delivered || connection.from_upstream == Half::Open {
                    connection.reset();
                }
                self.sockets.remove(connection.socket);
            }
            !is_over
        });
    }

    /// When the stack has something to do by itself.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let delay = self.interface.poll_delay(self.now(), &self.sockets)?;
        Some(now + Duration::from_micros(delay.total_micros()))
    }
}

async fn dial((address, port): (Ipv4Addr, u16)) -> io::Result<TcpStream> {
    let address = if address == GATEWAY { Ipv4Addr::LOCALHOST } else { address };
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let stream = timeout(DIAL_DEADLINE, TcpStream::connect((address, port))).await.map_err(|_| late())??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Bytes of the machine to the other side.
    fn poll_to_upstream(
        &mut self,
        socket: &mut Socket<'_>,
        pair: &Pair,
        gate: &Gate,
        context: &mut Context<'_>,
    ) -> Moved {
        if self.to_upstream == Half::Closed || matches!(socket.state(), State::Listen | State::SynReceived) {
            return Moved::Nothing;
        }
        if self.is_unjudged {
            let ended = !matches!(socket.state(), State::Established | State::FinWait1 | State::FinWait2);
            let bytes = socket.peek(hello::MAX_HELLO).unwrap_or_default();
            match hello::read(bytes) {
                Hello::Incomplete if !ended => return Moved::Nothing,
                Hello::Name(name) if !gate.asked_for(&name, pair.1.0, pair.1.1) => return Moved::Reset,
                Hello::Incomplete | Hello::Name(_) | Hello::Nothing => self.is_unjudged = false,
            }
        }
        let mut moved = Moved::Nothing;
        loop {
            let written = socket.recv(|bytes| match self.upstream.poll_write(context, bytes) {
                Poll::Ready(Ok(count)) => (count, Some(Ok(count))),
                Poll::Ready(Err(error)) => (0, Some(Err(error))),
                Poll::Pending => (0, None),
            });
            match written {
                Ok(Some(Ok(1..))) => moved = Moved::Something,
                Ok(None | Some(Ok(0))) => return moved,
                Ok(Some(Err(_))) => return Moved::Reset,
                Err(RecvError::Finished) => {
                    return match self.upstream.poll_shutdown(context) {
                        Poll::Pending => moved,
                        Poll::Ready(_) => {
                            self.to_upstream = Half::Closed;
                            Moved::Something
                        }
                    };
                }
                // The machine has reset it, and all that it sent before has gone on.
                Err(RecvError::InvalidState) => return Moved::Reset,
            }
        }
    }

    /// Bytes of the other side to the machine.
    fn poll_from_upstream(
        &mut self,
        socket: &mut Socket<'_>,
        _: &Pair,
        _: &Gate,
        context: &mut Context<'_>,
    ) -> Moved {
        let mut moved = Moved::Nothing;
        while self.from_upstream == Half::Open && socket.can_send() {
            let read = socket.send(|room| match self.upstream.poll_read(context, room) {
                Poll::Ready(Ok(count)) => (count, Some(Ok(count))),
                Poll::Ready(Err(error)) => (0, Some(Err(error))),
                Poll::Pending => (0, None),
            });
            match read {
                Ok(Some(Ok(0))) => {
                    socket.close();
                    self.from_upstream = Half::Closed;
                    return Moved::Something;
                }
                Ok(Some(Ok(_))) => moved = Moved::Something,
                Ok(Some(Err(_))) => return Moved::Reset,
                Ok(None) | Err(_) => break,
            }
        }
        moved
    }

    /// Ends the other side as hard as the machine's ended.
    fn reset(&mut self) {
        self.upstream.reset();
        self.to_upstream = Half::Closed;
        self.from_upstream = Half::Closed;
    }
}
