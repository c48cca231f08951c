//! Guests that send what no honest one does.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use network::{Framing, GATEWAY, GUEST, Link, Network, Resolver, Settings};
use proptest::prelude::{any, proptest};
use proptest::test_runner::Config;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use smoltcp::wire::{IpProtocol, Ipv4Packet};

use crate::guest::{Guest, datagram, packet, policy};
use crate::servers::echo;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The network still does what it is for.
fn check_works(guest: &mut Guest, port: u16) {
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    guest.send(connection, b"still there");
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(b"still there".to_vec()));
}

#[test]
fn garbage_is_dropped() {
    let port = echo();
    let guest = RefCell::new(Guest::new(policy(None, "127.0.0.0/8")));
    proptest!(Config::with_cases(2000), |(
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        protocol in proptest::option::of(0_u8..20),
    )| {
        match protocol {
            None => guest.borrow_mut().send_packet(&bytes),
            Some(protocol) => guest.borrow_mut().send_packet(&packet(GUEST, [1, 1, 1, 1].into(), protocol.into(), &bytes)),
        }
    });
    check_works(&mut guest.borrow_mut(), port);
}

#[test]
fn segments_of_no_connection_break_nothing() {
    let port = echo();
    let guest = RefCell::new(Guest::new(policy(None, "127.0.0.0/8")));
    proptest!(Config::with_cases(2000), |(
        from in 1_u16..4, flags: u8, offset in 4_u8..16, numbers: [u8; 8], rest in proptest::collection::vec(any::<u8>(), 0..60),
    )| {
        let mut segment = vec![0; 20];
        segment[..2].copy_from_slice(&from.to_be_bytes());
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        segment[4..12].copy_from_slice(&numbers);
        (segment[12], segment[13]) = (offset << 4, flags);
        segment.extend(rest);
        if let Ok(mut segment) = smoltcp::wire::TcpPacket::new_checked(&mut segment) {
            segment.fill_checksum(&GUEST.into(), &LOOPBACK.into());
        }
        guest.borrow_mut().send_packet(&packet(GUEST, LOOPBACK, IpProtocol::Tcp, &segment));
    });
    check_works(&mut guest.borrow_mut(), port);
}

#[test]
fn spoofed_sources_fragments_and_groups_are_dropped() {
    let port = echo();
    let mut guest = Guest::new(policy(None, ""));
    let to = (Ipv4Addr::new(10, 0, 0, 1), 9);
    for source in [LOOPBACK, GATEWAY, [1, 1, 1, 1].into(), Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST] {
        guest.send_packet(&datagram(source, 9, to, b"x"));
    }
    for (more, offset) in [(true, 0), (false, 8), (true, 8)] {
        let mut bytes = datagram(GUEST, 9, to, b"x");
        let mut fragment = Ipv4Packet::new_unchecked(&mut bytes);
        fragment.set_dont_frag(false);
        fragment.set_more_frags(more);
        fragment.set_frag_offset(offset);
        fragment.fill_checksum();
        guest.send_packet(&bytes);
    }
    for group in [[224, 0, 0, 1], [239, 255, 255, 250], [255, 255, 255, 255]] {
        guest.send_packet(&datagram(GUEST, 9, (group.into(), 9), b"x"));
    }
    // The last one is honest, and the only one that is refused.
    assert!(guest.connect(LOOPBACK, port).is_none());
    assert_eq!(guest.refused(), [format!("tcp 127.0.0.1 {port} host 1")]);
}

#[test]
fn options_of_packets_are_no_way_round() {
    let mut guest = Guest::new(policy(None, ""));
    // A source route by way of another host.
    let inner = datagram(GUEST, 9, ([10, 0, 0, 1].into(), 9), b"x").split_off(20);
    let options = [131, 7, 4, 1, 1, 1, 1, 0];
    let mut bytes = packet(GUEST, [10, 0, 0, 1].into(), IpProtocol::Udp, &[&options[..], &inner].concat());
    bytes[0] = 0x47;
    Ipv4Packet::new_unchecked(&mut bytes).fill_checksum();
    guest.send_packet(&bytes);
    assert!(guest.connect([10, 0, 0, 2].into(), 1).is_none());
    assert_eq!(guest.refused(), ["tcp 10.0.0.2 1 private 1", "udp 10.0.0.1 9 private 1"]);
}

#[test]
fn a_flood_of_connections_is_bounded_and_leaves_the_rest_alone() {
    let port = echo();
    let mut guest = Guest::new(policy(None, "127.0.0.0/8"));
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for number in 0..5000_u16 {
        let mut segment = vec![0; 20];
        segment[..2].copy_from_slice(&(number + 1).to_be_bytes());
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        (segment[12], segment[13], segment[14]) = (5 << 4, 2, 0xff);
        let mut wire = smoltcp::wire::TcpPacket::new_unchecked(&mut segment);
        wire.fill_checksum(&GUEST.into(), &LOOPBACK.into());
        guest.send_packet(&packet(GUEST, LOOPBACK, IpProtocol::Tcp, &segment));
    }
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after < before + 4 * 512, "{before} descriptors became {after}");
    // Names and datagrams go on.
    let question = crate::servers::question("a.example", 28);
    guest.send_datagram(7, (GATEWAY, 53), &question);
    guest.datagram((GATEWAY, 53), 7);
    guest.network.take().unwrap().end().unwrap();
}

#[test]
fn packets_of_ipv6_are_recorded_and_go_nowhere() {
    let mut guest = Guest::new(policy(None, ""));
    let mut bytes = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0x12, 0x34, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    guest.send_packet(&bytes);
    assert!(guest.connect([10, 0, 0, 1].into(), 1).is_none());
    assert_eq!(guest.refused(), ["tcp 10.0.0.1 1 private 1", "tcp 2001:db8::1 80 ipv6 1"]);
}

/// A network behind a stream of frames, as QEMU has it.
fn stream() -> (OwnedFd, Network) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("it works");
    let settings = Settings { policy: policy(None, ""), resolver: Resolver::default() };
    let network = Network::start(settings, || Ok(Link::new(theirs, Framing::Stream))).expect("it works");
    (ours, network)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("it works").to_be_bytes(), bytes].concat()
}

#[test]
fn a_stream_of_frames_answers_for_the_gateways_hardware_address() {
    let (ours, network) = stream();
    let guest = network::GUEST_HARDWARE;
    let mut question = [&[0xff; 6], &guest[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &guest].concat();
    question.extend([GUEST.octets(), [0; 4]].concat());
    question.extend([0, 0]);
    question.extend(GATEWAY.octets());
    // In pieces, behind frames that are nothing.
    let bytes = [frame(&[]), frame(&[0; 13]), frame(&[0xff; 100]), frame(&question)].concat();
    for piece in bytes.chunks(3) {
        rustix::io::write(&ours, piece).unwrap();
    }
    let mut answer = [0; 100];
    let length = rustix::io::read(&ours, &mut answer).unwrap();
    assert_eq!(length, 4 + 14 + 28);
    assert_eq!(&answer[4..10], &guest);
    assert_eq!(answer[16..26], [8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    assert_eq!(answer[32..36], GATEWAY.octets());
    drop(ours);
    network.end().unwrap();
}

#[test]
fn a_frame_that_is_too_long_ends_the_network_with_an_error() {
    let (ours, network) = stream();
    rustix::io::write(&ours, &[0xff; 8]).unwrap();
    // The other end is closed.
    assert_eq!(rustix::io::read(&ours, &mut [0; 8]).unwrap_or(0), 0);
    let error = network.end().unwrap_err();
    assert!(error.to_string().contains("over the limit"), "{error}");
}
