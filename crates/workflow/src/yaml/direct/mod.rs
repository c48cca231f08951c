//! Reads YAML as nearly all workflow files are written, straight to nodes, without the events of the library.
//!
//! Invariant: what it reads, the library reads to the same nodes with the same places. It never refuses a text:
//! whatever it does not know for sure — anchors, tags, carriage returns, tabs between tokens, quoted text of several
//! lines, null entries, every mistake — makes the result `None`, and the library reads the file anew and describes what
//! is wrong with it. The tests of this module hold both against each other.

mod flow;
mod scalar;

#[cfg(test)]
mod tests;

use memchr::memchr;

use super::scalar::plain;
use super::{MAX_EXPANDED_BYTES, MAX_NODES, Node, NodeKind};
use crate::source::Span;

/// Bytes of a simple key; the library's limit is a little higher.
const MAX_KEY: usize = 1000;

/// The node of the one document of `text`, if all of it is written in the common way.
pub(super) fn parse(text: &str, max_depth: usize) -> Option<Node> {
    if text.len() > MAX_EXPANDED_BYTES || has_unusual_characters(text.as_bytes()) {
        return None;
    }
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 0,
        room: max_depth,
        nodes: 0,
        buffer: String::new(),
    };
    reader.document()
}

/// Whether a character is in the text that YAML does not allow, or that ends lines beside the line feed.
fn has_unusual_characters(bytes: &[u8]) -> bool {
    // Of the characters outside of ASCII those are not allowed whose first bytes are these; others begin so too.
    let suspicious =
        |byte: u8| (byte < b' ' && byte != b'\n' && byte != b'\t') || matches!(byte, 0x7F | 0xC2 | 0xEF);
    if !bytes.iter().fold(false, |found, byte| found | suspicious(*byte)) {
        return false;
    }
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        0xC2 => matches!(bytes.get(at + 1), Some(0x80..=0x9F)),
        0xEF => matches!(bytes.get(at + 1..at + 3), Some([0xBB, 0xBF] | [0xBF, 0xBE | 0xBF])),
        byte => suspicious(*byte),
    })
}

/// Where it is in a text. Functions that read a block node end at the next token, or at the end of the text.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Where the line begins that `at` is in.
    line: usize,
    /// Levels of collections that may still be opened.
    room: usize,
    nodes: usize,
    /// Text of a scalar that does not stand in the file as it is.
    buffer: String,
}

/// A key and the place of the `:` behind it.
struct Key {
    node: Node,
    colon: usize,
}

impl Reader<'_> {
    /// The next byte; 0 at the end, as no text has such a byte here.
    fn peek(&self) -> u8 {
        self.byte(self.at)
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn column(&self) -> usize {
        self.at - self.line
    }

    fn has_ended(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Counts a node and makes it.
    fn node(&mut self, kind: NodeKind, start: usize, end: usize) -> Option<Node> {
        self.nodes += 1;
        (self.nodes <= MAX_NODES).then(|| Node { kind, span: Span::new(start, end) })
    }

    /// Reads a collection with `read`, one level deeper.
    fn collection<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.room = self.room.checked_sub(1)?;
        let read = read(self);
        self.room += 1;
        read
    }

    fn skip_spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) {
        self.at = memchr(b'\n', &self.bytes[self.at..]).map_or(self.bytes.len(), |length| self.at + length);
    }

    /// Moves over white space and comments.
    fn skip_to_token(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                b' ' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line = self.at;
                }
                b'#' => self.skip_comment(),
                b'\t' => return None,
                _ => return Some(()),
            }
        }
    }

    /// Moves from the end of a value to the next token, which must be on a later line.
    fn end_line(&mut self) -> Option<()> {
        let end = self.at;
        self.skip_spaces();
        let ends = match self.peek() {
            b'\n' => true,
            b'#' => self.at > end,
            _ => self.has_ended(),
        };
        if ends { self.skip_to_token() } else { None }
    }

    fn document(&mut self) -> Option<Node> {
        self.skip_to_token()?;
        if self.bytes[self.at..].starts_with(b"---") {
            if self.column() != 0 {
                return None;
            }
            self.at += 3;
            self.end_line()?;
        }
        if self.has_ended() || self.column() != 0 {
            return None;
        }
        let start = self.at;
        let key = self.key()?;
        let node = self.mapping(0, start, key)?;
        self.has_ended().then_some(node)
    }

    /// Whether an entry of a block sequence begins here.
    fn is_entry(&self) -> bool {
        self.peek() == b'-' && is_blank_or_end(self.byte(self.at + 1))
    }

    /// A node of a block collection whose column is `parent`: at the beginning of a line or behind `- `.
    fn block(&mut self, parent: usize) -> Option<Node> {
        let (start, column) = (self.at, self.column());
        match self.peek() {
            b'-' if self.is_entry() => self.sequence(column, false),
            b'\'' | b'"' => {
                let node = self.quoted()?;
                match self.colon(node.span.start) {
                    Some(colon) => self.mapping(column, start, Key { node, colon }),
                    None => {
                        self.end_line()?;
                        Some(node)
                    }
                }
            }
            b'[' | b'{' => self.inline(parent),
            _ => {
                let line = self.plain_line()?;
                if line.stop != scalar::Stop::Colon {
                    return self.plain(parent, line);
                }
                let key = self.plain_key(start, line.end)?;
                self.mapping(column, start, key)
            }
        }
    }

    /// A scalar or flow collection behind the `:` or in a line of its own.
    fn inline(&mut self, parent: usize) -> Option<Node> {
        let node = match self.peek() {
            b'\'' | b'"' => self.quoted()?,
            b'[' | b'{' => self.flow()?,
            _ => {
                let line = self.plain_line()?;
                return self.plain(parent, line);
            }
        };
        self.end_line()?;
        Some(node)
    }

    /// A block mapping at this column whose first key is read.
    fn mapping(&mut self, column: usize, start: usize, first: Key) -> Option<Node> {
        let entries = self.collection(|reader| {
            let mut entries = Vec::with_capacity(4);
            let mut key = first;
            loop {
                let value = reader.value(column, key.colon)?;
                entries.push((key.node, value));
                if reader.has_ended() || reader.column() < column {
                    return Some(entries);
                }
                if reader.column() > column || reader.is_entry() {
                    return None;
                }
                key = reader.key()?;
            }
        })?;
        self.node(NodeKind::Mapping(entries), start, self.at)
    }

    /// A key at the beginning of a line.
    fn key(&mut self) -> Option<Key> {
        let start = self.at;
        if matches!(self.peek(), b'\'' | b'"') {
            let node = self.quoted()?;
            let colon = self.colon(node.span.start)?;
            return Some(Key { node, colon });
        }
        let rest = &self.bytes[start..];
        if self.column() == 0 && (rest.starts_with(b"---") || rest.starts_with(b"...")) {
            return None;
        }
        let line = self.plain_line()?;
        if line.stop == scalar::Stop::Colon { self.plain_key(start, line.end) } else { None }
    }

    /// The key between `start` and `end`, whose `:` comes next.
    fn plain_key(&mut self, start: usize, end: usize) -> Option<Key> {
        let colon = self.at;
        if colon - start > MAX_KEY {
            return None;
        }
        self.at += 1;
        let node = self.node(plain(&self.text[start..end]).ok()?, start, end)?;
        Some(Key { node, colon })
    }

    /// Moves behind the `:` of a key that began at `start`, if there is one.
    fn colon(&mut self, start: u32) -> Option<usize> {
        let mut colon = self.at;
        while self.byte(colon) == b' ' {
            colon += 1;
        }
        let is_key = self.byte(colon) == b':'
            && is_blank_or_end(self.byte(colon + 1))
            && colon - start as usize <= MAX_KEY;
        if is_key {
            self.at = colon + 1;
        }
        is_key.then_some(colon)
    }

    /// The value of a key of the block mapping at `column`.
    fn value(&mut self, column: usize, colon: usize) -> Option<Node> {
        self.skip_spaces();
        match self.peek() {
            b'\n' | b'#' | 0 => {}
            b'|' | b'>' => return self.block_scalar(column),
            b'-' if self.is_entry() => return None,
            _ => return self.inline(column),
        }
        self.skip_to_token()?;
        if self.has_ended() || self.column() < column {
            return self.node(NodeKind::Null, colon, colon);
        }
        match (self.column() == column, self.is_entry()) {
            (true, true) => self.sequence(column, true),
            (true, false) => self.node(NodeKind::Null, colon, colon),
            (false, _) => self.block(column),
        }
    }

    /// A block sequence at this column: that of the mapping that it is a value of, if it is `indentless`.
    fn sequence(&mut self, column: usize, indentless: bool) -> Option<Node> {
        let start = if indentless { self.start_of_indentless() } else { self.at };
        let items = self.collection(|reader| {
            let mut items = Vec::with_capacity(4);
            loop {
                let item = reader.item(column)?;
                items.push(item);
                if reader.has_ended() || reader.column() < column {
                    return Some(items);
                }
                match (reader.column() == column, reader.is_entry()) {
                    (true, true) => {}
                    (true, false) if indentless => return Some(items),
                    _ => return None,
                }
            }
        })?;
        self.node(NodeKind::Sequence(items), start, self.at)
    }

    /// A sequence that is not indented begins, for the library, behind its first `-`, white space and comment.
    fn start_of_indentless(&self) -> usize {
        let rest = &self.bytes[self.at + 1..];
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let comment = match rest.get(spaces) {
            Some(b'#') => memchr(b'\n', &rest[spaces..]).unwrap_or(rest.len() - spaces),
            _ => 0,
        };
        self.at + 1 + spaces + comment
    }

    /// An entry of the block sequence at `column`.
    fn item(&mut self, column: usize) -> Option<Node> {
        self.at += 1;
        self.skip_spaces();
        match self.peek() {
            b'|' | b'>' => return self.block_scalar(column),
            b'\n' | b'#' | 0 => {
                self.skip_to_token()?;
                if self.has_ended() || self.column() <= column {
                    return None;
                }
            }
            _ => {}
        }
        self.block(column)
    }
}

fn is_blank_or_end(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0)
}
