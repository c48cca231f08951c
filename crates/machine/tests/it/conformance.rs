//! What a process, a file and a folder are like in every machine.

use machine::{ExitStatus, Machine};

use crate::fixture::{backends, run, spec};

#[tokio::test]
async fn exit_codes_and_signals() {
    for backend in backends() {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::start(&*backend, &spec(root.path())).await.unwrap();
        assert_eq!(run(&machine, "echo hello").await, ("hello\n".to_owned(), ExitStatus::Code(0)));
        assert_eq!(run(&machine, "exit 7").await.1, ExitStatus::Code(7));
        assert_eq!(run(&machine, "kill -9 $$").await.1, ExitStatus::Signal(9));
        let usage = machine.stop().await;
        assert!(usage.peak_kib > 0);
    }
}
