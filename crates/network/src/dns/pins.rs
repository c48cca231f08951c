//! The addresses that a machine was answered, with the names that it asked for.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::policy::Name;

/// Most addresses that are kept; what ends first makes room.
pub(super) const MAX_ADDRESSES: usize = 8192;

/// Most names of one address.
const MAX_NAMES: usize = 32;

/// How long an answer counts at least: programs keep addresses longer than they should.
const LEAST: Duration = Duration::from_secs(600);

/// How long an answer counts at most.
const MOST: Duration = Duration::from_secs(3600);

/// The pins of a machine.
#[derive(Debug, Default)]
pub(super) struct Pins(HashMap<Ipv4Addr, Vec<(Name, Instant)>>);

impl Pins {
    /// Keeps that a name was answered with this address, for so many seconds.
    pub(super) fn add(&mut self, name: &Name, address: Ipv4Addr, lifetime: u32, now: Instant) {
        let until = now + Duration::from_secs(lifetime.into()).clamp(LEAST, MOST);
        if !self.0.contains_key(&address) && self.0.len() >= MAX_ADDRESSES {
            self.make_room(now);
        }
        let names = self.0.entry(address).or_default();
        names.retain(|(known, until)| known != name && *until > now);
        if names.len() >= MAX_NAMES {
            names.remove(0);
        }
        names.push((name.clone(), until));
    }

    /// The names that were answered with this address.
    pub(super) fn names(&self, address: Ipv4Addr, now: Instant) -> Vec<Name> {
        let names = self.0.get(&address).map(Vec::as_slice).unwrap_or_default();
        names.iter().rev().filter(|(_, until)| *until > now).map(|(name, _)| name.clone()).collect()
    }

    fn make_room(&mut self, now: Instant) {
        let ends = |names: &[(Name, Instant)]| names.iter().map(|(_, until)| *until).max();
        self.0.retain(|_, names| ends(names).is_some_and(|end| end > now));
        if self.0.len() >= MAX_ADDRESSES {
            let first = self.0.iter().min_by_key(|(_, names)| ends(names)).map(|(address, _)| *address);
            first.and_then(|address| self.0.remove(&address));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    use super::{LEAST, MAX_ADDRESSES, MAX_NAMES, MOST, Pins};
    use crate::policy::Name;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn pins_end() {
        let start = Instant::now();
        let mut pins = Pins::default();
        let address = Ipv4Addr::new(1, 1, 1, 1);
        pins.add(&name("short"), address, 0, start);
        pins.add(&name("long"), address, u32::MAX, start);
        let check = |after: Duration, expected: &[&str]| {
            let names = pins.names(address, start + after);
            assert_eq!(names, expected.iter().map(|text| name(text)).collect::<Vec<_>>(), "{after:?}");
        };
        check(LEAST - Duration::from_secs(1), &["long", "short"]);
        check(LEAST, &["long"]);
        check(MOST, &[]);
    }

    #[test]
    fn ten_thousand_names_are_bounded() {
        let start = Instant::now();
        let mut pins = Pins::default();
        for number in 0..10_000_u32 {
            pins.add(&name(&format!("n{number}")), Ipv4Addr::from_bits(number), number, start);
            pins.add(&name(&format!("n{number}")), Ipv4Addr::new(9, 9, 9, 9), u32::MAX, start);
        }
        assert!(pins.0.len() <= MAX_ADDRESSES);
        assert_eq!(pins.names(Ipv4Addr::new(9, 9, 9, 9), start).len(), MAX_NAMES);
        assert_eq!(pins.names(Ipv4Addr::from_bits(9_999), start), [name("n9999")]);
    }
}
