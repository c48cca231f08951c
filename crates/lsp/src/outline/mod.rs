//! The keys and items of a file, found line by line, also while the file is broken.
//!
//! A parser of YAML gives up at the first mistake, and at the cursor there usually is one. Here every line counts for
//! itself: its indentation tells under which key it stands. What is found agrees with YAML on files that are whole, for
//! the YAML that workflows are written in (no explicit keys, no aliases).
//!
//! Invariants: no text panics; spans are in the text, at the bounds of characters; parents come before their children;
//! work and memory grow with the text's length, nesting of flow collections is bounded.

mod flow;
mod scan;

use workflow::source::Span;

pub(crate) use flow::FlowSpot;
use scan::Lines;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key, without quotes.
    Key(String),
    /// An item of a sequence.
    Item,
    /// Text that is neither a key nor a value: usually a key that is being typed.
    Stray,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// There is none, or it is the entries below.
    None,
    Plain,
    Quoted,
    /// `|` or `>` and the lines below.
    Block,
    /// `[…]` or `{…}`.
    Flow,
}

/// A key or an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) parent: Option<usize>,
    pub(crate) kind: Kind,
    /// Bytes before it in its line; in flow collections that of the entry around.
    pub(crate) column: usize,
    /// The key with its quotes, the dash, or the stray text.
    pub(crate) mark: Span,
    /// The value with its quotes or header; empty at the end of the mark where there is none.
    pub(crate) value: Span,
    pub(crate) style: Style,
    /// The end of the last line of what belongs to it.
    pub(crate) end: usize,
    has_children: bool,
}

/// The entries of a file, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    entries: Vec<Entry>,
}

/// One step from an entry to one below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    /// The number from 0.
    Item(usize),
}

impl Outline {
    /// Finds the entries.
    pub(crate) fn of(text: &str) -> Self {
        let mut builder = Builder { text, outline: Self::default(), open: Vec::new() };
        let mut at = 0;
        while at < text.len() {
            at = builder.line(at).max(at + 1);
        }
        builder.outline.close_all();
        builder.outline
    }

    /// All entries.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this number; the caller has it from here.
    pub(crate) fn entry(&self, number: usize) -> &Entry {
        &self.entries[number]
    }

    /// The entries directly below one, or at the root.
    pub(crate) fn children(&self, parent: Option<usize>) -> impl Iterator<Item = usize> {
        let start = parent.map_or(0, |parent| parent + 1);
        let end = parent.map_or(usize::MAX, |parent| self.entries[parent].end);
        let rest = self.entries.iter().enumerate().skip(start);
        let below = rest.take_while(move |(_, entry)| (entry.mark.start as usize) < end);
        below.filter(move |(_, entry)| entry.parent == parent).map(|(number, _)| number)
    }

    /// The names of the keys directly below.
    pub(crate) fn keys(&self, parent: Option<usize>) -> impl Iterator<Item = &str> {
        self.children(parent).filter_map(|number| self.name(number))
    }

    /// The name of a key.
    pub(crate) fn name(&self, number: usize) -> Option<&str> {
        match &self.entries[number].kind {
            Kind::Key(name) => Some(name),
            Kind::Item | Kind::Stray => None,
        }
    }

    /// The entry of a key below, which is compared without regard to case as GitHub compares ids.
    pub(crate) fn find(&self, parent: Option<usize>, key: &str) -> Option<usize> {
        self.children(parent)
            .find(|number| self.name(*number).is_some_and(|name| name.eq_ignore_ascii_case(key)))
    }

    /// The entry behind a path of keys from the root.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<usize> {
        let mut found = None;
        for key in keys {
            found = Some(self.find(found, key)?);
        }
        found
    }

    /// The items below.
    pub(crate) fn items(&self, parent: usize) -> impl Iterator<Item = usize> {
        self.children(Some(parent)).filter(|number| self.entries[*number].kind == Kind::Item)
    }

    /// The path from the root to an entry, itself included.
    pub(crate) fn path(&self, number: usize) -> Vec<Segment> {
        let mut path = Vec::new();
        let mut next = Some(number);
        while let Some(number) = next {
            let entry = &self.entries[number];
            match &entry.kind {
                Kind::Key(name) => path.push(Segment::Key(name.clone())),
                Kind::Item => {
                    let siblings = self.children(entry.parent);
                    let before = siblings.take_while(|sibling| *sibling < number);
                    let is_item = |sibling: &usize| self.entries[*sibling].kind == Kind::Item;
                    path.push(Segment::Item(before.filter(is_item).count()));
                }
                Kind::Stray => {}
            }
            next = entry.parent;
        }
        path.reverse();
        path
    }

    /// The text of a value that stands in one line: without quotes, escapes as they are written.
    pub(crate) fn value<'t>(&self, number: usize, text: &'t str) -> Option<&'t str> {
        let entry = &self.entries[number];
        let written = text.get(entry.value.start as usize..entry.value.end as usize)?;
        match entry.style {
            Style::Plain => Some(written),
            Style::Quoted => Some(unquoted(written)),
            Style::None | Style::Block | Style::Flow => None,
        }
    }

    /// The texts of a value and of the items below: `needs: a`, `needs: [a]` and the like, with their places.
    pub(crate) fn values<'t>(&self, number: usize, text: &'t str) -> Vec<(&'t str, Span)> {
        let own = std::iter::once(number).chain(self.items(number));
        own.filter_map(|number| Some((self.value(number, text)?, self.entries[number].value))).collect()
    }

    fn push(&mut self, parent: Option<usize>, kind: Kind, column: usize, mark: Span) -> usize {
        let end = mark.end;
        let value = Span { start: end, end };
        if let Some(parent) = parent {
            self.entries[parent].has_children = true;
        }
        let style = Style::None;
        let entry =
            Entry { parent, kind, column, mark, value, style, end: end as usize, has_children: false };
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// An entry ends where the last one below it does.
    fn close_all(&mut self) {
        for number in (0..self.entries.len()).rev() {
            let end = self.entries[number].end.max(self.entries[number].value.end as usize);
            self.entries[number].end = end;
            if let Some(parent) = self.entries[number].parent {
                self.entries[parent].end = self.entries[parent].end.max(end);
            }
        }
    }
}

/// Text without the quotes around it; a closing quote may be missing.
pub(crate) fn unquoted(written: &str) -> &str {
    let Some(quote) = written.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return written;
    };
    let inner = &written[1..];
    inner.strip_suffix(quote).unwrap_or(inner)
}

struct Builder<'t> {
    text: &'t str,
    outline: Outline,
    /// The entries that the next line may stand under, the outermost first.
    open: Vec<usize>,
}

impl Builder<'_> {
    /// Reads the line that begins at `start` and what continues it; returns where the next one begins.
    fn line(&mut self, start: usize) -> usize {
        let lines = Lines { text: self.text };
        let (first, end) = (lines.indent(start), lines.end(start));
        let next = lines.next(start);
        if first == end || self.text.as_bytes()[first] == b'#' {
            return next;
        }
        if matches!(self.text[start..end].trim_end(), "---" | "...") {
            self.open.clear();
            return next;
        }
        let mut at = first;
        while lines.is_dash(at) {
            self.close_for_item(at - start);
            let parent = self.open.last().copied();
            self.open.push(self.outline.push(parent, Kind::Item, at - start, Span::new(at, at + 1)));
            at = lines.skip_blanks(at + 1);
            if at >= end || self.text.as_bytes()[at] == b'#' {
                return next;
            }
        }
        match lines.key(at) {
            Some((mark, colon)) => {
                self.close_for_key(at - start);
                let parent = self.open.last().copied();
                let name = unquoted(&self.text[mark.start as usize..mark.end as usize]).to_owned();
                let number = self.outline.push(parent, Kind::Key(name), at - start, mark);
                self.open.push(number);
                let value = lines.skip_properties(lines.skip_blanks(colon + 1));
                if value >= end || lines.is_comment(value) {
                    return next;
                }
                self.value(number, value)
            }
            None => self.text_alone(at, start),
        }
    }

    /// Text without a key: the value of what is open, or a stray.
    fn text_alone(&mut self, at: usize, start: usize) -> usize {
        let column = at - start;
        // An item in the same line stays open, as it stands before the text.
        self.close_for_key(column);
        let parent = self.open.last().copied();
        if let Some(number) = parent
            && self.outline.entry(number).style == Style::None
            && !self.outline.entry(number).has_children
        {
            return self.value(number, Lines { text: self.text }.skip_properties(at));
        }
        let lines = Lines { text: self.text };
        let mark = Span::new(at, lines.plain_end(at));
        self.outline.push(parent, Kind::Stray, column, mark);
        lines.next(start)
    }

    /// Reads a value that begins at `at`; returns where the next line begins.
    fn value(&mut self, number: usize, at: usize) -> usize {
        let lines = Lines { text: self.text };
        let column = self.outline.entry(number).column;
        let (style, end) = match self.text.as_bytes().get(at) {
            Some(b'|' | b'>') => (Style::Block, lines.block_end(at, column)),
            Some(quote @ (b'"' | b'\'')) => (Style::Quoted, lines.quoted_end(at, *quote, column)),
            Some(b'[' | b'{') => {
                (Style::Flow, flow::read(self.text, &mut self.outline, number, at, self.text.len()).end)
            }
            _ => (Style::Plain, lines.plain_lines_end(at, column)),
        };
        let entry = &mut self.outline.entries[number];
        (entry.value, entry.style) = (Span::new(at, end), style);
        lines.next(end.max(at))
    }

    /// Closes what an item in this column does not stand under. It may stand in the column of its key.
    fn close_for_item(&mut self, column: usize) {
        while let Some(last) = self.open.last() {
            let entry = self.outline.entry(*last);
            let is_key = matches!(entry.kind, Kind::Key(_));
            if entry.column < column || (entry.column == column && is_key) {
                return;
            }
            self.open.pop();
        }
    }

    fn close_for_key(&mut self, column: usize) {
        while self.open.last().is_some_and(|last| self.outline.entry(*last).column >= column) {
            self.open.pop();
        }
    }
}

/// The flow collection of an entry, read up to `offset`: what stands there.
pub(crate) fn flow_spot(
    text: &str,
    outline: &Outline,
    number: usize,
    offset: usize,
) -> Option<(Outline, FlowSpot)> {
    let mut outline = outline.clone();
    let start = outline.entry(number).value.start as usize;
    let read = flow::read(text, &mut outline, number, start, offset);
    read.spot.map(|spot| (outline, spot))
}

#[cfg(test)]
mod tests;
