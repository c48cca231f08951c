//! The loop over a machine's packets, connections, datagrams and questions.
//!
//! One task owns everything; each turn takes what there is, moves it on, and sleeps when nothing moves any more. A
//! connection of the machine is answered only once the host's own is made, so that the machine sees what became of it:
//! refused, unreachable, or there.
//!
//! Invariants: what is held is bounded by [`tcp::MAX_CONNECTIONS`] with their buffers, [`udp::MAX_ASSOCIATIONS`],
//! [`MAX_QUESTIONS`] and the link's queue; whatever does not fit is dropped, as networks do.

mod device;
mod tcp;
mod udp;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::Sleep;

use self::tcp::Connections;
use self::udp::Associations;
use crate::dns::Gate;
use crate::link::Open;
use crate::network::GATEWAY;
use crate::packet::{self, Datagram, Packet, Unreachable};
use crate::refused::{Reason, Refused, Transport};

/// The port of name servers.
const DNS: u16 = 53;

/// Most questions that wait for an answer.
const MAX_QUESTIONS: usize = 64;

/// Most packets that are taken before connections have their turn.
const PACKETS: usize = 64;

/// Most turns before other tasks of the thread have theirs.
const TURNS: usize = 16;

/// Who asked, and the answer.
type Answer = (u16, Option<Vec<u8>>);

/// A machine's network at work.
pub(crate) struct Stack {
    link: Open,
    gate: Arc<Gate>,
    connections: Connections,
    associations: Associations,
    questions: JoinSet<Answer>,
    timer: Pin<Box<Sleep>>,
}

impl Stack {
    /// A network behind this link. Needs a runtime.
    pub(crate) fn new(link: Open, gate: Arc<Gate>) -> Self {
        Self {
            link,
            connections: Connections::new(Arc::clone(&gate)),
            gate,
            associations: Associations::default(),
            questions: JoinSet::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Works until the machine's end of the link is closed.
    ///
    /// # Errors
    /// Of the link.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let ended = std::future::poll_fn(|context| self.poll_turns(context)).await;
        match ended {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            ended => ended,
        }
    }

    fn poll_turns(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            if !self.turn(context)? && !self.is_due(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves on what can be; `false` when nothing did.
    fn turn(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        for _ in 0..PACKETS {
            // What cannot be answered is not asked for.
            if !self.link.output.has_room() {
                break;
            }
            let Poll::Ready(packet) = self.link.poll_packet(context) else { break };
            self.take(packet?);
            moved = true;
        }
        while let Poll::Ready(Some(answered)) = self.questions.poll_join_next(context) {
            if let Ok((port, Some(answer))) = answered {
                packet::datagram(&mut self.link.output, (GATEWAY, DNS), port, &answer);
            }
            moved = true;
        }
        moved |= self.associations.poll(context, &mut self.link.output);
        moved |= self.connections.poll(context, &mut self.link.output);
        if let Poll::Ready(flushed) = self.link.poll_flush(context) {
            flushed?;
        }
        Ok(moved)
    }

    /// Whether something is to be done already; else the task is woken then.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let now = Instant::now();
        // Without room for its packets the stack waits for that.
        let connections = self.link.output.has_room().then(|| self.connections.due(now)).flatten();
        let due = [connections, self.associations.due()].into_iter().flatten().min();
        let Some(due) = due else { return false };
        self.timer.as_mut().reset(due.into());
        self.timer.as_mut().poll(context).is_ready()
    }

    fn take(&mut self, range: std::ops::Range<usize>) {
        let (input, output) = self.link.parts();
        let bytes = &input[range];
        match packet::read(bytes) {
            Packet::Tcp(segment) => self.connections.take(segment, bytes, output),
            Packet::Udp(datagram) if datagram.to == (GATEWAY, DNS) => {
                ask(&mut self.questions, &self.gate, datagram);
            }
            Packet::Udp(datagram) => self.associations.take(datagram, bytes, &self.gate, output),
            Packet::Echo(to) if to == GATEWAY => self.connections.take_other(bytes, output),
            Packet::Echo(to) => {
                self.gate.refuse(Refused {
                    name: None,
                    address: Some(to.into()),
                    port: None,
                    transport: Transport::Icmp,
                    reason: Reason::NotListed,
                    count: 1,
                });
                packet::unreachable(output, Unreachable::Host, bytes);
            }
            Packet::Version6(to, protocol, port) => self.gate.refuse(Refused {
                name: None,
                address: Some(Packet::version_6_destination(to)),
                port: Some(port),
                transport: if protocol == 6 { Transport::Tcp } else { Transport::Udp },
                reason: Reason::Version6,
                count: 1,
            }),
            Packet::Dropped => {}
        }
    }
}

fn ask(questions: &mut JoinSet<Answer>, gate: &Arc<Gate>, datagram: Datagram<'_>) {
    if questions.len() >= MAX_QUESTIONS {
        return;
    }
    let (gate, message, port) = (Arc::clone(gate), datagram.content.to_vec(), datagram.from_port);
    questions.spawn(async move { (port, gate.answer_datagram(&message).await) });
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stack").field("link", &self.link).finish_non_exhaustive()
    }
}
