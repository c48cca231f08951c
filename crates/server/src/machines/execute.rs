//! Code that runs in a machine, to its end or its deadline.
//!
//! At the deadline the code's whole tree of processes is killed. The same happens when an [`Execution`] is dropped, because
//! its caller has gone.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use machine::{ExecSpec, MachineError, OutputMode, Place, Process, RunAs, Scope, Stdin, Stream};
use uuid::Uuid;

use super::entry::Use;
use super::error::ApiError;
use super::model::{Code, ExecutionAnswer, time};
use super::registry::{Machines, Origin};
use super::text::Captured;
use crate::machines::Wanted;

/// The exit code of code that ran longer than it might, as of `timeout`.
const TIMED_OUT: i32 = 124;

/// The exit code of code that could not be started, as of a shell.
const NOT_STARTED: i32 = 127;

/// The signal that nothing survives.
const KILL: i32 = 9;

/// How long killed processes may take to be gone.
const END_DEADLINE: Duration = Duration::from_secs(30);

/// By which the agent knows the processes of one execution.
const TRACKING: &str = "RUNNER_TRACKING_ID";

/// Code under way in a machine.
#[derive(Debug)]
pub(crate) struct Execution {
    id: String,
    /// Before the use, which ends after it.
    process: Option<Process>,
    used: Use,
    /// Removed at the end, if it was made for this.
    temporary: Option<Temporary>,
    started: Instant,
    started_at: i64,
    timeout: Duration,
    /// Why there is no process.
    not_started: Option<String>,
}

/// A machine that is removed when this is dropped.
#[derive(Debug)]
struct Temporary {
    id: String,
    machines: Machines,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let (machines, id) = (self.machines.clone(), std::mem::take(&mut self.id));
        tokio::spawn(async move {
            // It may have been removed already.
            let _ = machines.remove_now(&id).await;
        });
    }
}

/// How code ended.
#[derive(Debug)]
pub(crate) struct Ended {
    exit_code: i32,
    error: Option<String>,
}

/// What code did next.
#[derive(Debug)]
pub(crate) enum Step {
    Output(Stream, bytes::Bytes),
    Ended(Ended),
}

impl Machines {
    /// Starts code in a machine, or in one that is made for it.
    pub(crate) async fn execute(&self, code: Code) -> Result<Execution, ApiError> {
        let (entry, temporary) = match &code.machine {
            Some(id) => (self.get(id)?, None),
            None => {
                let wanted = Wanted { name: None, kind: None, size: self.inner.settings.size };
                let entry = self.make(wanted, Origin::New, None).await?;
                let temporary = Temporary { id: entry.id.clone(), machines: self.clone() };
                (entry, Some(temporary))
            }
        };
        let used = entry.begin()?;
        let id = Uuid::now_v7().to_string();
        let (started, started_at) = (Instant::now(), Timestamp::now().as_millisecond());
        let machine = used.machine();
        let mut env = machine.environment().to_vec();
        env.push((TRACKING.to_owned(), id.clone()));
        let exec = ExecSpec {
            argv: code.language.command(code.text),
            env,
            cwd: code.working_dir.unwrap_or_else(|| machine.path(Place::Workspace).to_owned()),
            stdin: Stdin::Null,
            output: OutputMode::Separate,
            user: RunAs::User,
        };
        let (process, not_started) = match machine.exec(exec).await {
            Ok(process) => (Some(process), None),
            Err(error @ MachineError::Failed { .. }) => (None, Some(error.to_string())),
            Err(source) => return Err(ApiError::Machine { id: used.id().to_owned(), source }),
        };
        let timeout = Duration::from_secs(code.timeout_seconds);
        Ok(Execution { id, process, used, temporary, started, started_at, timeout, not_started })
    }
}

impl Execution {
    /// When it is ended if it has not by itself.
    fn deadline(&self) -> tokio::time::Instant {
        (self.started + self.timeout).into()
    }

    /// What the code does next. Nothing follows `Ended`.
    pub(crate) async fn next(&mut self) -> Result<Step, ApiError> {
        let deadline = self.deadline();
        let Some(process) = &mut self.process else {
            return Ok(Step::Ended(Ended { exit_code: NOT_STARTED, error: self.not_started.take() }));
        };
        tokio::select! {
            piece = process.next_output() => match piece {
                Some(piece) => Ok(Step::Output(piece.stream, piece.bytes)),
                None => match process.wait().await {
                    Ok(status) => Ok(Step::Ended(Ended { exit_code: status.code(), error: None })),
                    Err(source) => Err(ApiError::Machine { id: self.used.id().to_owned(), source }),
                },
            },
            () = tokio::time::sleep_until(deadline) => self.time_out().await,
        }
    }

    /// Waits for the deadline, then ends the code.
    pub(crate) async fn at_deadline(&mut self) -> Result<Step, ApiError> {
        tokio::time::sleep_until(self.deadline()).await;
        self.time_out().await
    }

    /// Ends the code with all that it started.
    async fn time_out(&mut self) -> Result<Step, ApiError> {
        let process = self.process.as_mut().expect("only code that runs has a deadline");
        let signaller = process.signaller();
        let ending = async {
            signaller.kill_rest().await?;
            signaller.send(KILL, Scope::Tree).await?;
            process.wait().await
        };
        let error = format!("the code ran longer than {} seconds and was ended", self.timeout.as_secs());
        match tokio::time::timeout(END_DEADLINE, ending).await {
            Ok(Ok(_)) => Ok(Step::Ended(Ended { exit_code: TIMED_OUT, error: Some(error) })),
            Ok(Err(source)) => Err(ApiError::Machine { id: self.used.id().to_owned(), source }),
            Err(_) => {
                let error = format!("{error}, but some of its processes do not end");
                Ok(Step::Ended(Ended { exit_code: TIMED_OUT, error: Some(error) }))
            }
        }
    }

    /// Runs the code to its end; its output is in the answer.
    pub(crate) async fn finish(mut self) -> Result<ExecutionAnswer, ApiError> {
        let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
        let ended = loop {
            match self.next().await? {
                Step::Output(Stream::Stdout, bytes) => stdout.push(&bytes),
                Step::Output(Stream::Stderr, bytes) => stderr.push(&bytes),
                Step::Ended(ended) => break ended,
            }
        };
        let mut answer = self.answer(ended);
        answer.stdout = Some(stdout.text());
        answer.stderr = Some(stderr.text());
        if let Some(temporary) = self.temporary.take() {
            let (machines, id) = (temporary.machines.clone(), temporary.id.clone());
            drop(self);
            // It may have been removed already.
            let _ = machines.remove(&id).await;
        }
        Ok(answer)
    }

    /// The answer without output.
    pub(crate) fn answer(&self, ended: Ended) -> ExecutionAnswer {
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        ExecutionAnswer {
            execution_id: self.id.clone(),
            vm_id: self.used.id().to_owned(),
            exit_code: ended.exit_code,
            stdout: None,
            stderr: None,
            duration_ms,
            started_at: time(self.started_at),
            completed_at: time(Timestamp::now().as_millisecond()),
            error: ended.error,
        }
    }
}
