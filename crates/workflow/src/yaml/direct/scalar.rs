//! Plain, quoted and block scalars.

use std::sync::Arc;

use memchr::{memchr, memchr2, memchr3};

use super::{Reader, is_blank_or_end};
use crate::yaml::scalar::plain;
use crate::yaml::shared::shared;
use crate::yaml::{Node, NodeKind};

/// Why a plain scalar's line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The line ends, or the text.
    Line,
    /// A comment follows.
    Comment,
    /// A `:` follows.
    Colon,
    /// A symbol of flow collections follows.
    Flow,
}

/// The bytes at which a plain scalar of a block collection may end.
const MAY_END: [bool; 256] = {
    let mut may_end = [false; 256];
    may_end[b':' as usize] = true;
    may_end[b'#' as usize] = true;
    may_end[b'\n' as usize] = true;
    may_end[0] = true;
    may_end
};

/// The first line of a plain scalar.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainLine {
    pub(super) start: usize,
    /// Without the white space behind it.
    pub(super) end: usize,
    pub(super) stop: Stop,
}

/// What becomes of the line feeds behind a block scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chomping {
    Clip,
    Strip,
    Keep,
}

impl Reader<'_> {
    /// Moves over the first line of a plain scalar of a block collection; `None` where none may begin.
    pub(super) fn plain_line(&mut self) -> Option<PlainLine> {
        match self.peek() {
            b'-' | b'?' | b':' if is_blank_or_end(self.byte(self.at + 1)) => return None,
            0 | b'\t' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>'
            | b'\'' | b'"' | b'%' | b'@' | b'`' => return None,
            _ => {}
        }
        Some(self.rest_of_plain_line())
    }

    fn rest_of_plain_line(&mut self) -> PlainLine {
        let start = self.at;
        let mut at = start;
        let stop = loop {
            at += self.bytes[at..].iter().take_while(|byte| !MAY_END[usize::from(**byte)]).count();
            match self.byte(at) {
                b':' if is_blank_or_end(self.byte(at + 1)) => break Stop::Colon,
                b'#' if at > start && matches!(self.bytes[at - 1], b' ' | b'\t') => break Stop::Comment,
                b'\n' | 0 => break Stop::Line,
                _ => at += 1,
            }
        };
        self.at = at;
        PlainLine { start, end: self.trimmed(start, at), stop }
    }

    /// Moves over a plain scalar in a flow collection; `None` where none may begin.
    pub(super) fn plain_in_flow(&mut self) -> Option<PlainLine> {
        let start = self.at;
        match self.peek() {
            b'-' if is_blank_or_end(self.byte(start + 1)) || is_flow(self.byte(start + 1)) => return None,
            0 | b'\n' | b' ' | b'\t' | b'?' | b':' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
            | b'"' | b'%' | b'@' | b'`' => return None,
            byte if is_flow(byte) => return None,
            _ => {}
        }
        let mut at = start;
        let stop = loop {
            match self.byte(at) {
                b':' if is_blank_or_end(self.byte(at + 1)) || is_flow(self.byte(at + 1)) => {
                    break Stop::Colon;
                }
                b'#' if matches!(self.bytes[at - 1], b' ' | b'\t') => break Stop::Comment,
                b'\n' | 0 => break Stop::Line,
                byte if is_flow(byte) => break Stop::Flow,
                _ => at += 1,
            }
        };
        self.at = at;
        Some(PlainLine { start, end: self.trimmed(start, at), stop })
    }

    /// The end of what stands between the two places without the white space at its end.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        let blanks = self.bytes[start..end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t'));
        end - blanks.count()
    }

    /// A plain scalar of a block collection at the column `parent`, whose first line is read.
    pub(super) fn plain(&mut self, parent: usize, first: PlainLine) -> Option<Node> {
        let PlainLine { start, mut end, mut stop } = first;
        let mut folded = false;
        while stop == Stop::Line {
            let breaks = self.skip_line_feeds()?;
            if self.has_ended() || self.column() <= parent || self.peek() == b'#' {
                break;
            }
            if !folded {
                self.buffer.clear();
                self.buffer.push_str(&self.text[start..end]);
                folded = true;
            }
            match breaks {
                1 => self.buffer.push(' '),
                more => self.buffer.extend(std::iter::repeat_n('\n', more - 1)),
            }
            let line = self.rest_of_plain_line();
            self.buffer.push_str(&self.text[line.start..line.end]);
            (end, stop) = (line.end, line.stop);
        }
        match stop {
            Stop::Line | Stop::Comment => self.skip_to_token()?,
            Stop::Colon | Stop::Flow => return None,
        }
        let kind = if folded { plain(&self.buffer) } else { plain(&self.text[start..end]) };
        self.node(kind.ok()?, start, end)
    }

    /// Moves from the end of a line to the next text, over white space only; how many line feeds there are.
    fn skip_line_feeds(&mut self) -> Option<usize> {
        let mut breaks = 0;
        loop {
            match self.peek() {
                b' ' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line = self.at;
                    breaks += 1;
                }
                b'\t' => return None,
                _ => return Some(breaks),
            }
        }
    }

    /// A scalar in quotes, on one line.
    pub(super) fn quoted(&mut self) -> Option<Node> {
        let start = self.at;
        self.at += 1;
        let text = if self.bytes[start] == b'\'' { self.single_quoted()? } else { self.double_quoted()? };
        self.node(NodeKind::String(text), start, self.at)
    }

    fn single_quoted(&mut self) -> Option<Arc<str>> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += memchr2(b'\'', b'\n', &self.bytes[self.at..])?;
            if self.peek() == b'\n' {
                return None;
            }
            self.at += 1;
            if self.peek() != b'\'' {
                break;
            }
            escaped = true;
            self.at += 1;
        }
        let text = &self.text[start..self.at - 1];
        Some(if escaped { Arc::from(text.replace("''", "'")) } else { shared(text) })
    }

    fn double_quoted(&mut self) -> Option<Arc<str>> {
        let mut start = self.at;
        let mut escaped = false;
        loop {
            self.at += memchr3(b'"', b'\\', b'\n', &self.bytes[self.at..])?;
            match self.peek() {
                b'\n' => return None,
                b'"' => break,
                _ => {}
            }
            let character = match self.byte(self.at + 1) {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'e' => '\u{1b}',
                byte @ (b'\\' | b'"' | b'/' | b' ') => char::from(byte),
                _ => return None,
            };
            if !escaped {
                self.buffer.clear();
                escaped = true;
            }
            self.buffer.push_str(&self.text[start..self.at]);
            self.buffer.push(character);
            self.at += 2;
            start = self.at;
        }
        let rest = &self.text[start..self.at];
        self.at += 1;
        if !escaped {
            return Some(shared(rest));
        }
        self.buffer.push_str(rest);
        Some(Arc::from(self.buffer.as_str()))
    }

    /// A block scalar of the collection at the column `parent`, at its `|` or `>`.
    pub(super) fn block_scalar(&mut self, parent: usize) -> Option<Node> {
        let start = self.at;
        let is_literal = self.peek() == b'|';
        self.at += 1;
        let chomping = match self.peek() {
            b'-' => Chomping::Strip,
            b'+' => Chomping::Keep,
            _ => Chomping::Clip,
        };
        self.at += usize::from(chomping != Chomping::Clip);
        self.end_of_header()?;
        self.buffer.clear();
        let (indentation, breaks) = self.first_content(parent)?;
        self.buffer.extend(std::iter::repeat_n('\n', breaks));
        let (ended_by_line_feed, breaks) =
            if is_literal { self.literal_lines(indentation) } else { self.folded_lines(indentation) };
        if ended_by_line_feed && chomping != Chomping::Strip {
            self.buffer.push('\n');
        }
        if chomping == Chomping::Keep {
            self.buffer.extend(std::iter::repeat_n('\n', breaks));
        }
        let node = self.node(NodeKind::String(Arc::from(self.buffer.as_str())), start, self.at);
        self.skip_to_token()?;
        node
    }

    /// Moves behind the line of a block scalar's `|` or `>`, on which only a comment may follow.
    fn end_of_header(&mut self) -> Option<()> {
        let header = self.at;
        self.skip_spaces();
        if self.peek() == b'#' && self.at > header {
            self.skip_comment();
        }
        if self.peek() != b'\n' {
            return None;
        }
        self.at += 1;
        self.line = self.at;
        (self.peek() != b'\t').then_some(())
    }

    /// Moves to the first character of a block scalar's content: its indentation and the empty lines before it.
    fn first_content(&mut self, parent: usize) -> Option<(usize, usize)> {
        let (mut breaks, mut most) = (0, parent + 1);
        loop {
            self.skip_spaces();
            most = most.max(self.column());
            if self.peek() != b'\n' {
                break;
            }
            self.at += 1;
            self.line = self.at;
            breaks += 1;
        }
        // Scalars without content are as rare as those whose first line is not indented enough.
        if self.has_ended() || self.column() < most { None } else { Some((most, breaks)) }
    }

    /// Adds the lines of a literal scalar to the buffer: whether a line feed ends the last one, and how many empty lines
    /// follow.
    fn literal_lines(&mut self, indentation: usize) -> (bool, usize) {
        loop {
            if !self.content_line() {
                return (false, 0);
            }
            let breaks = self.skip_indentation(indentation);
            if self.column() != indentation || self.has_ended() {
                return (true, breaks);
            }
            self.buffer.extend(std::iter::repeat_n('\n', breaks + 1));
        }
    }

    /// As [`Self::literal_lines`], of a folded scalar.
    fn folded_lines(&mut self, indentation: usize) -> (bool, usize) {
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let mut was_blank = is_blank(self.peek());
        loop {
            if !self.content_line() {
                return (false, 0);
            }
            let breaks = self.skip_indentation(indentation);
            if self.column() != indentation || self.has_ended() {
                return (true, breaks);
            }
            let blank = is_blank(self.peek());
            if was_blank || blank {
                self.buffer.extend(std::iter::repeat_n('\n', breaks + 1));
            } else if breaks == 0 {
                self.buffer.push(' ');
            } else {
                self.buffer.extend(std::iter::repeat_n('\n', breaks));
            }
            was_blank = blank;
        }
    }

    /// Adds the rest of the line to the buffer and moves behind it; whether a line feed was there.
    fn content_line(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let length = memchr(b'\n', rest);
        self.buffer.push_str(&self.text[self.at..self.at + length.unwrap_or(rest.len())]);
        self.at += length.map_or(rest.len(), |length| length + 1);
        if length.is_some() {
            self.line = self.at;
        }
        length.is_some()
    }

    /// Moves over the indentation, at most so many spaces, and over empty lines: how many.
    fn skip_indentation(&mut self, indentation: usize) -> usize {
        let mut breaks = 0;
        loop {
            while self.column() < indentation && self.peek() == b' ' {
                self.at += 1;
            }
            if self.peek() != b'\n' {
                return breaks;
            }
            self.at += 1;
            self.line = self.at;
            breaks += 1;
        }
    }
}

/// Whether the byte is a symbol of flow collections.
pub(super) fn is_flow(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}
