//! A guest: a TCP/IP stack behind a link, and packets by hand.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use network::{Framing, GATEWAY, GUEST, Link, MTU, Network, Policy, Refused, Resolver, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A machine's side of a network, and the network.
pub(crate) struct Guest {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    start: Instant,
    next_port: u16,
    pub(crate) network: Option<Network>,
}

struct Wire {
    descriptor: OwnedFd,
    /// Packets that came and were not yet looked at.
    received: VecDeque<Vec<u8>>,
}

/// A policy with exceptions, and nothing else but a list where one is given.
pub(crate) fn policy(list: Option<&str>, exceptions: &str) -> Policy {
    let rules = |text: &str| text.split_whitespace().map(|rule| rule.parse().expect("a rule")).collect();
    match list {
        Some(list) => Policy::list(rules(list), rules(exceptions)),
        None => Policy::public(rules(exceptions)),
    }
    .expect("few rules")
}

impl Guest {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::with_resolver(policy, Resolver { servers: Some(Vec::new()), hosts: "/nowhere".into() })
    }

    pub(crate) fn with_resolver(policy: Policy, resolver: Resolver) -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("sockets");
        rustix::io::ioctl_fionbio(&ours, true).expect("it does not block");
        let link = move || Ok(Link::new(theirs, Framing::Packets));
        let network = Network::start(Settings { policy, resolver }, link).expect("a thread");
        let mut wire = Wire { descriptor: ours, received: VecDeque::new() };
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(GUEST.into(), 30)).expect("room");
        });
        interface.routes_mut().add_default_ipv4_route(GATEWAY).expect("room");
        let sockets = SocketSet::new(Vec::new());
        Self { wire, interface, sockets, start: Instant::now(), next_port: 40_000, network: Some(network) }
    }

    fn now(&self) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros(i64::try_from(self.start.elapsed().as_micros()).expect("soon"))
    }

    /// Lets the stack work until something holds.
    pub(crate) fn until<T>(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            let now = self.now();
            self.interface.poll(now, &mut self.wire, &mut self.sockets);
            if let Some(value) = holds(self) {
                return value;
            }
            assert!(Instant::now() < end, "{what} does not happen");
            let delay = self.interface.poll_delay(self.now(), &self.sockets);
            let delay = delay.map_or(Duration::from_millis(50), Duration::from);
            self.wire.wait(delay.min(Duration::from_millis(50)));
        }
    }

    /// Begins a connection.
    pub(crate) fn begin(&mut self, address: Ipv4Addr, port: u16) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 256 * 1024]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        let own = self.next_port;
        self.next_port += 1;
        socket.connect(self.interface.context(), (address, port), own).expect("it can begin");
        self.sockets.add(socket)
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// A connection that is there, or was refused.
    pub(crate) fn connect(&mut self, address: Ipv4Addr, port: u16) -> Option<SocketHandle> {
        let handle = self.begin(address, port);
        let is_open = self.until("an answer to a connection", |guest| match guest.socket(handle).state() {
            State::SynSent | State::SynReceived => None,
            state => Some(state != State::Closed),
        });
        is_open.then_some(handle)
    }

    pub(crate) fn send(&mut self, handle: SocketHandle, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let sent = self.until("room for bytes", |guest| {
                let sent = guest.socket(handle).send_slice(bytes).expect("it is open");
                (sent > 0).then_some(sent)
            });
            bytes = &bytes[sent..];
        }
    }

    /// Closes the sending half.
    pub(crate) fn finish(&mut self, handle: SocketHandle) {
        self.socket(handle).close();
    }

    /// All bytes up to the end of the other side; `Err` after a reset.
    pub(crate) fn read_to_end(&mut self, handle: SocketHandle) -> Result<Vec<u8>, Vec<u8>> {
        let mut bytes = Vec::new();
        let is_whole = self.until("the end of a connection", |guest| {
            use smoltcp::socket::tcp::RecvError;
            loop {
                match guest.socket(handle).recv(|more| (more.len(), more.to_vec())) {
                    Ok(more) if more.is_empty() => return None,
                    Ok(more) => bytes.extend(more),
                    Err(RecvError::Finished) => return Some(true),
                    Err(RecvError::InvalidState) => return Some(false),
                }
            }
        });
        if is_whole { Ok(bytes) } else { Err(bytes) }
    }

    /// At least so many bytes.
    pub(crate) fn read(&mut self, handle: SocketHandle, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until("bytes", |guest| {
            while guest.socket(handle).can_recv() {
                bytes.extend(
                    guest.socket(handle).recv(|more| (more.len(), more.to_vec())).expect("it is open"),
                );
            }
            (bytes.len() >= count).then_some(())
        });
        bytes
    }

    /// Sends a packet as it is.
    pub(crate) fn send_packet(&mut self, packet: &[u8]) {
        self.wire.send(packet);
    }

    /// The next packet for which `take` gives something.
    pub(crate) fn packet<T>(&mut self, what: &str, take: impl Fn(&[u8]) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            while let Some(packet) = self.wire.receive() {
                if let Some(taken) = take(&packet) {
                    return taken;
                }
            }
            assert!(Instant::now() < end, "{what} does not come");
            self.wire.wait(Duration::from_millis(50));
        }
    }

    pub(crate) fn send_datagram(&mut self, from: u16, to: (Ipv4Addr, u16), content: &[u8]) {
        self.send_packet(&datagram(GUEST, from, to, content));
    }

    /// The content of the next datagram from there.
    pub(crate) fn datagram(&mut self, from: (Ipv4Addr, u16), to: u16) -> Vec<u8> {
        self.packet("a datagram", |packet| {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            assert!(packet.verify_checksum(), "the packet's checksum is right");
            let datagram = (packet.next_header() == IpProtocol::Udp)
                .then(|| UdpPacket::new_checked(packet.payload()).ok())
                .flatten()?;
            let sum = datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into());
            assert!(sum, "the datagram's checksum is right");
            let is_it = (packet.src_addr(), datagram.src_port()) == from && datagram.dst_port() == to;
            is_it.then(|| datagram.payload().to_vec())
        })
    }

    /// What was refused, ordered, as `transport destination reason count`.
    pub(crate) fn refused(&self) -> Vec<String> {
        let refusals = self.network.as_ref().expect("it was not ended").refusals();
        let mut all: Vec<String> = refusals.drain().iter().map(shown).collect();
        all.sort();
        all
    }
}

fn shown(refused: &Refused) -> String {
    let Refused { name, address, port, transport, reason, count } = refused;
    let address = address.map(|address| format!(" {address}")).unwrap_or_default();
    let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let port = port.map(|port| format!(" {port}")).unwrap_or_default();
    format!("{transport}{name}{address}{port} {} {count}", reason.word())
}

/// A datagram in a packet.
pub(crate) fn datagram(source: Ipv4Addr, from: u16, to: (Ipv4Addr, u16), content: &[u8]) -> Vec<u8> {
    let repr = UdpRepr { src_port: from, dst_port: to.1 };
    let mut payload = vec![0; repr.header_len() + content.len()];
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut payload),
        &source.into(),
        &to.0.into(),
        content.len(),
        |place| place.copy_from_slice(content),
        &ChecksumCapabilities::default(),
    );
    packet(source, to.0, IpProtocol::Udp, &payload)
}

/// A packet with this content.
pub(crate) fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: IpProtocol, content: &[u8]) -> Vec<u8> {
    let head = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: protocol,
        payload_len: content.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; head.buffer_len()];
    bytes.extend_from_slice(content);
    head.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
    bytes
}

impl Wire {
    fn wait(&self, time: Duration) {
        if self.received.is_empty() {
            let time = Timespec::try_from(time).expect("short");
            poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&time)).expect("it can be waited");
        }
    }

    fn fill(&mut self) {
        let mut packet = vec![0; MTU.into()];
        while let Ok(length) = rustix::io::read(&self.descriptor, &mut packet) {
            if length == 0 {
                return;
            }
            self.received.push_back(packet[..length].to_vec());
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.fill();
        self.received.pop_front()
    }

    fn send(&mut self, packet: &[u8]) {
        loop {
            match rustix::io::write(&self.descriptor, packet).map_err(io::Error::from) {
                // The other side may wait for room itself.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.fill();
                    let mut waiting = [PollFd::new(&self.descriptor, PollFlags::OUT | PollFlags::IN)];
                    poll(&mut waiting, None).expect("it can be waited");
                }
                // It has ended.
                Err(_) | Ok(_) => return,
            }
        }
    }
}

impl Device for Wire {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Packet, Sender<'_>)> {
        Some((Packet(Wire::receive(self)?), Sender(self)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sender<'_>> {
        Some(Sender(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU.into();
        capabilities
    }
}

pub(crate) struct Packet(Vec<u8>);

impl RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

pub(crate) struct Sender<'a>(&'a mut Wire);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut packet = vec![0; length];
        let filled = fill(&mut packet);
        self.0.send(&packet);
        filled
    }
}
