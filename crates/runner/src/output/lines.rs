//! Bytes of a process to lines of text.
//!
//! A line ends at LF, CRLF or a lone CR, as in GitHub's runner. Invalid UTF-8 becomes U+FFFD. A line longer than a limit
//! is cut in pieces between characters, so that memory is bounded whatever a process writes: everything that was fed is
//! either handed out or in a buffer of at most the limit and a chunk.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// The longest line that stays whole, in bytes. Masked it still fits into one log event.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// The longest line that stays whole where it may be a workflow command, in bytes.
pub(crate) const MAX_COMMAND_LINE: usize = 1024 * 1024;

/// The fewest bytes that are kept back at a cut: a character may have that many.
const SHORTEST_KEEP: usize = 4;

/// How a piece of text stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A line from its first to its last character.
    Whole,
    /// The beginning of a line that is too long.
    First,
    /// More of it.
    Middle,
    /// Its end.
    Last,
}

/// Where lines are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest ordinary line, in bytes.
    pub(crate) line: usize,
    /// The longest line that may be a workflow command, in bytes.
    pub(crate) command: usize,
    /// Bytes that are kept back when a line is cut, so that the cut can avoid what must stay together.
    pub(crate) keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: MAX_LINE, command: MAX_COMMAND_LINE, keep: 0 }
    }
}

/// A splitter between two chunks.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: Limits,
    /// The beginning of a line whose end has not come.
    buffer: Vec<u8>,
    /// Whether earlier pieces of the line in `buffer` were handed out.
    continued: bool,
    /// Whether the last byte was a CR: an LF right behind it belongs to it.
    after_cr: bool,
}

impl Splitter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), continued: false, after_cr: false }
    }

    /// Sets how many bytes are kept back when a line is cut.
    pub(crate) fn keep(&mut self, keep: usize) {
        self.limits.keep = keep;
    }

    /// The next piece of `chunk` from byte `at` on, which is moved behind it; `None` when the chunk is used up, its
    /// last line possibly kept. The text of a piece is in `piece_bytes`.
    pub(crate) fn next<'a>(&'a mut self, chunk: &'a [u8], at: &mut usize) -> Option<(Piece, Cow<'a, [u8]>)> {
        if self.after_cr && *at < chunk.len() {
            self.after_cr = false;
            if chunk[*at] == b'\n' {
                *at += 1;
            }
        }
        let rest = &chunk[*at..];
        if rest.is_empty() {
            return None;
        }
        let room = self.limit(rest).saturating_add(self.kept_back()).saturating_sub(self.buffer.len());
        let end = memchr2(b'\n', b'\r', rest);
        if end.unwrap_or(rest.len()) > room {
            return self.cut(rest, room, at);
        }
        let Some(end) = end else {
            self.buffer.extend_from_slice(rest);
            *at = chunk.len();
            return None;
        };
        self.after_cr = rest[end] == b'\r';
        *at += end + 1;
        let piece = if std::mem::take(&mut self.continued) { Piece::Last } else { Piece::Whole };
        if self.buffer.is_empty() {
            return Some((piece, Cow::Borrowed(&rest[..end])));
        }
        self.buffer.extend_from_slice(&rest[..end]);
        Some((piece, Cow::Owned(std::mem::take(&mut self.buffer))))
    }

    /// The line that no newline ended, when the process is over.
    pub(crate) fn finish(&mut self) -> Option<(Piece, Vec<u8>)> {
        if self.buffer.is_empty() && !self.continued {
            return None;
        }
        let piece = if std::mem::take(&mut self.continued) { Piece::Last } else { Piece::Whole };
        Some((piece, std::mem::take(&mut self.buffer)))
    }

    fn kept_back(&self) -> usize {
        self.limits.keep.max(SHORTEST_KEEP)
    }

    /// The limit of the line that begins with the buffer and goes on with `rest`.
    fn limit(&self, rest: &[u8]) -> usize {
        if self.continued {
            return self.limits.line;
        }
        let head = self.buffer.iter().chain(rest).take(256).skip_while(|byte| byte.is_ascii_whitespace());
        let head: [Option<&u8>; 3] = take_three(head);
        match head {
            [Some(b':'), Some(b':'), _] | [Some(b'#'), Some(b'#'), Some(b'[')] => self.limits.command,
            _ => self.limits.line,
        }
    }

    /// Fills the buffer with `room` bytes and hands out all of it but what is kept back.
    fn cut<'a>(&'a mut self, rest: &[u8], room: usize, at: &mut usize) -> Option<(Piece, Cow<'a, [u8]>)> {
        self.buffer.extend_from_slice(&rest[..room]);
        *at += room;
        let wanted = self.buffer.len().saturating_sub(self.kept_back()).max(1);
        let cut = character_border(&self.buffer, wanted);
        let tail = self.buffer.split_off(cut);
        let piece = if self.continued { Piece::Middle } else { Piece::First };
        self.continued = true;
        Some((piece, Cow::Owned(std::mem::replace(&mut self.buffer, tail))))
    }

    /// The bytes that follow the last piece, as far as they are known.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.buffer
    }
}

fn take_three<'a>(mut bytes: impl Iterator<Item = &'a u8>) -> [Option<&'a u8>; 3] {
    [bytes.next(), bytes.next(), bytes.next()]
}

/// The last border between characters at or before byte `wanted`, or `wanted` where the bytes there are no UTF-8.
fn character_border(bytes: &[u8], wanted: usize) -> usize {
    let continues = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let borders: Range<usize> = wanted.saturating_sub(3).max(1)..wanted + 1;
    borders.rev().find(|at| !continues(at)).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, proptest};

    use super::{Limits, Piece, SHORTEST_KEEP, Splitter};

    fn split(chunks: &[&[u8]], limits: Limits) -> Vec<(Piece, Vec<u8>)> {
        let mut splitter = Splitter::new(limits);
        let mut pieces = Vec::new();
        for chunk in chunks {
            let mut at = 0;
            while let Some((piece, bytes)) = splitter.next(chunk, &mut at) {
                pieces.push((piece, bytes.into_owned()));
            }
            assert!(
                splitter.kept().len() <= limits.command + limits.keep.max(SHORTEST_KEEP),
                "the buffer is bounded"
            );
        }
        pieces.extend(splitter.finish());
        pieces
    }

    fn check(chunks: &[&str], expected: &[&str]) {
        let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        let lines: Vec<String> = split(&chunks, Limits::default())
            .into_iter()
            .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        assert_eq!(lines, expected, "{chunks:?}");
    }

    #[test]
    fn lines_end_at_lf_crlf_and_cr() {
        check(&["a\nb\r\nc\rd"], &["a", "b", "c", "d"]);
        check(&["a\r", "\nb"], &["a", "b"]);
        check(&["a\r", "b\n"], &["a", "b"]);
        check(&["\n\r\n\r"], &["", "", ""]);
        check(&["no ", "newline"], &["no newline"]);
        check(&[""], &[]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let limits = Limits { line: 4, command: 64, keep: 0 };
        let pieces = split(&["äöüäöü\nx".as_bytes()], limits);
        let texts: Vec<_> =
            pieces.iter().map(|(piece, bytes)| (*piece, std::str::from_utf8(bytes).unwrap())).collect();
        assert_eq!(texts, [(Piece::First, "äö"), (Piece::Last, "üäöü"), (Piece::Whole, "x")]);
        let odd = split(&["aäöüäöü".as_bytes()], limits);
        assert!(odd.len() > 1, "{odd:?}");
        assert!(odd.iter().all(|(_, bytes)| std::str::from_utf8(bytes).is_ok()), "{odd:?}");
    }

    #[test]
    fn commands_may_be_longer() {
        let limits = Limits { line: 4, command: 64, keep: 0 };
        let pieces = split(&[b"  ::notice::0123456789\n##[group]0123456789\n"], limits);
        assert_eq!(pieces.len(), 2, "{pieces:?}");
        assert!(pieces.iter().all(|(piece, _)| *piece == Piece::Whole));
    }

    /// The same by the simplest means: replace CRLF and CR by LF, split at LF.
    fn naive(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut text = Vec::new();
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                b'\r' => text.push(b'\n'),
                b'\n' if index > 0 && bytes[index - 1] == b'\r' => {}
                other => text.push(*other),
            }
        }
        let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines
    }

    fn noisy_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(vec![b'\n', b'\r', b'a', b':', b' ', 0xC3, 0xA4, 0xFF]);
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(bytes in noisy_bytes(), size in 1_usize..20) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let lines: Vec<Vec<u8>> = split(&chunks, Limits::default()).into_iter().map(|(_, line)| line).collect();
            assert_eq!(lines, naive(&bytes));
        }

        #[test]
        fn cutting_loses_nothing(
            bytes in noisy_bytes(),
            size in 1_usize..20,
            line in 4_usize..9,
            keep in any::<u8>().prop_map(|keep| usize::from(keep % 8)),
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut lines: Vec<Vec<u8>> = Vec::new();
            for (piece, text) in split(&chunks, Limits { line, command: line, keep }) {
                assert!(text.len() <= line + keep.max(SHORTEST_KEEP));
                match piece {
                    Piece::Whole | Piece::First => lines.push(text),
                    Piece::Middle | Piece::Last => lines.last_mut().expect("a first piece").extend(text),
                }
            }
            assert_eq!(lines, naive(&bytes));
        }
    }
}
