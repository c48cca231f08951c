//! Datagrams.

use std::net::{Ipv4Addr, UdpSocket};

use network::GATEWAY;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Packet};

use crate::guest::{Guest, policy};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn echo() -> u16 {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("it works");
    let port = socket.local_addr().expect("it works").port();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            socket.send_to(&bytes[..length], from).expect("it works");
        }
    });
    port
}

fn is_unreachable(packet: &[u8]) -> Option<u8> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let message =
        Icmpv4Packet::new_checked((packet.next_header() == IpProtocol::Icmp).then(|| packet.payload())?);
    let message = message.ok()?;
    assert!(message.verify_checksum(), "the message's checksum is right");
    (message.msg_type() == Icmpv4Message::DstUnreachable).then(|| message.msg_code())
}

#[test]
fn datagrams_come_back_to_their_port() {
    let port = echo();
    let mut guest = Guest::new(policy(None, "127.0.0.0/8 host"));
    for (from, to, length) in [(1000, LOOPBACK, 0), (1001, LOOPBACK, 60_000), (1000, GATEWAY, 5)] {
        let content = vec![u8::try_from(length % 251).unwrap(); length];
        guest.send_datagram(from, (to, port), &content);
        assert_eq!(guest.datagram((to, port), from), content);
    }
}

#[test]
fn what_is_refused_is_unreachable_and_recorded() {
    let port = echo();
    let mut guest = Guest::new(policy(None, ""));
    guest.send_datagram(1000, (LOOPBACK, port), b"x");
    let expected = u8::from(Icmpv4DstUnreachable::PortUnreachable);
    assert_eq!(guest.packet("a message", is_unreachable), expected);
    assert_eq!(guest.refused(), [format!("udp 127.0.0.1 {port} host 1")]);
}

#[test]
fn nobody_there_is_unreachable_and_not_a_refusal() {
    let port = crate::servers::closed_port();
    let mut guest = Guest::new(policy(None, "127.0.0.0/8"));
    guest.send_datagram(1000, (LOOPBACK, port), b"x");
    let expected = u8::from(Icmpv4DstUnreachable::PortUnreachable);
    assert_eq!(guest.packet("a message", is_unreachable), expected);
    assert_eq!(guest.refused(), [""; 0]);
}

#[test]
fn associations_are_bounded_and_the_latest_work() {
    let port = echo();
    let mut guest = Guest::new(policy(None, "127.0.0.0/8"));
    for from in 1000..2000 {
        guest.send_datagram(from, (LOOPBACK, port), &from.to_be_bytes());
        assert_eq!(guest.datagram((LOOPBACK, port), from), from.to_be_bytes());
    }
    let sockets = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(sockets < 900, "{sockets} descriptors");
}
