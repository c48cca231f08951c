//! Flow collections: `[a, b]`, `{a: b}`, also over several lines and without their ends.

use workflow::source::Span;

use super::scan::Lines;
use super::{Kind, Outline, Style};

/// Nesting that is looked into.
const MAX_DEPTH: usize = 50;

/// What stands at an offset inside of a flow collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowSpot {
    /// A key in the mapping of this entry.
    Key(usize),
    /// The value of this key.
    Value(usize),
    /// An item in the sequence of this entry.
    Item(usize),
}

/// How far a collection goes.
pub(super) struct FlowRead {
    /// The offset behind its last character.
    pub(super) end: usize,
    /// What stands at the offset at which reading was to stop, where that is inside.
    pub(super) spot: Option<FlowSpot>,
}

/// A collection that is not closed.
struct Open {
    owner: usize,
    is_mapping: bool,
    /// The item or the key that was begun.
    current: Option<usize>,
}

impl Open {
    fn spot(&self) -> FlowSpot {
        match self.current {
            Some(key) if self.is_mapping => FlowSpot::Value(key),
            _ if self.is_mapping => FlowSpot::Key(self.owner),
            _ => FlowSpot::Item(self.owner),
        }
    }
}

/// Reads the collection that begins at `start`, as the value of entry `number`, up to its end or to `stop`.
pub(super) fn read(text: &str, outline: &mut Outline, number: usize, start: usize, stop: usize) -> FlowRead {
    let column = outline.entry(number).column;
    let mut reader = Reader { lines: Lines { text }, outline, column, number, open: Vec::new() };
    reader.read(start, stop)
}

struct Reader<'t, 'o> {
    lines: Lines<'t>,
    outline: &'o mut Outline,
    column: usize,
    number: usize,
    open: Vec<Open>,
}

impl Reader<'_, '_> {
    fn read(&mut self, start: usize, stop: usize) -> FlowRead {
        let text = self.lines.text;
        let (mut at, mut end) = (start, start);
        while let Some(byte) = text.as_bytes().get(at) {
            if at >= stop {
                break;
            }
            match byte {
                b' ' | b'\t' => at += 1,
                b'\n' | b'\r' => {
                    let next = self.lines.next(at);
                    let first = self.lines.indent(next);
                    let is_blank = first == self.lines.end(next);
                    let closes = matches!(text.as_bytes().get(first), Some(b']' | b'}'));
                    if !is_blank && first - next <= self.column && !closes {
                        return FlowRead { end, spot: None };
                    }
                    at = first.max(next);
                }
                b'#' if self.lines.is_comment(at) => at = self.lines.end(at),
                b'[' | b'{' => {
                    if self.open.len() >= MAX_DEPTH {
                        return FlowRead { end, spot: None };
                    }
                    self.begin(at, *byte == b'{');
                    at += 1;
                    end = at;
                }
                b']' | b'}' => {
                    at += 1;
                    end = at;
                    if self.close(at) {
                        return FlowRead { end, spot: None };
                    }
                }
                b',' => {
                    if let Some(open) = self.open.last_mut() {
                        open.current = None;
                    }
                    at += 1;
                    end = at;
                }
                _ => match self.scalar(at, stop) {
                    Ok(behind) => {
                        at = behind;
                        end = behind;
                    }
                    Err(spot) => return FlowRead { end, spot },
                },
            }
        }
        FlowRead { end, spot: self.open.last().map(Open::spot) }
    }

    fn begin(&mut self, at: usize, is_mapping: bool) {
        let owner = match self.open.last() {
            None => self.number,
            Some(Open { current: Some(current), .. }) => *current,
            Some(Open { owner, .. }) => {
                let item = self.outline.push(Some(*owner), Kind::Item, self.column, Span::new(at, at));
                if let Some(open) = self.open.last_mut() {
                    open.current = Some(item);
                }
                item
            }
        };
        if owner != self.number {
            let entry = &mut self.outline.entries[owner];
            (entry.value, entry.style) = (Span::new(at, at + 1), Style::Flow);
        }
        self.open.push(Open { owner, is_mapping, current: None });
    }

    /// Closes the innermost collection; whether it was the outermost.
    fn close(&mut self, end: usize) -> bool {
        if let Some(closed) = self.open.pop().filter(|closed| closed.owner != self.number) {
            let entry = &mut self.outline.entries[closed.owner];
            entry.value = Span::new(entry.value.start as usize, end);
        }
        self.open.is_empty()
    }

    /// Reads a scalar; returns the place behind it and its colon, or what stands at `stop` if that is in it.
    fn scalar(&mut self, at: usize, stop: usize) -> Result<usize, Option<FlowSpot>> {
        let (style, end) = match self.lines.text.as_bytes().get(at) {
            Some(quote @ (b'"' | b'\'')) => (Style::Quoted, self.lines.quoted_end(at, *quote, self.column)),
            _ => (Style::Plain, self.plain_end(at)),
        };
        let end = end.max(at + 1);
        let Some(open) = self.open.last_mut() else { return Ok(end) };
        if stop <= end {
            return Err(Some(open.spot()));
        }
        let span = Span::new(at, end);
        let colon = self.lines.skip_blanks(end);
        let is_key = self.lines.text.as_bytes().get(colon) == Some(&b':');
        let name = |lines: Lines<'_>| super::unquoted(lines.text.get(at..end).unwrap_or_default()).to_owned();
        match (open.is_mapping, open.current) {
            (true, None) => {
                let key = Kind::Key(name(self.lines));
                open.current = Some(self.outline.push(Some(open.owner), key, self.column, span));
            }
            (false, None) if is_key => {
                let item = self.outline.push(Some(open.owner), Kind::Item, self.column, Span::new(at, at));
                let key = Kind::Key(name(self.lines));
                open.current = Some(self.outline.push(Some(item), key, self.column, span));
            }
            (false, None) => {
                let item = self.outline.push(Some(open.owner), Kind::Item, self.column, Span::new(at, at));
                open.current = Some(item);
                (self.outline.entries[item].value, self.outline.entries[item].style) = (span, style);
            }
            (_, Some(current)) => {
                let entry = &mut self.outline.entries[current];
                if entry.style == Style::None {
                    (entry.value, entry.style) = (span, style);
                }
            }
        }
        Ok(if is_key { colon + 1 } else { end })
    }

    /// The end of a plain text: before a bracket, a comma, a colon that ends a key, a comment or the line's end.
    fn plain_end(&self, at: usize) -> usize {
        let text = self.lines.text;
        let bytes = text.as_bytes();
        let line_end = self.lines.end(at);
        let mut place = at;
        while place < line_end {
            match bytes[place] {
                b'$' if text[place..line_end].starts_with("${{") => {
                    match text[place..line_end].find("}}") {
                        Some(length) => place += length + 2,
                        None => place = line_end,
                    }
                    continue;
                }
                b',' | b'[' | b']' | b'{' | b'}' => break,
                b':' if matches!(
                    bytes.get(place + 1),
                    None | Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | b'{' | b'}')
                ) =>
                {
                    break;
                }
                b'#' if self.lines.is_comment(place) => break,
                _ => {}
            }
            place += 1;
        }
        at + text[at..place].trim_end_matches([' ', '\t']).len()
    }
}
