//! What a machine may reach.
//!
//! A [`Policy`] is a reach, either everything public or a list, and exceptions. A private address, and each of the host's
//! own, is reached only where a rule names it: an address of the list or an exception. A name of the list alone never leads
//! to one, whatever is answered for it; a name among the exceptions does.

mod name;
mod ranges;
mod rule;

use std::net::Ipv4Addr;

pub use self::name::Name;
pub use self::ranges::is_special;
pub use self::rule::{PolicyError, Range, Rule, Target};
use crate::refused::Reason;

/// Most rules of a policy, list and exceptions together.
pub const MAX_RULES: usize = 4096;

/// What a machine may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    reach: Reach,
    exceptions: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Public,
    List(Vec<Rule>),
}

/// By what a connection is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The address itself.
    Address,
    /// A name that was answered with this address: others may be there too.
    Name,
}

/// A destination, as the policy judges it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'a> {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    /// The names that the machine was answered this address for.
    pub(crate) names: &'a [Name],
    /// Whether the address is one of the host's.
    pub(crate) is_own: bool,
}

impl Default for Policy {
    /// Everything public.
    fn default() -> Self {
        Self { reach: Reach::Public, exceptions: Vec::new() }
    }
}

impl Policy {
    /// Everything public, and the exceptions.
    ///
    /// # Errors
    /// When there are too many rules.
    pub fn public(exceptions: Vec<Rule>) -> Result<Self, PolicyError> {
        Self { reach: Reach::Public, exceptions }.bounded()
    }

    /// What the list names, and the exceptions; nothing else.
    ///
    /// # Errors
    /// When there are too many rules.
    pub fn list(list: Vec<Rule>, exceptions: Vec<Rule>) -> Result<Self, PolicyError> {
        Self { reach: Reach::List(list), exceptions }.bounded()
    }

    fn bounded(self) -> Result<Self, PolicyError> {
        let count = self.list_rules().len() + self.exceptions.len();
        if count > MAX_RULES { Err(PolicyError::TooMany { count }) } else { Ok(self) }
    }

    /// The list; none where everything public is admitted.
    pub fn listed(&self) -> Option<&[Rule]> {
        match &self.reach {
            Reach::Public => None,
            Reach::List(rules) => Some(rules),
        }
    }

    /// What is admitted besides, private or not.
    pub fn exceptions(&self) -> &[Rule] {
        &self.exceptions
    }

    fn list_rules(&self) -> &[Rule] {
        match &self.reach {
            Reach::Public => &[],
            Reach::List(rules) => rules,
        }
    }

    /// Whether everything public may be reached.
    fn is_public(&self) -> bool {
        matches!(self.reach, Reach::Public)
    }

    /// Whether one of the rules is this one, or this one without its port.
    pub fn admits(&self, rule: &Rule) -> bool {
        let mut rules = self.list_rules().iter().chain(&self.exceptions);
        rules.any(|known| known.target == rule.target && (known.port == rule.port || known.port.is_none()))
    }

    /// Whether the machine may ask for this name.
    pub(crate) fn may_resolve(&self, name: &Name) -> bool {
        let mut rules = self.list_rules().iter().chain(&self.exceptions);
        self.is_public() || rules.any(|rule| rule.target.has_name(name))
    }

    /// Whether the host's own name is one of the exceptions, or in the list.
    pub(crate) fn has_host(&self) -> bool {
        self.list_rules().iter().chain(&self.exceptions).any(|rule| rule.target == Target::Host)
    }

    /// Whether the machine may be told that this name has this address. A private address that no rule names would be
    /// refused anyway, and is nobody's business.
    pub(crate) fn may_answer(&self, name: &Name, address: Ipv4Addr, is_own: bool) -> bool {
        let names_address = |rule: &Rule| rule.target.has_address(address);
        !(is_special(address) || is_own)
            || self.exceptions.iter().any(|rule| rule.target.has_name(name) || names_address(rule))
            || self.list_rules().iter().any(names_address)
    }

    /// Whether the host's own services may be reached at this port.
    pub(crate) fn host(&self, port: u16) -> Result<(), Reason> {
        let mut rules = self.list_rules().iter().chain(&self.exceptions);
        let admits = |rule: &Rule| rule.target == Target::Host && rule.has_port(port);
        if rules.any(admits) { Ok(()) } else { Err(Reason::Host) }
    }

    /// Whether a connection may be made, and by what.
    pub(crate) fn connection(&self, sought: Sought<'_>) -> Result<Grant, Reason> {
        let Sought { address, port, names, is_own } = sought;
        let has_name = |rule: &&Rule| names.iter().any(|name| rule.target.has_name(name));
        let of = |rules: &'_ [Rule], has: &dyn Fn(&&Rule) -> bool| {
            rules.iter().filter(|rule| rule.has_port(port)).any(|rule| has(&rule))
        };
        let has_address = |rule: &&Rule| rule.target.has_address(address);
        if of(&self.exceptions, &has_address) || of(self.list_rules(), &has_address) {
            return Ok(Grant::Address);
        }
        if of(&self.exceptions, &has_name) {
            return Ok(Grant::Name);
        }
        if is_own {
            return Err(Reason::Host);
        }
        if is_special(address) {
            return Err(Reason::Private);
        }
        if self.is_public() || of(self.list_rules(), &|rule| rule.target == Target::Any) {
            return Ok(Grant::Address);
        }
        if of(self.list_rules(), &has_name) { Ok(Grant::Name) } else { Err(Reason::NotListed) }
    }

    /// Whether a connection at this port, admitted by a name, may go on to ask for this one.
    pub(crate) fn may_ask_for(&self, name: &Name, port: u16) -> bool {
        let mut rules = self.list_rules().iter().chain(&self.exceptions);
        rules.any(|rule| rule.has_port(port) && rule.target.has_name(name))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Grant, Name, Policy, Rule, Sought};
    use crate::refused::Reason;

    fn rules(text: &str) -> Vec<Rule> {
        text.split_whitespace().map(|rule| rule.parse().unwrap()).collect()
    }

    fn listed(list: &str, exceptions: &str) -> Policy {
        Policy::list(rules(list), rules(exceptions)).unwrap()
    }

    fn check(policy: &Policy, destination: &str, name: Option<&str>, expected: Result<Grant, Reason>) {
        let (address, port) = destination.split_once(':').unwrap();
        let names: Vec<Name> = name.iter().map(|name| Name::parse(name).unwrap()).collect();
        let address: Ipv4Addr = address.parse().unwrap();
        let sought = Sought { address, port: port.parse().unwrap(), names: &names, is_own: false };
        assert_eq!(policy.connection(sought), expected, "{destination} {name:?} in {policy:?}");
    }

    #[test]
    fn everything_public_is_reached_and_nothing_private() {
        let policy = Policy::public(Vec::new()).unwrap();
        check(&policy, "1.1.1.1:443", None, Ok(Grant::Address));
        for private in
            ["10.0.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.169.254", "127.0.0.1"]
        {
            check(&policy, &format!("{private}:80"), Some("public.example"), Err(Reason::Private));
        }
        check(&policy, "172.32.0.1:80", None, Ok(Grant::Address));
    }

    #[test]
    fn an_address_of_the_host_is_refused_though_public() {
        let policy = Policy::public(Vec::new()).unwrap();
        let sought = |policy: &Policy| {
            policy.connection(Sought { address: [1, 2, 3, 4].into(), port: 22, names: &[], is_own: true })
        };
        assert_eq!(sought(&policy), Err(Reason::Host));
        assert_eq!(sought(&Policy::public(rules("1.2.3.4:22")).unwrap()), Ok(Grant::Address));
        assert_eq!(sought(&Policy::public(rules("1.2.3.4:80")).unwrap()), Err(Reason::Host));
        assert_eq!(sought(&listed("*", "")), Err(Reason::Host));
    }

    #[test]
    fn a_list_admits_what_it_names() {
        let policy = listed("github.com:443 *.example.com 9.9.9.0/24:53 10.1.2.3:5432", "");
        check(&policy, "140.82.121.4:443", Some("github.com"), Ok(Grant::Name));
        check(&policy, "140.82.121.4:22", Some("github.com"), Err(Reason::NotListed));
        check(&policy, "140.82.121.4:443", None, Err(Reason::NotListed));
        check(&policy, "140.82.121.4:443", Some("evil.github.com"), Err(Reason::NotListed));
        check(&policy, "93.184.216.34:1", Some("a.b.example.com"), Ok(Grant::Name));
        check(&policy, "93.184.216.34:1", Some("example.com"), Err(Reason::NotListed));
        check(&policy, "93.184.216.34:1", Some("badexample.com"), Err(Reason::NotListed));
        check(&policy, "9.9.9.77:53", None, Ok(Grant::Address));
        check(&policy, "9.9.9.77:853", None, Err(Reason::NotListed));
        check(&policy, "10.1.2.3:5432", None, Ok(Grant::Address));
        check(&policy, "10.1.2.3:22", None, Err(Reason::Private));
    }

    #[test]
    fn a_listed_name_does_not_lead_to_private_addresses_but_an_exception_does() {
        check(&listed("a.example", ""), "10.0.0.1:80", Some("a.example"), Err(Reason::Private));
        check(&listed("*", ""), "10.0.0.1:80", Some("a.example"), Err(Reason::Private));
        check(&listed("", "a.example:80"), "10.0.0.1:80", Some("a.example"), Ok(Grant::Name));
        check(&listed("", "a.example:80"), "10.0.0.1:81", Some("a.example"), Err(Reason::Private));
        let name = Name::parse("a.example").unwrap();
        assert!(!listed("a.example", "").may_answer(&name, [10, 0, 0, 1].into(), false));
        assert!(listed("a.example 10.0.0.1", "").may_answer(&name, [10, 0, 0, 1].into(), false));
        assert!(listed("", "a.example").may_answer(&name, [10, 0, 0, 1].into(), false));
        assert!(!listed("a.example", "").may_answer(&name, [1, 1, 1, 1].into(), true));
        assert!(listed("a.example", "").may_answer(&name, [1, 1, 1, 1].into(), false));
    }

    #[test]
    fn the_hosts_services_are_reached_by_port() {
        assert_eq!(listed("host:5432", "").host(5432), Ok(()));
        assert_eq!(listed("host:5432", "").host(22), Err(Reason::Host));
        assert_eq!(listed("*", "").host(80), Err(Reason::Host));
        assert_eq!(Policy::public(rules("host")).unwrap().host(80), Ok(()));
        assert!(!listed("*", "").has_host());
    }
}
