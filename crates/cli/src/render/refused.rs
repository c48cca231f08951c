//! What is said of a destination that a machine's network refused.

use run::event::NetworkRefusal;

use super::text::shown;

/// Said when a step meets a destination for the first time.
pub(crate) fn line(refusal: &NetworkRefusal) -> String {
    format!("network: refused {}: {}", destination(refusal), reason(refusal))
}

/// Said at the end, with how often.
pub(crate) fn summary(refusal: &NetworkRefusal) -> String {
    let times = match refusal.count {
        1 => String::new(),
        count => format!(" ({count} times)"),
    };
    format!("{}{times}: {}", destination(refusal), reason(refusal))
}

/// What admits the destination, where it has a name of its own.
pub(crate) fn help(refusal: &NetworkRefusal) -> Option<String> {
    let target = match (refusal.reason.as_str(), &refusal.name, &refusal.address) {
        ("ipv6" | "others", ..) => return None,
        ("host", None, Some(_)) if refusal.port.is_some() => "host".to_owned(),
        (_, Some(name), _) => shown(name, false).into_owned(),
        (_, None, Some(address)) => shown(address, false).into_owned(),
        (_, None, None) => return None,
    };
    let port = refusal.port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("`--network-allow {target}{port}` admits the first of them"))
}

fn destination(refusal: &NetworkRefusal) -> String {
    let port = refusal.port.map(|port| format!(":{port}")).unwrap_or_default();
    let what = match (&refusal.name, &refusal.address) {
        (Some(name), Some(address)) => format!("{}{port} ({})", shown(name, false), shown(address, false)),
        (Some(only), None) | (None, Some(only)) => format!("{}{port}", shown(only, false)),
        (None, None) => "further destinations".to_owned(),
    };
    match refusal.transport.as_str() {
        "dns" => format!("the name {what}"),
        "icmp" => format!("an echo of {what}"),
        transport => format!("{what} by {}", shown(transport, false).to_uppercase()),
    }
}

fn reason(refusal: &NetworkRefusal) -> String {
    match refusal.reason.as_str() {
        "not-listed" => "the list does not name it".to_owned(),
        "private" => "the address is private".to_owned(),
        "host" => "it is this host".to_owned(),
        "other-name" => {
            "the address was reached under another name, and the list does not name this one".to_owned()
        }
        "ipv6" => "machines have no IPv6".to_owned(),
        "others" => "there were too many to tell them apart".to_owned(),
        other => shown(other, false).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use run::event::NetworkRefusal;

    use super::{help, line, summary};

    fn refusal(
        name: Option<&str>,
        address: Option<&str>,
        port: Option<u16>,
        transport: &str,
    ) -> NetworkRefusal {
        let [name, address] = [name, address].map(|text| text.map(str::to_owned));
        let (transport, reason) = (transport.to_owned(), "not-listed".to_owned());
        NetworkRefusal { name, address, port, transport, reason, count: 1 }
    }

    #[test]
    fn destinations_are_named_as_well_as_they_are_known() {
        let check = |refusal: &NetworkRefusal, expected: &str| {
            assert_eq!(line(refusal), format!("network: refused {expected}: the list does not name it"));
        };
        check(&refusal(Some("a.example"), None, None, "dns"), "the name a.example");
        check(
            &refusal(Some("a.example"), Some("1.2.3.4"), Some(443), "tcp"),
            "a.example:443 (1.2.3.4) by TCP",
        );
        check(&refusal(None, Some("1.2.3.4"), Some(443), "udp"), "1.2.3.4:443 by UDP");
        check(&refusal(None, Some("1.2.3.4"), None, "icmp"), "an echo of 1.2.3.4");
        check(&refusal(Some("a\u{1b}[2J"), None, None, "dns"), "the name a");
    }

    #[test]
    fn the_end_says_how_often_and_what_helps() {
        let often = NetworkRefusal { count: 3, ..refusal(None, Some("1.2.3.4"), Some(443), "tcp") };
        assert_eq!(summary(&often), "1.2.3.4:443 by TCP (3 times): the list does not name it");
        assert_eq!(help(&often).as_deref(), Some("`--network-allow 1.2.3.4:443` admits the first of them"));
        let host = NetworkRefusal { reason: "host".to_owned(), ..often };
        assert_eq!(help(&host).as_deref(), Some("`--network-allow host:443` admits the first of them"));
    }
}
