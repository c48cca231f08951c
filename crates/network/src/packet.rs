//! IP packets: what of a machine's is looked at, and what is made without the stack.
//!
//! Invariant: what [`read`] lets through is whole, says the machine's own address as its source, and is no fragment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

use crate::link::Output;
use crate::network::GUEST;

/// The time to live of packets that are made here.
const HOPS: u8 = 64;

/// The most of a packet that a message about it repeats, in bytes.
const MAX_REPEATED: usize = 128;

/// A packet of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A part of a TCP connection.
    Tcp(Segment),
    /// A datagram.
    Udp(Datagram<'a>),
    /// A question whether somebody is there.
    Echo(Ipv4Addr),
    /// A packet to somebody else by IPv6, with the protocol's number and the port.
    Version6(Ipv6Addr, u8, u16),
    /// Nothing that is looked at: spoofed, broken, in fragments, or for a group.
    Dropped,
}

/// A TCP segment's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from_port: u16,
    pub(crate) to: (Ipv4Addr, u16),
    /// Whether it asks for a new connection.
    pub(crate) opens: bool,
    sequence: TcpSeqNumber,
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) from_port: u16,
    pub(crate) to: (Ipv4Addr, u16),
    pub(crate) content: &'a [u8],
}

/// Reads a packet of the machine.
pub(crate) fn read(bytes: &[u8]) -> Packet<'_> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => read_version_4(bytes).unwrap_or(Packet::Dropped),
        Some(6) => read_version_6(bytes).unwrap_or(Packet::Dropped),
        _ => Packet::Dropped,
    }
}

fn read_version_4(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let is_fragment = packet.more_frags() || packet.frag_offset() != 0;
    if from != GUEST || to == GUEST || is_fragment || !packet.verify_checksum() || is_group(to) {
        return None;
    }
    let content = packet.payload();
    match packet.next_header() {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(content).ok()?;
            let to_port = segment.dst_port();
            (segment.src_port() != 0 && to_port != 0).then_some(Packet::Tcp(Segment {
                from_port: segment.src_port(),
                to: (to, to_port),
                opens: segment.syn() && !segment.ack() && !segment.rst() && !segment.fin(),
                sequence: segment.seq_number(),
            }))
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(content).ok()?;
            let is_whole = datagram.verify_checksum(&from.into(), &to.into());
            let (from_port, to_port) = (datagram.src_port(), datagram.dst_port());
            (is_whole && from_port != 0 && to_port != 0).then(|| {
                let length = usize::from(datagram.len()) - 8;
                Packet::Udp(Datagram { from_port, to: (to, to_port), content: &content[8..8 + length] })
            })
        }
        IpProtocol::Icmp => {
            const ECHO_REQUEST: u8 = 8;
            (content.first() == Some(&ECHO_REQUEST)).then_some(Packet::Echo(to))
        }
        _ => None,
    }
}

fn is_group(address: Ipv4Addr) -> bool {
    address.is_multicast() || address.is_broadcast()
}

/// Only connections and datagrams to single hosts are told of; the rest is the noise of a network that looks for itself.
fn read_version_6(bytes: &[u8]) -> Option<Packet<'_>> {
    const HEAD: usize = 40;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let to: [u8; 16] = bytes.get(24..HEAD)?.try_into().ok()?;
    let to = Ipv6Addr::from(to);
    let port = bytes.get(HEAD + 2..HEAD + 4)?;
    let protocol = bytes[6];
    let is_single = !to.is_multicast() && !to.is_unicast_link_local();
    (is_single && matches!(protocol, TCP | UDP))
        .then(|| Packet::Version6(to, protocol, u16::from_be_bytes([port[0], port[1]])))
}

impl<'a> Packet<'a> {
    /// The destination of an IPv6 packet for a record.
    pub(crate) fn version_6_destination(to: Ipv6Addr) -> IpAddr {
        to.to_ipv4_mapped().map_or(IpAddr::V6(to), IpAddr::V4)
    }
}

/// Refuses a connection, as a host does where nobody listens.
pub(crate) fn reset(output: &mut Output, segment: &Segment) {
    let repr = TcpRepr {
        src_port: segment.to.1,
        dst_port: segment.from_port,
        control: TcpControl::Rst,
        seq_number: TcpSeqNumber(0),
        ack_number: Some(segment.sequence + 1),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let from = segment.to.0;
    send(output, from, IpProtocol::Tcp, repr.buffer_len(), |content| {
        let mut packet = TcpPacket::new_unchecked(content);
        repr.emit(&mut packet, &from.into(), &GUEST.into(), &ChecksumCapabilities::default());
    });
}

/// Sends a datagram to the machine.
pub(crate) fn datagram(output: &mut Output, from: (Ipv4Addr, u16), to_port: u16, content: &[u8]) {
    let repr = UdpRepr { src_port: from.1, dst_port: to_port };
    send(output, from.0, IpProtocol::Udp, repr.header_len() + content.len(), |bytes| {
        let mut packet = UdpPacket::new_unchecked(bytes);
        repr.emit(
            &mut packet,
            &from.0.into(),
            &GUEST.into(),
            content.len(),
            |payload| payload.copy_from_slice(content),
            &ChecksumCapabilities::default(),
        );
    });
}

/// What a machine is told of a destination that it does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// Nobody is there, or nobody may be reached there.
    Host,
    /// Nobody listens at this port.
    Port,
}

/// Says that the destination of a packet, whose first bytes these are, is not reached.
pub(crate) fn unreachable(output: &mut Output, what: Unreachable, about: &[u8]) {
    let Ok(packet) = Ipv4Packet::new_checked(about) else { return };
    let header = Ipv4Repr {
        src_addr: packet.src_addr(),
        dst_addr: packet.dst_addr(),
        next_header: packet.next_header(),
        payload_len: packet.payload().len(),
        hop_limit: packet.hop_limit(),
    };
    let data = packet.payload();
    let reason = match what {
        Unreachable::Host => Icmpv4DstUnreachable::HostUnreachable,
        Unreachable::Port => Icmpv4DstUnreachable::PortUnreachable,
    };
    let repr = Icmpv4Repr::DstUnreachable { reason, header, data: &data[..data.len().min(MAX_REPEATED)] };
    send(output, packet.dst_addr(), IpProtocol::Icmp, repr.buffer_len(), |content| {
        repr.emit(&mut Icmpv4Packet::new_unchecked(content), &ChecksumCapabilities::default());
    });
}

fn send(
    output: &mut Output,
    from: Ipv4Addr,
    protocol: IpProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) {
    if !output.has_room() {
        return;
    }
    let head = Ipv4Repr {
        src_addr: from,
        dst_addr: GUEST,
        next_header: protocol,
        payload_len: length,
        hop_limit: HOPS,
    };
    output.send(head.buffer_len() + length, |bytes| {
        fill(&mut bytes[head.buffer_len()..]);
        head.emit(&mut Ipv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Packet, read};

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            read(&bytes);
        }

        #[test]
        fn what_another_sends_is_dropped(source: [u8; 4], rest in proptest::collection::vec(any::<u8>(), 20..60)) {
            proptest::prop_assume!(source != crate::network::GUEST.octets());
            let mut bytes = vec![0x45, 0, 0, 20 + rest.len() as u8, 0, 0, 0, 0, 64, 6, 0, 0];
            bytes.extend(source);
            bytes.extend([1, 1, 1, 1]);
            bytes.extend(rest);
            let mut packet = smoltcp::wire::Ipv4Packet::new_unchecked(&mut bytes);
            packet.fill_checksum();
            prop_assert_eq!(read(&bytes), Packet::Dropped);
        }
    }
}
