//! One entry of a list: a name, names below one, addresses, everything public, or the host; each with a port or without.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{MAX_RULES, Name};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is meant.
    pub target: Target,
    /// The only port; every one without.
    pub port: Option<u16>,
}

/// What an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `*`: everything public.
    Any,
    /// `host`: services of the host's loopback interface, at the gateway's address.
    Host,
    /// `example.com`: this name.
    Name(Name),
    /// `*.example.com`: names below this one, not itself.
    Below(Name),
    /// `192.0.2.1`, `192.0.2.0/24`: these addresses.
    Range(Range),
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    network: u32,
    length: u8,
}

/// Why a text is no entry, or a list is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is none of the forms.
    #[error("`{entry}` is not a destination: {reason}")]
    Entry {
        /// The text.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are more entries than are looked at for each connection.
    #[error("{count} destinations are more than the {MAX_RULES} that a list may have")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl Range {
    /// The addresses that have the first `length` bits of `address`.
    pub(super) const fn new(address: Ipv4Addr, length: u8) -> Self {
        Self { network: address.to_bits() & Self::mask(length), length }
    }

    const fn mask(length: u8) -> u32 {
        match u32::MAX.checked_shl(32 - length as u32) {
            Some(mask) => mask,
            None => 0,
        }
    }

    /// Whether an address is among them.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & Self::mask(self.length) == self.network
    }
}

impl Rule {
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }
}

impl Target {
    pub(crate) fn has_name(&self, name: &Name) -> bool {
        match self {
            Self::Any => true,
            Self::Name(only) => only == name,
            Self::Below(above) => name.is_below(above),
            Self::Host | Self::Range(_) => false,
        }
    }

    /// Whether the entry names this address itself.
    pub(crate) fn has_address(&self, address: Ipv4Addr) -> bool {
        matches!(self, Self::Range(range) if range.contains(address))
    }
}

impl FromStr for Rule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let wrong = |reason| PolicyError::Entry { entry: text.to_owned(), reason };
        if text.contains("://") {
            return Err(wrong("a name or an address without `https://` and without a path is expected"));
        }
        if text.starts_with('[') || text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
            return Err(wrong("machines have no IPv6 here, so there are only IPv4 addresses and names"));
        }
        let (target, port) = match text.split_once(':') {
            None => (text, None),
            Some((target, port)) => {
                let number = port.parse::<u16>().ok().filter(|&number| number > 0 && !port.starts_with('+'));
                (target, Some(number.ok_or_else(|| wrong("a port is a number from 1 to 65535"))?))
            }
        };
        Ok(Self { target: target_of(target).map_err(wrong)?, port })
    }
}

fn target_of(text: &str) -> Result<Target, &'static str> {
    const NO_NAME: &str = "a name has letters, digits, `-` and `_` between its dots; one in another script is \
                           written in its `xn--` form";
    match text {
        "" => return Err("it is empty"),
        "*" => return Ok(Target::Any),
        "host" => return Ok(Target::Host),
        _ => {}
    }
    if let Some(above) = text.strip_prefix("*.") {
        return Name::parse(above).map(Target::Below).ok_or(NO_NAME);
    }
    if text.contains('*') {
        return Err("`*` stands alone or before the first dot");
    }
    if let Some((address, length)) = text.split_once('/') {
        let address: Ipv4Addr = address.parse().map_err(|_| "before the `/` an address is expected")?;
        let length = length.parse::<u8>().ok().filter(|&bits| bits <= 32 && !length.starts_with('+'));
        let length = length.ok_or("after the `/` a number of bits from 0 to 32 is expected")?;
        let range = Range::new(address, length);
        if range.network != address.to_bits() {
            return Err("the address has bits beyond those that the `/` keeps");
        }
        return Ok(Target::Range(range));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Target::Range(Range::new(address, 32)));
    }
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    if text.trim_end_matches('.').rsplit('.').next().is_some_and(is_number) {
        return Err("an address has four numbers from 0 to 255");
    }
    Name::parse(text).map(Target::Name).ok_or(NO_NAME)
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Any => formatter.write_str("*")?,
            Target::Host => formatter.write_str("host")?,
            Target::Name(name) => write!(formatter, "{name}")?,
            Target::Below(name) => write!(formatter, "*.{name}")?,
            Target::Range(Range { network, length: 32 }) => {
                write!(formatter, "{}", Ipv4Addr::from_bits(*network))?;
            }
            Target::Range(Range { network, length }) => {
                write!(formatter, "{}/{length}", Ipv4Addr::from_bits(*network))?;
            }
        }
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::super::Name;
    use super::{PolicyError, Range, Rule};

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = text.parse::<Rule>();
        let found = found.as_ref().map(Rule::to_string).map_err(|error| match error {
            PolicyError::Entry { reason, .. } => *reason,
            PolicyError::TooMany { .. } => "too many",
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, _) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn entries_have_few_forms() {
        check("GitHub.com", Ok("github.com"));
        check("github.com.", Ok("github.com"));
        check("github.com:443", Ok("github.com:443"));
        check("*.github.com:443", Ok("*.github.com:443"));
        check("registry", Ok("registry"));
        check("10.0.0.0/8", Ok("10.0.0.0/8"));
        check("0.0.0.0/0:80", Ok("0.0.0.0/0:80"));
        check("10.1.2.3:5432", Ok("10.1.2.3:5432"));
        check("*", Ok("*"));
        check("*:443", Ok("*:443"));
        check("host:8080", Ok("host:8080"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("", Err("empty"));
        check(":80", Err("empty"));
        check("https://github.com/a", Err("without `https://`"));
        check("a..b", Err("between its dots"));
        check("a b", Err("between its dots"));
        check("münchen.de", Err("xn--"));
        check("g*.com", Err("before the first dot"));
        check("*.*.com", Err("between its dots"));
        check("a:0", Err("a port"));
        check("a:+1", Err("a port"));
        check("a:65536", Err("a port"));
        check("10.0.0.1/8", Err("bits beyond"));
        check("10.0.0.0/33", Err("from 0 to 32"));
        check("10.0.0", Err("four numbers"));
        check("10.0.0.256", Err("four numbers"));
        check("::1", Err("no IPv6"));
        check("[::1]:80", Err("no IPv6"));
        check("fc00::/7", Err("no IPv6"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "(\\*\\.)?[a-z0-9.*/:_-]{0,24}") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
            }
        }

        #[test]
        fn any_text_is_an_entry_or_an_error(text in "\\PC*") {
            let _ = text.parse::<Rule>();
        }

        #[test]
        fn a_range_has_what_shares_its_bits(network: u32, other: u32, length in 0u8..=32) {
            let range = Range::new(Ipv4Addr::from_bits(network), length);
            let shared = (network ^ other).leading_zeros() >= u32::from(length);
            prop_assert_eq!(range.contains(Ipv4Addr::from_bits(other)), shared);
        }

        #[test]
        fn a_name_is_below_those_that_end_it(above in "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}", label in "[a-z0-9]{1,5}") {
            let (name, below) = (Name::parse(&above), Name::parse(&format!("{label}.{above}")));
            let (name, below) = (name.expect("a name"), below.expect("a name"));
            prop_assert!(below.is_below(&name));
            prop_assert!(!name.is_below(&name) && !name.is_below(&below));
            let glued = Name::parse(&format!("{label}{above}")).expect("a name");
            prop_assert!(!glued.is_below(&name));
        }

        #[test]
        fn a_list_has_what_one_of_its_entries_has(
            names in proptest::collection::vec("[a-c]{1,2}\\.[xy]", 0..6), asked in "[a-c]{1,2}\\.[xy]", port in any::<u16>(),
        ) {
            let rules = names.iter().map(|name| name.parse().expect("an entry")).collect();
            let policy = super::super::Policy::list(rules, Vec::new()).expect("few");
            let asked_name = Name::parse(&asked).expect("a name");
            prop_assert_eq!(policy.may_ask_for(&asked_name, port), names.contains(&asked));
        }
    }
}
