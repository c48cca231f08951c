//! A sandbox from which machines are forked, seen from the host.
//!
//! A thread of its own starts bubblewrap, gives the template its orders one after another, and waits for its end. The
//! template lives as long as somebody may want a machine of it or has one; its end, whatever brings it about, is the end of
//! its machines.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use guest::template::{Answer, Fork, Mount, Order, Preparation, receive, send};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::sync::oneshot;

use super::attach::attach;
use super::tools;
use super::{arguments, mounts, project, seccomp};
use crate::backend::BootError;
use crate::connection::{GREETING_DEADLINE, with_log};
use crate::scratch::{Removal, Scratch};
use crate::spawn::MachineProcess;
use crate::spec::{AgentCommand, Caller, Content, MachineSpec, Network, Place};
use crate::started::{Line, Started, log};

/// How long machines are forked from a template after it was made: what the host has may change, such as its name servers
/// and its tools.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What a template depends on; all that is one machine's is left out.
#[derive(Debug, PartialEq)]
struct Kind {
    caller: Caller,
    network: Network,
    repository: String,
    in_memory: Vec<String>,
    read_only: Vec<PathBuf>,
    shown: Vec<(Place, PathBuf)>,
    project: Option<PathBuf>,
    scratch: PathBuf,
    agent: AgentCommand,
}

impl Kind {
    fn of(spec: &MachineSpec) -> Self {
        let shown = Place::ALL.into_iter().filter_map(|place| match spec.content(place) {
            Content::ReadOnly(root) => Some((place, root.clone())),
            Content::Empty | Content::Copy { .. } => None,
        });
        Self {
            caller: spec.caller.clone(),
            network: spec.network.clone(),
            repository: spec.repository.clone(),
            in_memory: spec.in_memory.clone(),
            read_only: spec.read_only.clone(),
            shown: shown.collect(),
            project: project(spec).map(PathBuf::from),
            scratch: spec.scratch.clone(),
            agent: spec.agent.clone(),
        }
    }
}

/// A sandbox that machines are forked from.
#[derive(Debug)]
pub(super) struct Template {
    kind: Kind,
    made: Instant,
    /// What is mounted in each machine.
    mounts: Vec<Mount>,
    /// What processes of its machines start from.
    pub(super) environment: Vec<(String, String)>,
    program: PathBuf,
    requests: mpsc::Sender<Request>,
    is_lost: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Request {
    Fork {
        order: Fork,
        stream: OwnedFd,
        log: File,
        network: Option<OwnedFd>,
        answer: oneshot::Sender<Result<MachineProcess, BootError>>,
    },
    /// Nobody wants another machine, and there is none; held until nothing is left of the template.
    End(Removal),
}

impl Template {
    /// Starts to make a template, by the command that `bubblewrap` begins.
    pub(super) fn start(bubblewrap: Command, spec: &MachineSpec) -> Result<Self, BootError> {
        let program = PathBuf::from(bubblewrap.get_program());
        let failed = |source| BootError::Spawn { program: program.clone(), source };
        let tools = tools::find(&spec.caller, project(spec));
        let mut command = bubblewrap;
        let (in_template, in_machines) = mounts::shown(spec, &tools);
        command.args(arguments::build(spec, &in_template, &in_machines));
        command.arg("--").arg(arguments::AGENT).args(&spec.agent.arguments).arg(guest::template::ARGUMENT);
        let preparation = Preparation {
            mounts: mounts::of_template(spec),
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            filter: seccomp::program().map_err(failed)?.to_vec().into(),
        };
        let (requests, received) = mpsc::channel();
        let is_lost = Arc::new(AtomicBool::new(false));
        let keeper = Keeper { program: program.clone(), is_lost: Arc::clone(&is_lost), requests: received };
        std::thread::Builder::new()
            .name("machine-template".to_owned())
            .spawn(move || keeper.run(command, preparation))
            .map_err(failed)?;
        Ok(Self {
            kind: Kind::of(spec),
            made: Instant::now(),
            mounts: mounts::of_machine(spec, &in_machines, &tools),
            environment: arguments::environment(spec, &tools),
            program,
            requests,
            is_lost,
        })
    }

    /// Whether machines of this specification can be forked from it.
    pub(super) fn fits(&self, spec: &MachineSpec) -> bool {
        !self.is_lost() && self.made.elapsed() < MAX_AGE && self.kind == Kind::of(spec)
    }

    /// Whether there will be no machine of it any more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Forks a machine; its network comes along, where it has one that somebody has to run.
    pub(super) async fn fork(
        &self,
        spec: &MachineSpec,
        scratch: &Arc<Scratch>,
    ) -> Result<(Started, Option<network::Network>), BootError> {
        let failed = |source| BootError::Spawn { program: self.program.clone(), source };
        let attachment = attach(spec)?;
        let mut line = Line::new().map_err(failed)?;
        let order = Fork {
            mounts: mounts::private(scratch.path()).into_iter().chain(self.mounts.iter().cloned()).collect(),
            network: attachment.order,
        };
        let (answer, answered) = oneshot::channel();
        let stream = line.theirs();
        let (log, network) = (line.log().map_err(failed)?, attachment.socket);
        let request = Request::Fork { order, stream, log, network, answer };
        let gone = || failed(io::Error::other("the thread that forks machines is gone"));
        self.requests.send(request).map_err(|_| gone())?;
        let process = answered.await.map_err(|_| gone())??;
        Ok((line.started(process, Arc::clone(scratch)), attachment.network))
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // A thread that is gone has waited for the end already.
        let _ = self.requests.send(Request::End(Removal::start()));
    }
}

/// The thread that speaks with a template.
struct Keeper {
    program: PathBuf,
    is_lost: Arc<AtomicBool>,
    requests: mpsc::Receiver<Request>,
}

/// A template that has been started.
struct Running {
    control: OwnedFd,
    log: File,
    process: MachineProcess,
}

impl Keeper {
    fn run(self, command: Command, preparation: Preparation) {
        let started = start(command, preparation);
        if started.is_err() {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        let mut removal = None;
        for request in &self.requests {
            match request {
                Request::Fork { order, stream, log, network, answer } => {
                    let answered = match &started {
                        Ok(running) => {
                            let given =
                                [Some(stream.as_fd()), Some(log.as_fd()), network.as_ref().map(AsFd::as_fd)];
                            let given: Vec<BorrowedFd<'_>> = given.into_iter().flatten().collect();
                            self.fork(running, order, &given)
                        }
                        Err(error) => Err(BootError::Spawn {
                            program: self.program.clone(),
                            source: io::Error::new(error.kind(), error.to_string()),
                        }),
                    };
                    // Where nobody waits any more the process ends with its stream, which is closed then.
                    let _ = answer.send(answered);
                }
                Request::End(held) => {
                    removal = Some(held);
                    break;
                }
            }
        }
        if let Ok(Running { control, process, .. }) = started {
            drop(control);
            process.end();
        }
        drop(removal);
    }

    fn fork(
        &self,
        running: &Running,
        order: Fork,
        given: &[BorrowedFd<'_>],
    ) -> Result<MachineProcess, BootError> {
        let order = Order::Fork(order);
        let answered =
            send(&running.control, &order, given).and_then(|()| receive::<Answer>(&running.control));
        let reason = match answered {
            Ok(Some((Answer::Forked, mut descriptors))) if descriptors.len() == 1 => {
                let pidfd = descriptors.pop().expect("there is one");
                return Ok(MachineProcess::forked(pidfd));
            }
            Ok(Some((Answer::Failed { message }, _))) => {
                return Err(no_agent(format!("the sandbox's first process cannot fork it: {message}")));
            }
            Ok(Some(_)) => "its answer cannot be understood".to_owned(),
            Ok(None) => "the sandbox ended".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => "the sandbox ended".to_owned(),
            Err(error) => error.to_string(),
        };
        self.is_lost.store(true, Ordering::Relaxed);
        Err(no_agent(with_log(reason, Some(&running.log))))
    }
}

fn no_agent(reason: String) -> BootError {
    let remedy = crate::probe::remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    BootError::NoAgent { reason: reason + &remedy }
}

/// Starts bubblewrap with one end of a socket pair as the template's descriptor 0, and gives the first order.
fn start(mut command: Command, preparation: Preparation) -> io::Result<Running> {
    let (control, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&control, Timeout::Recv, Some(GREETING_DEADLINE))?;
    set_socket_timeout(&control, Timeout::Send, Some(GREETING_DEADLINE))?;
    let log = log("template-log")?;
    command.stdin(theirs).stdout(std::process::Stdio::null()).stderr(log.try_clone()?);
    let process = MachineProcess::child(command.spawn()?);
    // Closes the template's end here, or else its death would not be seen.
    drop(command);
    match send(&control, &Order::Prepare(preparation), &[]) {
        // What became of it the first request finds out, with its reason.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    Ok(Running { control, log, process })
}
