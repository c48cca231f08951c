//! The name server at the gateway.
//!
//! A question for a name that the policy does not admit is answered at once: there is no such name. Any other goes to the
//! host's name servers. Addresses that come back are pinned before the machine learns of them, with the name that it asked
//! for; those that it could not reach anyway it does not learn. There are no IPv6 addresses for machines, so every question
//! for one is answered with none.

mod message;
mod pins;
mod resolver;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::DuplexStream;
use tokio::time::timeout;

use self::message::{A, AAAA, Addresses, MessageError, Outcome, Question, SERVICE_BINDINGS};
use self::pins::Pins;
pub use self::resolver::Resolver;
use self::resolver::{ResolveError, read_message, write_message};
use crate::network::{GATEWAY, HOST_NAME};
use crate::policy::{Grant, Name, Policy, Sought};
use crate::refused::{Reason, Refusals, Refused, Transport};

/// Most addresses of one answer.
const MAX_ANSWERS: usize = 24;

/// The longest answer by datagram, in bytes.
const MAX_DATAGRAM: usize = 512;

/// How long a machine may keep an answer, in seconds: less than it is pinned for.
const MAX_LIFETIME: u32 = 300;

/// How long a connection for questions may say nothing.
const IDLE: Duration = Duration::from_secs(30);

/// What a machine may reach, with the names that it asked for.
#[derive(Debug)]
pub(crate) struct Gate {
    policy: Policy,
    resolver: Resolver,
    refusals: Refusals,
    pins: Mutex<Pins>,
}

impl Gate {
    pub(crate) fn new(policy: Policy, resolver: Resolver, refusals: Refusals) -> Arc<Self> {
        Arc::new(Self { policy, resolver, refusals, pins: Mutex::default() })
    }

    /// Judges a connection or a datagram; a refusal is recorded.
    pub(crate) fn connection(
        &self,
        address: Ipv4Addr,
        port: u16,
        transport: Transport,
    ) -> Result<Grant, Reason> {
        let names = self.names(address);
        let judged = if address == GATEWAY {
            self.policy.host(port).map(|()| Grant::Address)
        } else {
            let is_own = is_own(address);
            self.policy.connection(Sought { address, port, names: &names, is_own })
        };
        if let Err(reason) = judged {
            let name = names.first().map(Name::to_string);
            self.refuse(Refused {
                name,
                address: Some(address.into()),
                port: Some(port),
                transport,
                reason,
                count: 1,
            });
        }
        judged
    }

    /// Judges the name that the first bytes of a connection ask for; a refusal is recorded.
    pub(crate) fn asked_for(&self, name: &Name, address: Ipv4Addr, port: u16) -> bool {
        let may = self.policy.may_ask_for(name, port);
        if !may {
            self.refuse(Refused {
                name: Some(name.to_string()),
                address: Some(address.into()),
                port: Some(port),
                transport: Transport::Tcp,
                reason: Reason::OtherName,
                count: 1,
            });
        }
        may
    }

    pub(crate) fn refuse(&self, refused: Refused) {
        self.refusals.add(refused);
    }

    fn names(&self, address: Ipv4Addr) -> Vec<Name> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).names(address, Instant::now())
    }

    /// The answer to a datagram with a question; none to what is no question.
    pub(crate) async fn answer_datagram(&self, message: &[u8]) -> Option<Vec<u8>> {
        match Question::parse(message)? {
            Err(refusal) => Some(refusal),
            Ok(question) => {
                let answer = self.answer(&question).await;
                Some(if answer.len() > MAX_DATAGRAM { question.truncated() } else { answer })
            }
        }
    }

    /// Answers the questions of a connection, one after another, to its end.
    pub(crate) async fn answer_stream(&self, mut stream: DuplexStream) {
        while let Ok(Ok(Some(message))) = timeout(IDLE, read_message(&mut stream)).await {
            let answer = match Question::parse(&message) {
                None => return,
                Some(Err(refusal)) => refusal,
                Some(Ok(question)) => self.answer(&question).await,
            };
            if write_message(&mut stream, &answer).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, question: &Question) -> Vec<u8> {
        let name = &question.name;
        if name.as_str() == HOST_NAME && self.policy.has_host() {
            return match question.kind {
                A => question.with(&Addresses { addresses: vec![GATEWAY], lifetime: MAX_LIFETIME }),
                _ => question.without(Outcome::Answered),
            };
        }
        if !self.policy.may_resolve(name) {
            // Who asks for one kind of address asks for the other as well.
            if question.kind != AAAA {
                self.refuse(Refused::name(name.to_string(), None, Reason::NotListed));
            }
            return question.without(Outcome::NoSuchName);
        }
        match question.kind {
            A => match self.resolve(question).await {
                Ok(found) => self.pinned(question, found),
                Err(error) => question.without(outcome(&error)),
            },
            kind if kind == AAAA || SERVICE_BINDINGS.contains(&kind) => question.without(Outcome::Answered),
            _ => match self.resolver.ask(question).await {
                Ok(message) => question.adopt(message),
                Err(error) => question.without(outcome(&error)),
            },
        }
    }

    async fn resolve(&self, question: &Question) -> Result<Addresses, ResolveError> {
        let addresses = self.resolver.in_file(&question.name).await;
        if !addresses.is_empty() {
            return Ok(Addresses { addresses, lifetime: MAX_LIFETIME });
        }
        let message = self.resolver.ask(question).await?;
        Ok(question.addresses(&message)?)
    }

    /// The answer with those of the addresses that the machine may know, which are pinned.
    fn pinned(&self, question: &Question, found: Addresses) -> Vec<u8> {
        let name = &question.name;
        let (known, hidden): (Vec<Ipv4Addr>, Vec<Ipv4Addr>) = found
            .addresses
            .into_iter()
            .take(MAX_ANSWERS)
            .partition(|&address| self.policy.may_answer(name, address, is_own(address)));
        if let Some(&address) = hidden.first() {
            let reason = if is_own(address) { Reason::Host } else { Reason::Private };
            self.refuse(Refused::name(name.to_string(), Some(address), reason));
        }
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for &address in &known {
            pins.add(name, address, found.lifetime, now);
        }
        question.with(&Addresses { addresses: known, lifetime: found.lifetime.min(MAX_LIFETIME) })
    }
}

fn outcome(error: &ResolveError) -> Outcome {
    match error {
        ResolveError::Message(MessageError::NoSuchName) => Outcome::NoSuchName,
        ResolveError::Message(_) | ResolveError::Unanswered => Outcome::Failed,
    }
}

/// Whether an address is one of this host's: packets to it would start from itself, or a socket may have it.
fn is_own(address: Ipv4Addr) -> bool {
    /// An address that no host has: where a socket may have even this one, that it may proves nothing.
    const NOBODY: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
    let may_have = |address: Ipv4Addr| std::net::UdpSocket::bind((address, 0)).is_ok();
    let starts_from = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((address, 9)).ok()?;
        socket.local_addr().ok()
    };
    address.is_loopback()
        || starts_from().is_some_and(|local| local.ip() == address)
        || (may_have(address) && !may_have(NOBODY))
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn the_hosts_addresses_are_known() {
        assert!(is_own([127, 0, 0, 1].into()));
        assert!(is_own([127, 9, 9, 9].into()));
        assert!(!is_own([1, 1, 1, 1].into()));
    }
}
