//! Machines with a network of their own, and servers on this host that they reach or do not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use machine::{Machine, MachineSpec, Network};
use network::{HOST_NAME, Policy, Refused};

use crate::fixture::{left, namespace, run, spec};

/// The specification of a machine that reaches what a list names.
fn limited(root: &Path, list: &str) -> MachineSpec {
    let rules = list.split_whitespace().map(|rule| rule.parse().expect("a rule")).collect();
    let policy = Policy::list(rules, Vec::new()).expect("few rules");
    MachineSpec { network: Network::Limited(Arc::new(policy)), ..spec(root) }
}

/// A server on the loopback interface that says how many bytes each connection sent.
fn counter() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let (mut bytes, mut sum) = (vec![0; 64 * 1024], 0);
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    sum += count;
                }
                // Who went away is not told.
                let _ = writeln!(stream, "{sum}");
            });
        }
    });
    port
}

/// Runs a script for `bash` in a machine that reaches what the list names; what it prints, and what was refused.
async fn check(list: &str, script: &str, expected: &str, refused: &[String]) {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let spec = limited(root.path(), list);
    let machine = Machine::start(&backend, &spec).await.expect("the machine starts");
    let quoted = script.replace('\'', r"'\''");
    let (output, _) = run(&machine, &format!("exec bash -c '{quoted}' 2>&1")).await;
    assert_eq!(output, expected, "{script}");
    let found: Vec<String> =
        machine.refusals().expect("it has a network of its own").drain().iter().map(shown).collect();
    assert_eq!(found, refused, "{script}");
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

fn shown(refused: &Refused) -> String {
    let what = refused.name.clone().or(refused.address.map(|address| address.to_string()));
    let port = refused.port.map(|port| format!(":{port}")).unwrap_or_default();
    let (transport, reason) = (refused.transport, refused.reason.word());
    format!("{transport} {}{port} {reason} {}", what.unwrap_or_default(), refused.count)
}

#[tokio::test]
async fn what_the_list_names_is_reached_by_its_name() {
    let port = counter();
    let script = format!(
        "exec 3<>/dev/tcp/{HOST_NAME}/{port}; head -c 3000000 /dev/zero | timeout 60 python3 -c '
import shutil, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    with connection.makefile(\"wb\") as file: shutil.copyfileobj(sys.stdin.buffer, file)
    connection.shutdown(socket.SHUT_WR)
    print(connection.recv(100).decode().strip())' {HOST_NAME} {port}"
    );
    check(&format!("host:{port}"), &script, "3000000\n", &[]).await;
}

#[tokio::test]
async fn what_it_does_not_name_is_refused_at_once_and_recorded() {
    let (open, closed) = (counter(), counter());
    let script = format!(
        "for port in {closed} {closed} {open}; do \
         (exec 3<>/dev/tcp/{HOST_NAME}/$port) 2>/dev/null && echo $port; done; \
         (exec 3<>/dev/tcp/10.0.0.1/80) 2>/dev/null || echo none; \
         (exec 3<>/dev/tcp/example.com/80) 2>/dev/null || echo none"
    );
    let gateway = network::GATEWAY;
    let refused = [
        format!("tcp {gateway}:{closed} host 2"),
        "tcp 10.0.0.1:80 private 1".to_owned(),
        "dns example.com not-listed 1".to_owned(),
    ];
    check(&format!("host:{open}"), &script, &format!("{open}\nnone\nnone\n"), &refused).await;
}

#[tokio::test]
async fn it_has_one_interface_and_no_way_to_another() {
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d \" \" | sort; cat /etc/resolv.conf; \
                  find /run/firedog/store /dev/net 2>/dev/null; touch /etc/resolv.conf 2>/dev/null || echo read-only";
    let expected = format!("eth0\nlo\nnameserver {}\n/run/firedog/store\nread-only\n", network::GATEWAY);
    check("", script, &expected, &[]).await;
}

#[tokio::test]
async fn a_machine_that_is_stopped_in_the_middle_leaves_nothing() {
    let Some(backend) = namespace() else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let root = tempfile::tempdir().unwrap();
    let spec = limited(root.path(), &format!("host:{port}"));
    let machine = Machine::start(&backend, &spec).await.unwrap();
    let script = format!("exec bash -c 'exec 3<>/dev/tcp/{HOST_NAME}/{port}; cat /dev/zero >&3'");
    let sending = machine.exec(crate::fixture::shell(&machine, &script)).await.unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    machine.stop().await;
    drop(sending);
    // The end, or a reset where bytes were on their way.
    let mut bytes = vec![0; 1 << 20];
    while let Ok(1..) = stream.read(&mut bytes) {}
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn machines_of_one_template_have_networks_of_their_own() {
    let Some(backend) = namespace() else { return };
    let port = counter();
    let root = tempfile::tempdir().unwrap();
    let spec = limited(root.path(), &format!("host:{port}"));
    let start = || Machine::start(&backend, &spec);
    let (one, other) = tokio::try_join!(start(), start()).unwrap();
    let refuse = "exec bash -c '(exec 3<>/dev/tcp/10.0.0.1/80) 2>/dev/null || echo none'";
    assert_eq!(run(&one, refuse).await.0, "none\n");
    assert_eq!(one.refusals().unwrap().drain().len(), 1);
    assert_eq!(other.refusals().unwrap().drain().len(), 0);
    one.stop().await;
    let reach = format!("exec bash -c 'exec 3<>/dev/tcp/{HOST_NAME}/{port} && echo there'");
    assert_eq!(run(&other, &reach).await.0, "there\n");
    other.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn a_virtual_machine_reaches_what_the_list_names_also_after_a_restore() {
    let Some(backend) = crate::fixture::qemu() else { return };
    let (open, closed) = (counter(), counter());
    let root = tempfile::tempdir().unwrap();
    let spec = limited(root.path(), &format!("host:{open}"));
    let script = format!(
        "exec bash -c 'head -c 300000 /dev/zero > /tmp/zeros; \
         exec 3<>/dev/tcp/{HOST_NAME}/{open}; cat /tmp/zeros >&3 && echo sent; exec 3>&-; \
         for to in {HOST_NAME}/{closed} 10.0.0.1/80 example.com/80; do \
         (exec 3<>/dev/tcp/$to) 2>/dev/null || echo no; done'"
    );
    let gateway = network::GATEWAY;
    let refused = [
        format!("tcp {gateway}:{closed} host 1"),
        "tcp 10.0.0.1:80 private 1".to_owned(),
        "dns example.com not-listed 1".to_owned(),
    ];
    let check = async |machine: &Machine| {
        assert_eq!(run(machine, &script).await.0, "sent\nno\nno\nno\n");
        let drained = machine.refusals().expect("it has a network of its own").drain();
        assert_eq!(drained.iter().map(shown).collect::<Vec<_>>(), refused);
    };
    let machine = Machine::start(&backend, &spec).await.unwrap();
    check(&machine).await;
    let snapshot = root.path().join("snapshot");
    machine.snapshot(&snapshot).await.unwrap();
    machine.stop().await;
    let copy = Machine::restore(&backend, &spec, &snapshot).await.unwrap();
    check(&copy).await;
    copy.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}
