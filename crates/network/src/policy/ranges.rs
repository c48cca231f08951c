//! Addresses that are no public host's.

use std::net::Ipv4Addr;

use super::Range;

/// What is private, the host's, a cloud's service for its machines, or nobody's: IANA's list of special purposes, and the
/// one address of Azure's that serves metadata from among the public ones.
const SPECIAL: [Range; 16] = [
    Range::new(Ipv4Addr::new(0, 0, 0, 0), 8),
    Range::new(Ipv4Addr::new(10, 0, 0, 0), 8),
    Range::new(Ipv4Addr::new(100, 64, 0, 0), 10),
    Range::new(Ipv4Addr::new(127, 0, 0, 0), 8),
    Range::new(Ipv4Addr::new(168, 63, 129, 16), 32),
    Range::new(Ipv4Addr::new(169, 254, 0, 0), 16),
    Range::new(Ipv4Addr::new(172, 16, 0, 0), 12),
    Range::new(Ipv4Addr::new(192, 0, 0, 0), 24),
    Range::new(Ipv4Addr::new(192, 0, 2, 0), 24),
    Range::new(Ipv4Addr::new(192, 88, 99, 0), 24),
    Range::new(Ipv4Addr::new(192, 168, 0, 0), 16),
    Range::new(Ipv4Addr::new(198, 18, 0, 0), 15),
    Range::new(Ipv4Addr::new(198, 51, 100, 0), 24),
    Range::new(Ipv4Addr::new(203, 0, 113, 0), 24),
    Range::new(Ipv4Addr::new(224, 0, 0, 0), 4),
    Range::new(Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Whether an address is no public host's.
pub fn is_special(address: Ipv4Addr) -> bool {
    SPECIAL.iter().any(|range| range.contains(address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::is_special;

    #[test]
    fn the_edges_of_ranges_are_right() {
        let check = |address: &str, expected| {
            assert_eq!(is_special(address.parse::<Ipv4Addr>().unwrap()), expected, "{address}");
        };
        for special in [
            "0.0.0.0",
            "10.255.255.255",
            "100.127.255.255",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.255.255",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            check(special, true);
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.0",
            "168.63.129.15",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
        ] {
            check(public, false);
        }
    }
}
