//! The agent as a template, and the packets that it reads.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use guest::template::{ARGUMENT, Answer, Fork, ForkNetwork, MAX_PACKET, Order, Preparation, receive, send};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

fn packets() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("a pair of sockets")
}

/// Whether a template ends well that is given these orders and then is left alone, and what it complains about.
fn check(give: impl Fn(&OwnedFd), expected: (bool, &str)) {
    let (ours, theirs) = packets();
    let template = Command::new(env!("CARGO_BIN_EXE_firedog-guest"))
        .arg(ARGUMENT)
        .stdin(theirs)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the template starts");
    give(&ours);
    drop(ours);
    let output = template.wait_with_output().expect("the template ends");
    let complaint = String::from_utf8(output.stderr).expect("it complains in words");
    assert!(complaint.starts_with(expected.1), "{complaint}");
    assert_eq!((output.status.success(), complaint.is_empty()), (expected.0, expected.1.is_empty()));
}

fn prepare() -> Order {
    Order::Prepare(Preparation { mounts: Vec::new(), user: 0, group: 0, filter: Vec::new().into() })
}

fn fork() -> Order {
    Order::Fork(Fork { mounts: Vec::new(), network: ForkNetwork::Shared })
}

#[test]
fn a_template_ends_with_its_socket() {
    check(|_| {}, (true, ""));
    check(|socket| send(socket, &prepare(), &[]).unwrap(), (true, ""));
}

#[test]
fn an_order_that_makes_no_sense_ends_the_template() {
    let nonsense = |socket: &OwnedFd| {
        assert_eq!(rustix::net::send(socket, b"\xff\xff", SendFlags::NOSIGNAL), Ok(2));
    };
    check(nonsense, (false, "guest agent: cannot read the template's first order: "));
    let early = |socket: &OwnedFd| send(socket, &fork(), &[]).unwrap();
    check(early, (false, "guest agent: cannot fork a machine before the template is prepared: "));
    let twice = |socket: &OwnedFd| (0..2).for_each(|_| send(socket, &prepare(), &[]).unwrap());
    check(twice, (false, "guest agent: cannot understand an order: "));
    let without_stream = |socket: &OwnedFd| {
        send(socket, &prepare(), &[]).unwrap();
        send(socket, &fork(), &[socket.as_fd()]).unwrap();
    };
    check(without_stream, (false, "guest agent: cannot understand an order: "));
}

#[test]
fn packets_arrive_whole_with_their_descriptors() {
    let (one, two) = packets();
    send(&one, &Answer::Forked, &[one.as_fd()]).unwrap();
    send(&one, &Answer::Failed { message: "no".to_owned() }, &[]).unwrap();
    let (answer, descriptors) = receive::<Answer>(&two).unwrap().unwrap();
    assert_eq!((answer, descriptors.len()), (Answer::Forked, 1));
    let flags = rustix::io::fcntl_getfd(&descriptors[0]).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    drop(descriptors);
    let (answer, descriptors) = receive::<Answer>(&two).unwrap().unwrap();
    assert_eq!((answer, descriptors.len()), (Answer::Failed { message: "no".to_owned() }, 0));
    let long = Answer::Failed { message: "x".repeat(MAX_PACKET) };
    let refused = send(&one, &long, &[]).unwrap_err().to_string();
    assert!(refused.ends_with("is over the limit of 131072"), "{refused}");
    drop(one);
    assert!(receive::<Answer>(&two).is_ok_and(|packet| packet.is_none()));
}
