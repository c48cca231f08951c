//! Flow collections: `[a, b]` and `{a: b}`.

use super::scalar::Stop;
use super::{MAX_KEY, Reader, is_blank_or_end};
use crate::yaml::scalar::plain;
use crate::yaml::{Node, NodeKind};

impl Reader<'_> {
    /// A flow collection; ends behind it.
    pub(super) fn flow(&mut self) -> Option<Node> {
        let start = self.at;
        self.at += 1;
        let kind = if self.bytes[start] == b'[' {
            NodeKind::Sequence(self.collection(Self::flow_items)?)
        } else {
            NodeKind::Mapping(self.collection(Self::flow_entries)?)
        };
        self.node(kind, start, self.at)
    }

    fn flow_items(&mut self) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            self.skip_to_flow_token()?;
            if self.peek() == b']' {
                break;
            }
            items.push(self.flow_node()?);
            self.skip_to_flow_token()?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(items)
    }

    fn flow_entries(&mut self) -> Option<Vec<(Node, Node)>> {
        let mut entries = Vec::new();
        loop {
            self.skip_to_flow_token()?;
            if self.peek() == b'}' {
                break;
            }
            let key = self.flow_key()?;
            self.skip_to_flow_token()?;
            entries.push((key, self.flow_node()?));
            self.skip_to_flow_token()?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(entries)
    }

    /// A key with its `:`.
    fn flow_key(&mut self) -> Option<Node> {
        let start = self.at;
        let node = if matches!(self.peek(), b'\'' | b'"') {
            let key = self.quoted()?;
            // Behind a quote, and there only, the `:` needs no white space after it.
            if self.peek() != b':' {
                return None;
            }
            key
        } else {
            let line = self.plain_in_flow()?;
            if line.stop != Stop::Colon || !is_blank_or_end(self.byte(self.at + 1)) {
                return None;
            }
            self.node(plain(&self.text[line.start..line.end]).ok()?, line.start, line.end)?
        };
        if self.at - start > MAX_KEY {
            return None;
        }
        self.at += 1;
        Some(node)
    }

    fn flow_node(&mut self) -> Option<Node> {
        match self.peek() {
            b'[' | b'{' => self.flow(),
            b'\'' | b'"' => self.quoted(),
            _ => {
                let line = self.plain_in_flow()?;
                if line.stop == Stop::Colon {
                    return None;
                }
                self.node(plain(&self.text[line.start..line.end]).ok()?, line.start, line.end)
            }
        }
    }

    /// Moves over white space, line feeds and comments.
    fn skip_to_flow_token(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            match self.peek() {
                b' ' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line = self.at;
                }
                b'#' if self.at > start => self.skip_comment(),
                b'#' | b'\t' | 0 => return None,
                // What may be the mark of another document.
                b'-' | b'.' | b'%' if self.column() == 0 => return None,
                _ => return Some(()),
            }
        }
    }
}
