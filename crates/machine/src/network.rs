//! Networks of machines: what a guest is told of its own, and proxies on the way.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use guest::protocol::NetworkConfiguration;
use network::{GATEWAY, GUEST, Link, MTU, Network, PREFIX_LENGTH, Resolver, Settings};
pub use network::{Policy, PolicyError, Refusals, Refused, Rule};

use crate::spec::Caller;

/// The clone device of network devices.
pub(crate) const CLONE_DEVICE: &str = "/dev/net/tun";

/// Variables that name a proxy.
const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// A proxy that the caller's environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The variable.
    pub variable: &'static str,
    /// Its host: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Proxy {
    /// Whether it is at the host's loopback interface, which is not the machine's.
    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The proxy as a destination; none where it is no IPv4 address and no name.
    pub fn rule(&self) -> Option<Rule> {
        let host = if self.is_local() { "host" } else { self.host.as_str() };
        format!("{host}:{}", self.port).parse().ok()
    }

    /// The proxies of a caller, each once.
    pub fn of(caller: &Caller) -> Vec<Self> {
        let mut proxies: Vec<Self> = Vec::new();
        for variable in PROXIES {
            let Some((_, host, port, _)) = caller.variable(variable).and_then(parts) else { continue };
            if !proxies.iter().any(|known| known.host == host && known.port == port) {
                proxies.push(Self { variable, host: host.to_owned(), port });
            }
        }
        proxies
    }
}

/// A proxy's value split: what is before its host, the host, the port, and what is after.
fn parts(value: &str) -> Option<(&str, &str, u16, &str)> {
    let start = value.find("://").map_or(0, |scheme| scheme + 3);
    let end = value[start..].find(['/', '?', '#']).map_or(value.len(), |length| start + length);
    let host = value[start..end].rfind('@').map_or(start, |user| start + user + 1);
    let default = match &value[..start] {
        "https://" => 443,
        "socks4://" | "socks5://" | "socks5h://" => 1080,
        _ => 80,
    };
    let (name, port) = match value[host..end].rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()?),
        _ => (&value[host..end], default),
    };
    (!name.is_empty()).then_some((&value[..host], name, port, &value[end..]))
}

/// A proxy's value as it works in a machine with a network of its own: the host's loopback interface is at the gateway.
pub(crate) fn seen_from_machine(value: &str) -> String {
    match parts(value) {
        Some((before, host, port, after))
            if (Proxy { variable: "", host: host.to_owned(), port }).is_local() =>
        {
            format!("{before}{GATEWAY}:{port}{after}")
        }
        _ => value.to_owned(),
    }
}

/// What a guest is told of its network.
pub(crate) fn configuration() -> NetworkConfiguration {
    NetworkConfiguration {
        address: GUEST,
        prefix: PREFIX_LENGTH,
        gateway: Some(GATEWAY),
        name_servers: vec![IpAddr::V4(GATEWAY)],
        hardware_address: None,
        mtu: Some(MTU),
    }
}

/// The text of `/etc/resolv.conf` in a machine.
pub(crate) fn resolver_file() -> String {
    let gateway: Ipv4Addr = GATEWAY;
    format!("nameserver {gateway}\n")
}

/// Starts the network of a machine, whose end `link` gives.
pub(crate) fn start(
    policy: &Arc<Policy>,
    link: impl FnOnce() -> io::Result<Link> + Send + 'static,
) -> io::Result<Network> {
    Network::start(Settings { policy: Policy::clone(policy), resolver: Resolver::default() }, link)
}

#[cfg(test)]
mod tests {
    use super::{Proxy, seen_from_machine};
    use crate::spec::Caller;

    #[test]
    fn proxies_are_found_once() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let caller = Caller {
            environment: vec![
                variable("http_proxy", "http://user:pw@proxy.corp:3128/"),
                variable("HTTPS_PROXY", "proxy.corp:3128"),
                variable("ALL_PROXY", "socks5://127.0.0.1"),
                variable("https_proxy", "http://"),
            ],
            ..Caller::default()
        };
        let found = Proxy::of(&caller);
        let shown: Vec<_> =
            found.iter().map(|proxy| (proxy.host.as_str(), proxy.port, proxy.is_local())).collect();
        assert_eq!(shown, [("proxy.corp", 3128, false), ("127.0.0.1", 1080, true)]);
    }

    #[test]
    fn a_proxy_of_the_host_is_at_the_gateway() {
        let check = |value: &str, expected: &str| assert_eq!(seen_from_machine(value), expected);
        check("http://u:p@localhost:3128/x", "http://u:p@198.18.0.1:3128/x");
        check("127.0.0.1:80", "198.18.0.1:80");
        check("http://proxy.corp:3128", "http://proxy.corp:3128");
        check("http://[::1]", "http://[::1]");
    }
}
