//! Messages of the domain name system, as far as they are needed here: one question, and answers with addresses.
//!
//! Both sides are strangers. Every length is checked, and a name is followed through at most [`MAX_POINTERS`] pointers.

use std::net::Ipv4Addr;

use crate::policy::Name;

/// The length of a message's head, in bytes.
const HEAD: usize = 12;

/// Most pointers in one name.
const MAX_POINTERS: usize = 16;

/// Most records of an answer that are looked at.
const MAX_RECORDS: usize = 256;

/// Most links of a chain of names.
const MAX_CHAIN: usize = 16;

/// A record with an IPv4 address.
pub(super) const A: u16 = 1;
/// A record with an IPv6 address.
pub(super) const AAAA: u16 = 28;
/// Records with addresses and other hints for connections, which would go round the pins.
pub(super) const SERVICE_BINDINGS: [u16; 2] = [64, 65];
/// A record that gives a name another one.
const CNAME: u16 = 5;
/// The class of the internet.
const INTERNET: u16 = 1;

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Outcome {
    Answered = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u16,
    /// The wish for recursion, given back.
    recursion: bool,
    pub(super) name: Name,
    pub(super) kind: u16,
    /// The question as it came, for the answer: its capitals count for some.
    bytes: Vec<u8>,
}

/// What a name server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) addresses: Vec<Ipv4Addr>,
    /// For how long, in seconds.
    pub(super) lifetime: u32,
}

/// Why a message is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("it is malformed")]
    Malformed,
    #[error("it answers another question")]
    Other,
    #[error("it is cut off")]
    Truncated,
    #[error("there is no such name")]
    NoSuchName,
    #[error("the name server could not answer")]
    Failed,
}

impl Question {
    /// Reads a question of a machine. A message that cannot even be answered is `None`; one that is no plain question is
    /// answered with what is wrong.
    pub(super) fn parse(message: &[u8]) -> Option<Result<Self, Vec<u8>>> {
        let flags = number(message, 2)?;
        if message.len() < HEAD || flags & 0x8000 != 0 {
            return None;
        }
        let refuse =
            |outcome| Some(Err(head(number(message, 0)?, flags & 0x0100 != 0, outcome, [0, 0]).to_vec()));
        if flags & 0x7800 != 0 {
            return refuse(Outcome::NotImplemented);
        }
        let Some((name, end)) = (number(message, 4) == Some(1)).then(|| read_name(message, HEAD)).flatten()
        else {
            return refuse(Outcome::Malformed);
        };
        let (Some(kind), Some(class), Some(bytes)) =
            (number(message, end), number(message, end + 2), message.get(HEAD..end + 4))
        else {
            return refuse(Outcome::Malformed);
        };
        let question = Self {
            id: number(message, 0)?,
            recursion: flags & 0x0100 != 0,
            name: match name {
                Some(name) => name,
                // A name that no rule can name.
                None => return refuse(Outcome::NoSuchName),
            },
            kind,
            bytes: bytes.to_vec(),
        };
        if class == INTERNET { Some(Ok(question)) } else { refuse(Outcome::NotImplemented) }
    }

    /// The answer without records.
    pub(super) fn without(&self, outcome: Outcome) -> Vec<u8> {
        let mut message = head(self.id, self.recursion, outcome, [1, 0]).to_vec();
        message.extend_from_slice(&self.bytes);
        message
    }

    /// The answer that the same question has to be asked over a connection.
    pub(super) fn truncated(&self) -> Vec<u8> {
        let mut message = self.without(Outcome::Answered);
        message[2] |= 0x02;
        message
    }

    /// The answer with addresses of the name that was asked for.
    pub(super) fn with(&self, found: &Addresses) -> Vec<u8> {
        let count = u16::try_from(found.addresses.len()).unwrap_or(u16::MAX);
        let mut message = head(self.id, self.recursion, Outcome::Answered, [1, count]).to_vec();
        message.extend_from_slice(&self.bytes);
        for address in found.addresses.iter().take(count.into()) {
            // The name is that of the question.
            message.extend_from_slice(&[0xc0, HEAD as u8]);
            for number in [A, INTERNET] {
                message.extend_from_slice(&number.to_be_bytes());
            }
            message.extend_from_slice(&found.lifetime.to_be_bytes());
            message.extend_from_slice(&4_u16.to_be_bytes());
            message.extend_from_slice(&address.octets());
        }
        message
    }

    /// The same question for a name server, under another id.
    pub(super) fn forwarded(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEAD + self.bytes.len());
        for number in [id, 0x0100, 1, 0, 0, 0] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.bytes);
        message
    }

    /// Whether a message of a name server answers this question, asked under `id`.
    pub(super) fn is_answered_by(&self, message: &[u8], id: u16) -> Result<(), MessageError> {
        let flags = number(message, 2).ok_or(MessageError::Malformed)?;
        if number(message, 0) != Some(id) || flags & 0x8000 == 0 {
            return Err(MessageError::Other);
        }
        let same = number(message, 4) == Some(1)
            && message.get(HEAD..HEAD + self.bytes.len()).is_some_and(|asked| {
                // Lengths of labels are below the letters, so that ignoring case is right for the whole.
                asked.eq_ignore_ascii_case(&self.bytes)
            });
        if !same {
            return Err(MessageError::Other);
        }
        if flags & 0x0200 != 0 {
            return Err(MessageError::Truncated);
        }
        match flags & 0x000f {
            0 => Ok(()),
            3 => Err(MessageError::NoSuchName),
            _ => Err(MessageError::Failed),
        }
    }

    /// The addresses in a name server's answer that belong to the name: what else is in it is not looked at.
    pub(super) fn addresses(&self, message: &[u8]) -> Result<Addresses, MessageError> {
        let count = usize::from(number(message, 6).ok_or(MessageError::Malformed)?).min(MAX_RECORDS);
        let mut position = HEAD + self.bytes.len();
        let mut records = Vec::new();
        for _ in 0..count {
            let record = Record::read(message, position).ok_or(MessageError::Malformed)?;
            position = record.end;
            records.push(record);
        }
        let mut name = self.name.clone();
        let mut lifetime = u32::MAX;
        for _ in 0..MAX_CHAIN {
            let of_name = || records.iter().filter(|record| record.name.as_ref() == Some(&name));
            let addresses: Vec<Ipv4Addr> = of_name().filter_map(|record| record.address(message)).collect();
            if !addresses.is_empty() {
                let records = of_name().filter(|record| record.kind == A);
                let lifetime = records.map(|record| record.lifetime).fold(lifetime, u32::min);
                return Ok(Addresses { addresses, lifetime });
            }
            let Some(link) = of_name().find(|record| record.kind == CNAME) else { break };
            lifetime = lifetime.min(link.lifetime);
            name = match read_name(message, link.content) {
                Some((Some(next), end)) if end == link.end => next,
                _ => return Err(MessageError::Malformed),
            };
        }
        Ok(Addresses { addresses: Vec::new(), lifetime: 0 })
    }

    /// A name server's answer with this question's id.
    pub(super) fn adopt(&self, mut message: Vec<u8>) -> Vec<u8> {
        message[..2].copy_from_slice(&self.id.to_be_bytes());
        message
    }
}

struct Record {
    /// None for a name that no host has.
    name: Option<Name>,
    kind: u16,
    lifetime: u32,
    /// Where its content begins and where it ends.
    content: usize,
    end: usize,
}

impl Record {
    fn read(message: &[u8], position: usize) -> Option<Self> {
        let (name, at) = read_name(message, position)?;
        let kind = number(message, at)?;
        let is_internet = number(message, at + 2)? == INTERNET;
        let lifetime = u32::from(number(message, at + 4)?) << 16 | u32::from(number(message, at + 6)?);
        let content = at + 10;
        let end = content + usize::from(number(message, at + 8)?);
        let name = name.filter(|_| is_internet);
        (end <= message.len()).then_some(Self { name, kind, lifetime, content, end })
    }

    fn address(&self, message: &[u8]) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = message.get(self.content..self.end)?.try_into().ok()?;
        (self.kind == A).then(|| bytes.into())
    }
}

fn head(id: u16, recursion: bool, outcome: Outcome, [questions, answers]: [u16; 2]) -> [u8; HEAD] {
    let flags = 0x8080 | u16::from(recursion) << 8 | outcome as u16;
    let mut head = [0; HEAD];
    for (place, number) in head.chunks_exact_mut(2).zip([id, flags, questions, answers]) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    head
}

fn number(message: &[u8], position: usize) -> Option<u16> {
    let bytes = message.get(position..position + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Reads a name at a place: the name, where it is one of a host, and what follows it in the message.
fn read_name(message: &[u8], mut position: usize) -> Option<(Option<Name>, usize)> {
    let mut text = String::new();
    let mut is_text = true;
    let mut end = None;
    for _ in 0..=MAX_POINTERS {
        loop {
            let length = usize::from(*message.get(position)?);
            match length {
                0 => {
                    let name = Name::parse(&text).filter(|_| is_text);
                    return Some((name, end.unwrap_or(position + 1)));
                }
                1..=63 => {
                    let label = message.get(position + 1..position + 1 + length)?;
                    is_text &= label.is_ascii() && !label.contains(&b'.');
                    text.push_str(std::str::from_utf8(label).unwrap_or_default());
                    text.push('.');
                    position += 1 + length;
                    if text.len() > 255 {
                        return None;
                    }
                }
                64..192 => return None,
                _ => {
                    end.get_or_insert(position + 2);
                    position = usize::from(number(message, position)? & 0x3fff);
                    break;
                }
            }
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::{any, proptest};

    use super::{A, Addresses, CNAME, MessageError, Question};

    fn name(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in text.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    pub(in super::super) fn question(of: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(name(of));
        message.extend([kind.to_be_bytes(), [0, 1]].concat());
        message
    }

    fn parsed(message: &[u8]) -> Question {
        Question::parse(message).unwrap().unwrap()
    }

    fn record(of: &str, kind: u16, lifetime: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = name(of);
        bytes.extend([kind.to_be_bytes(), [0, 1], [0, 0], [0, lifetime], [0, content.len() as u8]].concat());
        bytes.extend_from_slice(content);
        bytes
    }

    fn answer(question: &Question, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = question.without(super::Outcome::Answered);
        message[7] = u8::try_from(records.len()).unwrap();
        message.extend(records.concat());
        message
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let question = parsed(&question("WWW.Example.com", A));
        assert_eq!(question.name.as_str(), "www.example.com");
        let found = Addresses { addresses: vec![[1, 2, 3, 4].into(), [5, 6, 7, 8].into()], lifetime: 60 };
        let message = question.with(&found);
        assert_eq!(question.is_answered_by(&message, 0x1234), Ok(()));
        assert_eq!(question.addresses(&message), Ok(found));
        assert_eq!(question.is_answered_by(&message, 0x1235), Err(MessageError::Other));
        assert_eq!(question.is_answered_by(&question.truncated(), 0x1234), Err(MessageError::Truncated));
    }

    #[test]
    fn only_what_belongs_to_the_name_is_believed() {
        let question = parsed(&question("a.example", A));
        let check = |records: &[Vec<u8>], expected: &[[u8; 4]], lifetime| {
            let addresses = expected.iter().copied().map(Ipv4Addr::from).collect();
            let expected = Ok(Addresses { addresses, lifetime });
            assert_eq!(question.addresses(&answer(&question, records)), expected, "{records:?}");
        };
        check(&[record("b.example", A, 9, &[6, 6, 6, 6])], &[], 0);
        check(
            &[
                record("b.example", A, 9, &[1, 1, 1, 1]),
                record("x.example", A, 9, &[6, 6, 6, 6]),
                record("A.example", CNAME, 5, &name("B.example")),
            ],
            &[[1, 1, 1, 1]],
            5,
        );
        check(&[record("a.example", CNAME, 5, &name("a.example"))], &[], 0);
        check(&[record("a.example", A, 5, &[1, 1, 1])], &[], 0);
    }

    #[test]
    fn a_name_that_points_at_itself_is_malformed() {
        let question = parsed(&question("a.example", A));
        let mut message = answer(&question, &[]);
        message[7] = 1;
        let here = u8::try_from(message.len()).unwrap();
        message.extend([0xc0, here, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(question.addresses(&message), Err(MessageError::Malformed));
    }

    #[test]
    fn what_is_no_question_gets_no_answer_or_a_refusal() {
        assert!(Question::parse(&[]).is_none());
        assert!(Question::parse(&[0; 11]).is_none());
        let mut reply = question("a.example", A);
        reply[2] |= 0x80;
        assert!(Question::parse(&reply).is_none());
        let mut two = question("a.example", A);
        two[5] = 2;
        assert_eq!(Question::parse(&two).unwrap().unwrap_err()[3] & 15, 1);
        let strange = question("a b.example", A);
        assert_eq!(Question::parse(&strange).unwrap().unwrap_err()[3] & 15, 3);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
            let _ = Question::parse(&bytes);
            let question = parsed(&question("a.example", A));
            let mut message = answer(&question, &[record("a.example", A, 1, &[1, 1, 1, 1])]);
            let cut = cut % message.len();
            message.splice(cut.., bytes);
            if question.is_answered_by(&message, 0x1234).is_ok() {
                let _ = question.addresses(&message);
            }
        }
    }
}
