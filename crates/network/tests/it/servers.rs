//! Servers on this host's loopback interface.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;

/// A server for one connection; its port.
pub(crate) fn once<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    (port, std::thread::spawn(move || serve(listener.accept().expect("a connection").0)))
}

/// A server that gives back what it gets, for any number of connections until the test ends.
pub(crate) fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// A port where nobody listens.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("it has one").port()
}

/// A name server: `answer` makes the answers of a question, whose name it gets in lower case; each is sent.
pub(crate) fn names(answer: impl Fn(&str, &[u8]) -> Vec<Vec<u8>> + Send + Clone + 'static) -> SocketAddr {
    let both = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listener = TcpListener::bind(socket.local_addr().expect("it has one")).ok()?;
        Some((socket, listener))
    };
    let (socket, listener) =
        std::iter::repeat_with(both).take(100).flatten().next().expect("one port for both");
    let address = socket.local_addr().expect("it has one");
    let by_stream = answer.clone();
    std::thread::spawn(move || {
        let mut question = vec![0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            for answer in answer(&name_of(&question[..length]), &question[..length]) {
                socket.send_to(&answer, from).expect("it goes out");
            }
        }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).expect("a question");
            // By stream nothing is cut off.
            let name = format!("stream.{}", name_of(&question));
            for answer in by_stream(&name, &question) {
                stream
                    .write_all(&u16::try_from(answer.len()).expect("short").to_be_bytes())
                    .expect("a length");
                stream.write_all(&answer).expect("an answer");
            }
        }
    });
    address
}

fn name_of(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &question[12..];
    while let Some((&length @ 1.., after)) = rest.split_first() {
        let (label, after) = after.split_at(length.into());
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    labels.join(".")
}

/// A question of a guest.
pub(crate) fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("short"));
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend([kind.to_be_bytes(), [0, 1]].concat());
    message
}

/// An answer with these addresses.
pub(crate) fn answer(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] = 0x81;
    message[3] = 0x80;
    message[6..8].copy_from_slice(&u16::try_from(addresses.len()).expect("few").to_be_bytes());
    for address in addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address.octets());
    }
    message
}

/// The outcome and the addresses of an answer to that question.
pub(crate) fn read_answer(question: &[u8], answer: &[u8]) -> (u8, Vec<Ipv4Addr>) {
    assert_eq!(&answer[..2], &question[..2], "the id");
    assert_eq!(&answer[12..question.len()], &question[12..], "the question");
    let records = answer[question.len()..].chunks(16);
    let addresses = records.map(|record| {
        let bytes: [u8; 4] = record[12..].try_into().expect("an address");
        Ipv4Addr::from(bytes)
    });
    (answer[3] & 15, addresses.collect())
}
