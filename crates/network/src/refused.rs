//! What was refused: each destination once, with how often.
//!
//! Whoever watches learns of a destination when it is refused for the first time, and of the rest when it asks
//! ([`Refusals::drain`]). The counts of what was told add up to what happened.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Most destinations between two drains; what is refused beyond them is counted together, without a destination.
pub const MAX_DESTINATIONS: usize = 256;

/// A destination that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name, where the machine asked for one. Text of the machine: letters, digits, dots, `-` and `_` only.
    pub name: Option<String>,
    /// The address; none where not even the name was resolved.
    pub address: Option<IpAddr>,
    /// The port, of what has one.
    pub port: Option<u16>,
    /// How it was to be reached.
    pub transport: Transport,
    /// Why not.
    pub reason: Reason,
    /// How often, since this destination was last told of.
    pub count: u64,
}

/// How a destination was to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A name was asked for.
    Dns,
    /// A connection.
    Tcp,
    /// A datagram.
    Udp,
    /// An echo.
    Icmp,
}

/// Why a destination was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The list does not name it.
    NotListed,
    /// It is a private address, and no rule names it.
    Private,
    /// It is the host itself.
    Host,
    /// The connection was to an address of a listed name, and asked for another name there.
    OtherName,
    /// Machines have no IPv6.
    Version6,
    /// More destinations were refused than are kept apart.
    Others,
}

impl Transport {
    /// The word for it: `dns`, `tcp`, `udp`, `icmp`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

impl Reason {
    /// The word for it: `not-listed`, `private`, `host`, `other-name`, `ipv6`, `others`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotListed => "not-listed",
            Self::Private => "private",
            Self::Host => "host",
            Self::OtherName => "other-name",
            Self::Version6 => "ipv6",
            Self::Others => "others",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Where a machine's refusals are collected. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Vec<Entry>>,
    changed: Notify,
}

#[derive(Debug)]
struct Entry {
    /// Its count is what was not yet told.
    refused: Refused,
    is_told: bool,
}

impl Refusals {
    /// Waits for a destination that was not told of since the last drain.
    pub async fn next(&self) -> Refused {
        loop {
            // Made before it is looked, so that no change is missed.
            let changed = self.0.changed.notified();
            if let Some(fresh) = self.fresh() {
                return fresh;
            }
            changed.await;
        }
    }

    fn fresh(&self) -> Option<Refused> {
        let mut entries = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.iter_mut().find(|entry| !entry.is_told)?;
        entry.is_told = true;
        let told = entry.refused.clone();
        entry.refused.count = 0;
        Some(told)
    }

    /// What was refused and not yet told; from now on every destination is a new one.
    pub fn drain(&self) -> Vec<Refused> {
        let mut entries = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *entries).into_iter().map(|entry| entry.refused);
        all.filter(|refused| refused.count > 0).collect()
    }

    /// Adds one; its count is how often.
    pub(crate) fn add(&self, refused: Refused) {
        let mut entries = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |entry: &&mut Entry| {
            let known = &entry.refused;
            (&known.name, known.address, known.port, known.transport, known.reason)
                == (&refused.name, refused.address, refused.port, refused.transport, refused.reason)
        };
        if let Some(entry) = entries.iter_mut().find(same) {
            entry.refused.count += refused.count;
        } else if entries.len() < MAX_DESTINATIONS {
            entries.push(Entry { refused, is_told: false });
            drop(entries);
            self.0.changed.notify_waiters();
        } else if let Some(Entry { refused: others, .. }) =
            entries.iter_mut().find(|entry| entry.refused.reason == Reason::Others)
        {
            others.count += refused.count;
        } else {
            let others = Refused { name: None, address: None, port: None, reason: Reason::Others, ..refused };
            entries.push(Entry { refused: others, is_told: false });
            drop(entries);
            self.0.changed.notify_waiters();
        }
    }
}

impl Refused {
    /// A name that was not resolved.
    pub(crate) fn name(name: String, address: Option<Ipv4Addr>, reason: Reason) -> Self {
        let address = address.map(IpAddr::V4);
        Self { name: Some(name), address, port: None, transport: Transport::Dns, reason, count: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DESTINATIONS, Reason, Refusals, Refused};

    fn refused(number: usize) -> Refused {
        Refused::name(format!("{number}.example"), None, Reason::NotListed)
    }

    #[tokio::test]
    async fn the_first_is_told_at_once_and_the_rest_with_the_drain() {
        let refusals = Refusals::default();
        let waiting = tokio::spawn({
            let refusals = refusals.clone();
            async move { refusals.next().await }
        });
        tokio::task::yield_now().await;
        refusals.add(refused(1));
        assert_eq!(waiting.await.unwrap(), refused(1));
        assert_eq!(refusals.drain(), []);
        refusals.add(refused(1));
        assert_eq!(refusals.next().await.count, 1);
        refusals.add(refused(1));
        refusals.add(refused(1));
        refusals.add(refused(2));
        assert_eq!(refusals.drain(), [Refused { count: 2, ..refused(1) }, refused(2)]);
        assert_eq!(refusals.drain(), []);
    }

    #[test]
    fn destinations_are_bounded_and_counts_are_not_lost() {
        let refusals = Refusals::default();
        for number in 0..10 * MAX_DESTINATIONS {
            refusals.add(refused(number));
        }
        let drained = refusals.drain();
        assert_eq!(drained.len(), MAX_DESTINATIONS + 1);
        assert_eq!(drained.iter().map(|refused| refused.count).sum::<u64>(), 10 * MAX_DESTINATIONS as u64);
        assert_eq!(drained.last().unwrap().reason, Reason::Others);
    }
}
