//! The name that a connection asks for in its first bytes: that of a TLS client hello, or the host of an HTTP request.
//!
//! An address may serve many names. A connection that was admitted because of one name, and then says that it wants
//! another, is none that the policy admits.

use crate::policy::Name;

/// Most bytes that are looked at.
pub(crate) const MAX_HELLO: usize = 16 * 1024;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// More bytes are needed to know.
    Incomplete,
    /// This name is asked for.
    Name(Name),
    /// No name can be seen: another protocol, an address instead of a name, an encrypted one, or a client that says nothing.
    Nothing,
}

/// The longest method of a request, in bytes.
const MAX_METHOD: usize = 24;

/// Reads the name in the first bytes of a connection.
pub(crate) fn read(bytes: &[u8]) -> Hello {
    let hello = match bytes.first() {
        None => return Hello::Incomplete,
        // A handshake record.
        Some(0x16) => client_hello(bytes),
        Some(_) => request(bytes),
    };
    match hello {
        Hello::Incomplete if bytes.len() >= MAX_HELLO => Hello::Nothing,
        hello => hello,
    }
}

/// A cursor over bytes that may be cut off; `None` where they are.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn number(&mut self, size: usize) -> Option<usize> {
        Some(self.take(size)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// Bytes with their length before them, itself of so many bytes.
    fn sized(&mut self, size: usize) -> Option<Bytes<'a>> {
        let length = self.number(size)?;
        self.take(length).map(Bytes)
    }
}

fn client_hello(bytes: &[u8]) -> Hello {
    // The hello may be spread over several records.
    let mut records = Bytes(bytes);
    let mut handshake = Vec::new();
    while !records.0.is_empty() {
        let mut record = records;
        let Some(kind) = record.number(1) else { break };
        if kind != 0x16 {
            return Hello::Nothing;
        }
        if record.0.first().is_some_and(|&major| major != 3) {
            return Hello::Nothing;
        }
        let Some(content) = record.take(2).and_then(|_| record.sized(2)) else { break };
        handshake.extend_from_slice(content.0);
        records = record;
    }
    let mut message = Bytes(&handshake);
    match message.number(1) {
        None => return Hello::Incomplete,
        Some(1) => {}
        Some(_) => return Hello::Nothing,
    }
    match message.sized(3) {
        None => Hello::Incomplete,
        Some(body) => server_name(body).map_or(Hello::Nothing, Hello::Name),
    }
}

/// The name in the body of a whole client hello.
fn server_name(mut body: Bytes<'_>) -> Option<Name> {
    const VERSION_AND_RANDOM: usize = 34;
    const SERVER_NAME: usize = 0;
    body.take(VERSION_AND_RANDOM)?;
    body.sized(1)?;
    body.sized(2)?;
    body.sized(1)?;
    let mut extensions = body.sized(2)?;
    while let Some(kind) = extensions.number(2) {
        let mut extension = extensions.sized(2)?;
        if kind == SERVER_NAME {
            let mut names = extension.sized(2)?;
            let is_host = names.number(1)? == 0;
            let name = std::str::from_utf8(names.sized(2)?.0).ok()?;
            return Name::parse(name).filter(|_| is_host);
        }
    }
    None
}

/// The name in the head of an HTTP/1 request. Line ends and empty lines before it are taken as loosely as servers do.
fn request(bytes: &[u8]) -> Hello {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(bytes) = start.map(|start| &bytes[start..]) else { return Hello::Incomplete };
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    let is_method = match bytes.get(method) {
        None => method <= MAX_METHOD,
        Some(b' ') => (1..=MAX_METHOD).contains(&method),
        Some(_) => false,
    };
    if !is_method {
        return Hello::Nothing;
    }
    let mut lines = Vec::new();
    let mut rest = bytes;
    let is_whole = loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break false };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break true;
        }
        let Ok(line) = std::str::from_utf8(line) else { return Hello::Nothing };
        lines.push(line);
    };
    let first = lines.first().copied();
    if first.is_some_and(|first| !first.contains(" HTTP/1.")) {
        return Hello::Nothing;
    }
    let Some(first) = first.filter(|_| is_whole) else { return Hello::Incomplete };
    match host(first, &lines[1..]) {
        Some(name) => Hello::Name(name),
        None => Hello::Nothing,
    }
}

/// The host of a request, given its first line and its headers.
fn host(first: &str, headers: &[&str]) -> Option<Name> {
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    // A proxy goes where the first line says, whatever the header does.
    let in_target = match target.split_once("://") {
        _ if method == "CONNECT" => Some(target),
        Some((_, rest)) => rest.split(['/', '?']).next(),
        None => None,
    };
    let in_header = || {
        headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(header, value)| header.trim().eq_ignore_ascii_case("host").then(|| value.trim()))
    };
    let host = in_target.or_else(in_header)?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    Name::parse(name).filter(|_| name.parse::<std::net::Ipv4Addr>().is_err())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Hello, MAX_HELLO, read};
    use crate::policy::Name;

    fn named(name: &str) -> Hello {
        Hello::Name(Name::parse(name).unwrap())
    }

    fn sized<const N: usize>(content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - N..], content].concat()
    }

    fn client_hello(name: &str) -> Vec<u8> {
        let host = [&[0][..], &sized::<2>(name.as_bytes())].concat();
        let extensions =
            [&[0x12, 0x34][..], &sized::<2>(b"other"), &[0, 0], &sized::<2>(&sized::<2>(&host))].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &sized::<1>(&[1; 32]),
            &sized::<2>(&[0x13, 0x01]),
            &sized::<1>(&[0]),
            &sized::<2>(&extensions),
        ]
        .concat();
        let message = [&[1][..], &sized::<3>(&body)].concat();
        [&[0x16, 3, 1][..], &sized::<2>(&message)].concat()
    }

    #[test]
    fn the_name_of_a_client_hello_is_read_once_it_is_whole() {
        let hello = client_hello("Example.com");
        for length in 0..hello.len() {
            assert_eq!(read(&hello[..length]), Hello::Incomplete, "{length}");
        }
        assert_eq!(read(&hello), named("example.com"));
        assert_eq!(read(&client_hello("1 2")), Hello::Nothing);
    }

    #[test]
    fn a_hello_in_pieces_is_one() {
        let message = client_hello("example.com").split_off(5);
        let records: Vec<u8> =
            message.chunks(7).flat_map(|piece| [&[0x16, 3, 1][..], &sized::<2>(piece)].concat()).collect();
        assert_eq!(read(&records), named("example.com"));
    }

    #[test]
    fn the_host_of_a_request_is_read() {
        let check = |text: &str, expected: Hello| assert_eq!(read(text.as_bytes()), expected, "{text}");
        check("GET / HTTP/1.1\r\nhost: A.example:80\r\n\r\n", named("a.example"));
        check("GET / HTTP/1.1\r\nHost: 1.2.3.4\r\n\r\n", Hello::Nothing);
        check("GET / HTTP/1.1\r\nAccept: x\r\n\r\n", Hello::Nothing);
        check("GET http://b.example/x?http://c HTTP/1.1\r\nHost: a.example\r\n\r\n", named("b.example"));
        check("CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", named("b.example"));
        check("GE", Hello::Incomplete);
        check("GET / HTTP/1.1\r\nHost: a.exam", Hello::Incomplete);
        check("\r\nPROPFIND / HTTP/1.0\nHOST : a.example\n\n", named("a.example"));
        check("GET / HTTP/1.1\nHost: a.example\n", Hello::Incomplete);
        check("SSH-2.0-x\r\n", Hello::Nothing);
        check("EHLO there\r\n", Hello::Nothing);
        check("\0\0", Hello::Nothing);
        check("", Hello::Incomplete);
    }

    #[test]
    fn a_hello_without_end_is_given_up() {
        let mut bytes = b"GET /".to_vec();
        bytes.resize(MAX_HELLO, b'x');
        assert_eq!(read(&bytes), Hello::Nothing);
        let mut bytes = vec![0x16, 3, 1, 0xff, 0xff];
        bytes.resize(MAX_HELLO, 1);
        assert_eq!(read(&bytes), Hello::Nothing);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<usize>()) {
            read(&bytes);
            let mut hello = client_hello("example.com");
            hello.splice(cut % hello.len().., bytes);
            read(&hello);
        }

        #[test]
        fn what_is_known_stays(more in proptest::collection::vec(any::<u8>(), 0..50)) {
            let mut hello = client_hello("example.com");
            hello.push(0x17);
            let known = read(&hello[..hello.len() - 1]);
            hello.extend(more);
            // What follows the hello may be anything; the name has been judged by then.
            prop_assert_eq!(known, named("example.com"));
        }
    }
}
