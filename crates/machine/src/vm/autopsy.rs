//! Who examines a virtual machine that is gone, or does not answer.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::backend::PostMortem;
use crate::vm::crash::{self, Evidence};
use crate::vm::process::{ProcessHandle, oom_kills};
use crate::vm::tail::Tail;

/// How long the program may take to end once its machine is lost, and its last words to arrive.
const END: Duration = Duration::from_secs(5);

/// What is looked at, and by whom.
pub(crate) struct Autopsy {
    pub(crate) process: ProcessHandle,
    /// What the guest's console said.
    pub(crate) console: Tail,
    /// What the program that runs the machine complained about.
    pub(crate) complaints: Tail,
    /// What the kernel had killed for want of memory when the machine was started.
    pub(crate) oom_kills: Option<u64>,
    /// How long the agent may take to answer the greeting.
    pub(crate) patience: Duration,
    /// Adds what this kind of program tells by itself.
    pub(crate) observe: Box<dyn Fn(&mut Evidence) + Send + Sync>,
}

impl fmt::Debug for Autopsy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Autopsy").field("process", &self.process).finish_non_exhaustive()
    }
}

impl PostMortem for Autopsy {
    fn patience(&self) -> Duration {
        self.patience
    }

    fn out_of_memory(&self) -> Option<String> {
        crash::out_of_memory(&self.console.text())
    }

    fn examine(&self, heard: String) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let exit = self.process.exit(END).await;
            if exit.is_some() {
                // Whatever it wrote last is still on its way.
                self.console.end(END).await;
                self.complaints.end(END).await;
            }
            let mut evidence = Evidence {
                heard,
                console: self.console.text(),
                complaints: self.complaints.text(),
                exit,
                host_out_of_memory: oom_kills() > self.oom_kills,
                ..Evidence::default()
            };
            (self.observe)(&mut evidence);
            crash::cause(&evidence).to_string()
        })
    }
}
