//! Connections: bytes, ends, resets, and what is refused.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;

use network::GATEWAY;

use crate::guest::{Guest, policy};
use crate::servers::{closed_port, echo, once};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn guest() -> Guest {
    Guest::new(policy(None, "127.0.0.0/8"))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_whole() {
    let port = echo();
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    let bytes = pattern(100_000);
    guest.send(connection, &bytes);
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(bytes));
    assert_eq!(guest.refused(), [""; 0]);
}

#[test]
fn megabytes_come_whole_to_a_slow_reader() {
    let bytes = pattern(20_000_000);
    let expected = bytes.clone();
    let (port, server) = once(move |mut stream| stream.write_all(&bytes));
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    assert!(guest.read_to_end(connection) == Ok(expected), "all bytes are as they were");
    server.join().unwrap().unwrap();
}

#[test]
fn a_server_that_does_not_read_holds_the_machine_up_and_gets_everything() {
    let (go, wait) = mpsc::channel::<()>();
    let (port, server) = once(move |mut stream| {
        wait.recv().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    let bytes = pattern(30_000_000);
    let mut sent = 0;
    // As much as all buffers take; then nothing more goes until the server reads.
    let mut turns_without = 0;
    while turns_without < 20 && sent < bytes.len() {
        let count =
            guest.until("a turn", |guest| Some(guest.socket(connection).send_slice(&bytes[sent..]).unwrap()));
        turns_without = if count == 0 { turns_without + 1 } else { 0 };
        sent += count;
    }
    go.send(()).unwrap();
    guest.send(connection, &bytes[sent..]);
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(Vec::new()));
    assert!(server.join().unwrap() == bytes, "all bytes are as they were");
}

#[test]
fn each_half_closes_by_itself() {
    let (port, server) = once(|mut stream| {
        stream.write_all(b"before").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut bytes = String::new();
        stream.read_to_string(&mut bytes).unwrap();
        bytes
    });
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    assert_eq!(guest.read_to_end(connection), Ok(b"before".to_vec()));
    guest.send(connection, b"after");
    guest.finish(connection);
    guest.until("the end", |guest| (!guest.socket(connection).is_active()).then_some(()));
    assert_eq!(server.join().unwrap(), "after");
}

#[test]
fn a_reset_goes_on_in_both_directions() {
    let (port, server) = once(|mut stream: TcpStream| {
        stream.read_exact(&mut [0]).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    });
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    guest.send(connection, b"x");
    guest.until("the reset", |_| server.is_finished().then_some(()));
    server.join().unwrap();
    assert_eq!(guest.read_to_end(connection), Err(Vec::new()));

    let (port, server) = once(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    guest.socket(connection).abort();
    guest.until("the reset", |_| server.is_finished().then_some(()));
    assert_eq!(server.join().unwrap(), Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_closed_port_is_a_refused_connection_and_not_a_refusal() {
    let mut guest = guest();
    assert!(guest.connect(LOOPBACK, closed_port()).is_none());
    assert_eq!(guest.refused(), [""; 0]);
}

#[test]
fn what_the_policy_refuses_is_reset_at_once_and_recorded() {
    let port = echo();
    let mut guest = Guest::new(policy(None, ""));
    for _ in 0..3 {
        assert!(guest.connect(LOOPBACK, port).is_none());
    }
    assert!(guest.connect([10, 0, 0, 1].into(), 80).is_none());
    assert!(guest.connect([169, 254, 169, 254].into(), 80).is_none());
    assert!(guest.connect(GATEWAY, port).is_none());
    let expected = [
        "tcp 10.0.0.1 80 private 1".to_owned(),
        format!("tcp 127.0.0.1 {port} host 3"),
        "tcp 169.254.169.254 80 private 1".to_owned(),
        format!("tcp {GATEWAY} {port} host 1"),
    ];
    assert_eq!(guest.refused(), expected);
}

#[test]
fn a_port_that_is_allowed_allows_no_other() {
    let (open, other) = (echo(), echo());
    let mut guest = Guest::new(policy(Some(&format!("127.0.0.1:{open}")), ""));
    assert!(guest.connect(LOOPBACK, open).is_some());
    assert!(guest.connect(LOOPBACK, other).is_none());
    assert_eq!(guest.refused(), [format!("tcp 127.0.0.1 {other} host 1")]);
}

#[test]
fn services_of_the_host_are_at_the_gateway() {
    let port = echo();
    let mut guest = Guest::new(policy(Some(&format!("host:{port}")), ""));
    let connection = guest.connect(GATEWAY, port).expect("it is there");
    guest.send(connection, b"x");
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(b"x".to_vec()));
}

#[test]
fn many_connections_at_a_time_and_one_after_another() {
    let port = echo();
    let mut guest = guest();
    for round in 0..4 {
        let connections: Vec<_> = (0..100).map(|_| guest.begin(LOOPBACK, port)).collect();
        for &connection in &connections {
            guest.until("a connection", |guest| guest.socket(connection).may_send().then_some(()));
        }
        for (number, &connection) in connections.iter().enumerate() {
            guest.send(connection, format!("{round} {number}").as_bytes());
            guest.finish(connection);
        }
        for (number, &connection) in connections.iter().enumerate() {
            assert_eq!(guest.read_to_end(connection), Ok(format!("{round} {number}").into_bytes()));
        }
    }
}

#[test]
fn more_connections_than_there_may_be_go_one_after_another() {
    let port = echo();
    let mut guest = guest();
    // Whoever closes first, nothing is left that would count.
    for number in 0..1200 {
        let connection = guest.connect(LOOPBACK, port).expect("it is there");
        guest.send(connection, b"x");
        if number % 2 == 0 {
            guest.finish(connection);
            assert_eq!(guest.read_to_end(connection), Ok(b"x".to_vec()));
        } else {
            assert_eq!(guest.read(connection, 1), b"x");
            guest.socket(connection).abort();
        }
    }
}

#[test]
fn the_end_of_the_network_ends_its_connections() {
    let (port, server) = once(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let mut guest = guest();
    guest.connect(LOOPBACK, port).expect("it is there");
    guest.network.take().unwrap().end().unwrap();
    // With nothing unread this is an end like any other.
    assert_eq!(server.join().unwrap(), Ok(0));
}

#[test]
fn a_machine_that_ends_in_the_middle_ends_the_network_and_its_connections() {
    let (port, server) = once(|mut stream| {
        let bytes = vec![7; 1 << 20];
        while stream.write_all(&bytes).is_ok() {}
    });
    let mut guest = guest();
    let connection = guest.connect(LOOPBACK, port).expect("it is there");
    guest.read(connection, 1000);
    let network = guest.network.take().unwrap();
    drop(guest);
    network.end().unwrap();
    server.join().unwrap();
}

#[test]
fn connections_are_bounded() {
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            held.push(stream);
        }
    });
    let mut guest = guest();
    let connections: Vec<_> = (0..600).map(|_| guest.begin(LOOPBACK, port)).collect();
    let open = |guest: &mut Guest| {
        connections.iter().filter(|&&connection| guest.socket(connection).may_send()).count()
    };
    guest.until("as many as there may be", |guest| (open(guest) >= 512).then_some(()));
    assert_eq!(open(&mut guest), 512);
    // One that ends makes room for another.
    let ended = *connections.iter().find(|&&connection| guest.socket(connection).may_send()).unwrap();
    guest.socket(ended).abort();
    guest.until("another one", |guest| (open(guest) == 512).then_some(()));
}

#[test]
fn networks_that_ended_leave_no_descriptor_and_no_thread() {
    let count = |folder: &str, name: &str| {
        let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path().join("comm"));
        entries.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(name))).count()
    };
    let port = echo();
    let mut guests: Vec<Guest> = (0..50).map(|_| guest()).collect();
    for guest in &mut guests {
        guest.connect(LOOPBACK, port).expect("it is there");
        guest.begin([10, 0, 0, 1].into(), 1);
    }
    for mut guest in guests {
        let network = guest.network.take().unwrap();
        drop(guest);
        // Nothing of its thread is left when this returns, nor of what it held.
        network.end().unwrap();
    }
    // Other tests of this process have networks of their own, but never so many.
    assert!(count("/proc/self/task", "machine-network") < 50);
}
