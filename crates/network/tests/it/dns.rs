//! Names: what is answered, what is pinned, and name servers that lie.

use std::net::Ipv4Addr;

use network::{GATEWAY, HOST_NAME, Resolver};

use crate::guest::{Guest, policy};
use crate::servers::{answer, echo, names, once, question, read_answer};

const PLACE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);

/// A name server that knows some names, and tells lies of others.
fn server() -> Resolver {
    let server = names(|name, question| {
        let plain = |addresses: &[Ipv4Addr]| vec![answer(question, addresses)];
        match name {
            "place.example" | "other.example" => plain(&[PLACE]),
            "public.example" => plain(&[PUBLIC]),
            "mixed.example" => plain(&[[10, 0, 0, 1].into(), PUBLIC]),
            "many.example" => plain(&[PUBLIC; 28]),
            "none.example" => plain(&[]),
            // Cut off by datagram.
            "long.example" => {
                let mut cut = answer(question, &[]);
                cut[2] |= 2;
                vec![cut]
            }
            "stream.long.example" => plain(&[PUBLIC]),
            // Wrong answers before the right one: another id, another name, no answer at all, nothing.
            "guessed.example" => {
                let mut id = answer(question, &[PLACE]);
                id[0] ^= 1;
                let mut other = answer(question, &[PLACE]);
                other[13] = b'x';
                vec![id, other, question.to_vec(), Vec::new(), answer(question, &[PUBLIC])]
            }
            // A record that is longer than the message.
            "malformed.example" => {
                let mut message = answer(question, &[PUBLIC]);
                let length = message.len();
                message[length - 5] = 200;
                vec![message]
            }
            "failing.example" => {
                let mut message = answer(question, &[]);
                message[3] |= 2;
                vec![message]
            }
            _ => {
                let mut message = answer(question, &[]);
                message[3] |= 3;
                vec![message]
            }
        }
    });
    Resolver { servers: Some(vec![server]), hosts: "/nowhere".into() }
}

fn guest(list: Option<&str>, exceptions: &str) -> Guest {
    Guest::with_resolver(policy(list, exceptions), server())
}

fn ask(guest: &mut Guest, name: &str) -> (u8, Vec<Ipv4Addr>) {
    let question = question(name, 1);
    guest.send_datagram(5000, (GATEWAY, 53), &question);
    let answer = guest.datagram((GATEWAY, 53), 5000);
    read_answer(&question, &answer)
}

#[test]
fn names_that_are_allowed_are_answered() {
    let mut guest = guest(Some("*.example"), "");
    assert_eq!(ask(&mut guest, "public.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "PUBLIC.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "none.example"), (0, vec![]));
    assert_eq!(ask(&mut guest, "unknown.example"), (3, vec![]));
    assert_eq!(ask(&mut guest, "failing.example"), (2, vec![]));
    assert_eq!(ask(&mut guest, "long.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "many.example"), (0, vec![PUBLIC; 24]));
    assert_eq!(guest.refused(), [""; 0]);
}

#[test]
fn other_names_do_not_exist_and_are_recorded() {
    let mut guest = guest(Some("public.example"), "");
    assert_eq!(ask(&mut guest, "place.example"), (3, vec![]));
    assert_eq!(ask(&mut guest, "place.example"), (3, vec![]));
    assert_eq!(ask(&mut guest, HOST_NAME), (3, vec![]));
    let expected = [format!("dns {HOST_NAME} not-listed 1"), "dns place.example not-listed 2".to_owned()];
    assert_eq!(guest.refused(), expected);
}

#[test]
fn lies_of_a_name_server_are_not_believed() {
    let mut guest = guest(Some("*.example"), "");
    assert_eq!(ask(&mut guest, "guessed.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "malformed.example"), (2, vec![]));
}

#[test]
fn a_name_with_a_private_address_is_not_answered_with_it() {
    let mut guest = guest(Some("*.example"), "");
    assert_eq!(ask(&mut guest, "mixed.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "place.example"), (0, vec![]));
    let expected = ["dns mixed.example 10.0.0.1 private 1", "dns place.example 127.0.0.77 host 1"];
    assert_eq!(guest.refused(), expected);
}

#[test]
fn an_address_is_reached_once_its_name_was_asked_for() {
    let (port, server) = serve_at_place();
    let mut guest = guest(Some("public.example"), "place.example");
    assert!(guest.connect(PLACE, port).is_none());
    assert_eq!(guest.refused(), [format!("tcp {PLACE} {port} host 1")]);
    assert_eq!(ask(&mut guest, "place.example"), (0, vec![PLACE]));
    let connection = guest.connect(PLACE, port).expect("it is there");
    guest.send(connection, b"hello");
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(Vec::new()));
    assert_eq!(server.join().unwrap(), "hello");
}

/// A server at the place's address; what it is told.
fn serve_at_place() -> (u16, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind((PLACE, 0)).expect("it works");
    let port = listener.local_addr().expect("it works").port();
    let server = std::thread::spawn(move || {
        let mut told = String::new();
        let _ = std::io::Read::read_to_string(&mut listener.accept().expect("it works").0, &mut told);
        told
    });
    (port, server)
}

#[test]
fn another_name_at_an_allowed_address_is_reset_before_a_byte_goes_on() {
    let (port, server) = serve_at_place();
    let mut guest = guest(Some(""), "place.example");
    ask(&mut guest, "place.example");
    let connection = guest.connect(PLACE, port).expect("the address is there");
    guest.send(connection, b"GET / HTTP/1.1\r\nHost: other.");
    guest.send(connection, b"example\r\n\r\n");
    assert_eq!(guest.read_to_end(connection), Err(Vec::new()));
    assert_eq!(server.join().unwrap(), "");
    assert_eq!(guest.refused(), [format!("tcp other.example {PLACE} {port} other-name 1")]);

    let (port, server) = serve_at_place();
    let connection = guest.connect(PLACE, port).expect("the address is there");
    let request = "GET / HTTP/1.1\r\nHost: place.example\r\n\r\n";
    guest.send(connection, request.as_bytes());
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(Vec::new()));
    assert_eq!(server.join().unwrap(), request);
}

#[test]
fn the_host_has_a_name_where_it_is_allowed() {
    let port = echo();
    let mut guest = guest(None, &format!("host:{port}"));
    assert_eq!(ask(&mut guest, HOST_NAME), (0, vec![GATEWAY]));
    assert!(guest.connect(GATEWAY, port).is_some());
}

#[test]
fn names_of_the_hosts_file_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "# x\n1.2.3.4 a.example Public.Example # b.example\n").unwrap();
    let resolver = Resolver { hosts, ..server() };
    let mut guest = Guest::with_resolver(policy(None, ""), resolver);
    assert_eq!(ask(&mut guest, "a.example"), (0, vec![PUBLIC]));
    assert_eq!(ask(&mut guest, "b.example"), (3, vec![]));
}

#[test]
fn questions_may_come_by_a_connection() {
    let mut guest = guest(Some("public.example"), "");
    let connection = guest.connect(GATEWAY, 53).expect("it listens");
    for name in ["public.example", "other.example"] {
        let question = question(name, 1);
        guest.send(connection, &u16::try_from(question.len()).unwrap().to_be_bytes());
        guest.send(connection, &question);
        let length = if name == "public.example" { question.len() + 16 } else { question.len() };
        let answer = guest.read(connection, length + 2);
        assert_eq!(usize::from(u16::from_be_bytes([answer[0], answer[1]])), length);
        let expected = if name == "public.example" { (0, vec![PUBLIC]) } else { (3, vec![]) };
        assert_eq!(read_answer(&question, &answer[2..]), expected);
    }
    guest.finish(connection);
    assert_eq!(guest.read_to_end(connection), Ok(Vec::new()));
}

#[test]
fn there_are_no_ipv6_addresses_and_no_hints_round_the_pins() {
    let mut guest = guest(Some("public.example"), "");
    for kind in [28, 64, 65] {
        let question = question("public.example", kind);
        guest.send_datagram(5000, (GATEWAY, 53), &question);
        let answer = guest.datagram((GATEWAY, 53), 5000);
        assert_eq!(read_answer(&question, &answer), (0, vec![]));
    }
    let question = question("other.example", 28);
    guest.send_datagram(5000, (GATEWAY, 53), &question);
    assert_eq!(read_answer(&question, &guest.datagram((GATEWAY, 53), 5000)).0, 3);
}

#[test]
fn ten_thousand_names_are_answered() {
    let server = names(|_, question| {
        let number = std::str::from_utf8(&question[13..19]).unwrap().parse::<u32>().unwrap();
        vec![answer(question, &[Ipv4Addr::from_bits(0x0100_0000 + number)])]
    });
    let resolver = Resolver { servers: Some(vec![server]), hosts: "/nowhere".into() };
    let mut guest = Guest::with_resolver(policy(Some("*.example"), ""), resolver);
    for number in 0..10_000_u32 {
        let (outcome, addresses) = ask(&mut guest, &format!("{number:06}.example"));
        assert_eq!((outcome, addresses), (0, vec![Ipv4Addr::from_bits(0x0100_0000 + number)]));
    }
}

#[test]
fn questions_that_nobody_answers_are_bounded() {
    let silent = names(|_, _| Vec::new());
    let resolver = Resolver { servers: Some(vec![silent]), hosts: "/nowhere".into() };
    let mut guest = Guest::with_resolver(policy(None, "127.0.0.0/8"), resolver);
    for number in 0..2000 {
        guest.send_datagram(5000, (GATEWAY, 53), &question(&format!("n{number}.example"), 1));
    }
    // The rest works on meanwhile.
    let (port, server) = once(drop);
    let connection = guest.connect(Ipv4Addr::LOCALHOST, port).expect("it is there");
    assert_eq!(guest.read_to_end(connection), Ok(Vec::new()));
    server.join().unwrap();
    guest.network.take().unwrap().end().unwrap();
}
