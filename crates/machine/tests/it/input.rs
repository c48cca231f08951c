//! What goes into a process while it runs, and terminals, in every machine.

use machine::{ExecSpec, ExitStatus, Machine, OutputMode, Process, Scope, Stdin, TerminalSize};

use crate::conformance::check;
use crate::fixture::{finish, shell};

fn fed(machine: &Machine, script: &str) -> ExecSpec {
    ExecSpec { stdin: Stdin::Stream, ..shell(machine, script) }
}

fn on_terminal(machine: &Machine, script: &str) -> ExecSpec {
    let size = TerminalSize { rows: 33, columns: 111 };
    ExecSpec { output: OutputMode::Terminal(size), ..fed(machine, script) }
}

/// Takes output until it ends with `end`.
async fn read_until(process: &mut Process, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let piece = process.next_output().await;
        let piece = piece.unwrap_or_else(|| panic!("{end:?} after {:?}", String::from_utf8_lossy(&text)));
        text.extend_from_slice(&piece.bytes);
    }
    String::from_utf8(text).expect("the test's own text")
}

#[tokio::test]
async fn input_arrives_piece_by_piece_until_it_ends() {
    check(|machine| async move {
        let mut process =
            machine.exec(fed(&machine, "while read line; do echo got $line; done; exit 3")).await.unwrap();
        let mut input = process.take_input().unwrap();
        assert!(process.take_input().is_none());
        for word in ["one", "two"] {
            assert!(input.write(format!("{word}\n").as_bytes()).await);
            assert_eq!(read_until(&mut process, "\n").await, format!("got {word}\n"));
        }
        drop(input);
        assert_eq!(process.wait().await, Ok(ExitStatus::Code(3)));
        let mut process = machine.exec(shell(&machine, "cat")).await.unwrap();
        assert!(process.take_input().is_none());
        assert_eq!(process.wait().await, Ok(ExitStatus::Code(0)));
    })
    .await;
}

#[tokio::test]
async fn much_goes_in_and_out_at_the_same_time() {
    check(|machine| async move {
        let bytes: Vec<u8> =
            (0..20_000_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut process = machine.exec(fed(&machine, "cat")).await.unwrap();
        let mut input = process.take_input().unwrap();
        let feed = async {
            assert!(input.write(&bytes).await);
            drop(input);
        };
        let ((), (output, status)) = tokio::join!(feed, finish(&mut process));
        assert!(output == bytes);
        assert_eq!(status, ExitStatus::Code(0));
    })
    .await;
}

#[tokio::test]
async fn input_for_a_process_that_does_not_read_waits_and_for_one_that_ended_is_refused() {
    check(|machine| async move {
        let mut process = machine.exec(fed(&machine, "echo up; exec sleep 1000")).await.unwrap();
        let mut input = process.take_input().unwrap();
        read_until(&mut process, "up\n").await;
        let signaller = process.signaller();
        // The write goes on until the process has ended: it takes less than this.
        let bytes = vec![b'x'; 4_000_000];
        let (is_taken, ()) = tokio::join!(input.write(&bytes), async {
            // Others are not held up by it.
            assert_eq!(crate::fixture::run(&machine, "echo other").await.0, "other\n");
            signaller.send(9, Scope::Tree).await.unwrap();
            assert_eq!(process.wait().await, Ok(ExitStatus::Signal(9)));
        });
        assert!(!is_taken);
        assert!(!input.write(b"more").await);
    })
    .await;
}

#[tokio::test]
async fn input_that_a_process_has_closed_is_dropped() {
    check(|machine| async move {
        let script = "read line; exec <&-; echo closed $line; sleep 0.1; echo end";
        let mut process = machine.exec(fed(&machine, script)).await.unwrap();
        let mut input = process.take_input().unwrap();
        assert!(input.write(b"first\n").await);
        assert_eq!(read_until(&mut process, "\n").await, "closed first\n");
        let bytes = vec![b'x'; 1_000_000];
        // Whether or not the process has ended meanwhile.
        let (_, (output, status)) = tokio::join!(input.write(&bytes), finish(&mut process));
        assert_eq!((output, status), (b"end\n".to_vec(), ExitStatus::Code(0)));
    })
    .await;
}

#[tokio::test]
async fn a_process_on_a_terminal_sees_one_of_the_right_size() {
    check(|machine| async move {
        let script = "test -t 0 && test -t 1 && test -t 2 && stty size && test \"$(cut -d' ' -f7 /proc/$$/stat)\" != 0 && echo ok; exit 5";
        let mut process = machine.exec(on_terminal(&machine, script)).await.unwrap();
        let (output, status) = finish(&mut process).await;
        assert_eq!(String::from_utf8_lossy(&output), "33 111\r\nok\r\n");
        assert_eq!(status, ExitStatus::Code(5));
    })
    .await;
}

#[tokio::test]
async fn a_terminal_that_is_resized_tells_its_process() {
    check(|machine| async move {
        let script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.01; done";
        let mut process = machine.exec(on_terminal(&machine, script)).await.unwrap();
        read_until(&mut process, "up\r\n").await;
        process.signaller().resize(TerminalSize { rows: 50, columns: 200 }).await.unwrap();
        assert_eq!(read_until(&mut process, "\n").await, "50 200\r\n");
        // A process without a terminal is no error.
        let other = machine.exec(fed(&machine, "cat")).await.unwrap();
        other.signaller().resize(TerminalSize { rows: 1, columns: 1 }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn keys_on_a_terminal_interrupt_and_end() {
    check(|machine| async move {
        let mut process = machine.exec(on_terminal(&machine, "echo up; exec sleep 1000")).await.unwrap();
        let mut input = process.take_input().unwrap();
        read_until(&mut process, "up\r\n").await;
        assert!(input.write(&[3]).await);
        assert_eq!(process.wait().await, Ok(ExitStatus::Signal(2)));
        let mut process =
            machine.exec(on_terminal(&machine, "stty -echo; echo up; cat; echo end")).await.unwrap();
        let mut input = process.take_input().unwrap();
        read_until(&mut process, "up\r\n").await;
        assert!(input.write(b"text\n").await);
        read_until(&mut process, "text\r\n").await;
        drop(input);
        assert_eq!(finish(&mut process).await, (b"end\r\n".to_vec(), ExitStatus::Code(0)));
    })
    .await;
}
