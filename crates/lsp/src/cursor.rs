//! What stands at a place of a document: a key, a value or an expression, and what the schema says of the place.
//!
//! The text is usually half-typed there, so everything comes from the [`Outline`], which needs no whole file.

use workflow::schema;
use workflow::source::Span;

use crate::expression;
use crate::outline::{self, Entry, FlowSpot, Kind, Outline, Segment, Style};
use crate::repository;

/// What stands at a place. Words are what is there already and what a completion replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// A key that is there.
    Key { number: usize, word: Span },
    /// Where a key may begin in the mapping of `owner`, with its colon still to come.
    NewKey { owner: Option<usize>, word: Span },
    /// The value of a key, in the line of the key.
    Value { owner: usize, word: Span },
    /// An item of the sequence of `owner` in brackets.
    FlowItem { owner: usize, word: Span },
    /// A line below a key or behind a dash: a key, an item or a value of `owner` may begin.
    Below { owner: Option<usize>, word: Span },
    /// Inside of the lines of `|` or `>`.
    Script { owner: usize },
}

/// A place of a document.
#[derive(Debug)]
pub(crate) struct Cursor<'t> {
    pub(crate) text: &'t str,
    pub(crate) offset: usize,
    pub(crate) outline: Outline,
    pub(crate) kind: repository::Kind,
    /// `None` in comments and where nothing of the language can stand.
    pub(crate) spot: Option<Spot>,
}

impl<'t> Cursor<'t> {
    /// The place at `offset`, which is at the bounds of a character.
    pub(crate) fn at(text: &'t str, offset: usize, kind: repository::Kind) -> Self {
        let outline = Outline::of(text);
        let finder = Finder { text, offset, outline };
        let (outline, spot) = finder.find();
        Self { text, offset, outline, kind, spot }
    }

    /// The entry whose value stands at the place.
    pub(crate) fn owner(&self) -> Option<usize> {
        match self.spot? {
            Spot::Key { number, .. } => self.outline.entry(number).parent,
            Spot::NewKey { owner, .. } | Spot::Below { owner, .. } => owner,
            Spot::Value { owner, .. } | Spot::FlowItem { owner, .. } | Spot::Script { owner } => Some(owner),
        }
    }

    /// The keys from the root to an entry, itself included; `*` for items.
    pub(crate) fn keys_to(&self, number: Option<usize>) -> Vec<String> {
        let path = number.map(|number| self.outline.path(number)).unwrap_or_default();
        let name = |segment| match segment {
            Segment::Key(name) => name,
            Segment::Item(_) => "*".into(),
        };
        path.into_iter().map(name).collect()
    }

    /// What may be the value of an entry, or of the file. Keys rule out forms, all but that of the entry `but`.
    pub(crate) fn place(&self, number: Option<usize>, but: Option<usize>) -> Option<schema::Place> {
        let mut chain = Vec::new();
        let mut next = number;
        while let Some(number) = next {
            chain.push(number);
            next = self.outline.entry(number).parent;
        }
        let mut place = match self.kind {
            repository::Kind::Workflow => schema::Place::workflow(),
            repository::Kind::Action => schema::Place::action(),
        };
        place = self.narrowed(place, None, but);
        for number in chain.into_iter().rev() {
            place = match &self.outline.entry(number).kind {
                Kind::Key(name) => place.child(name)?,
                Kind::Item => place.item()?,
                Kind::Stray => place,
            };
            place = self.narrowed(place, Some(number), but);
        }
        Some(place)
    }

    fn narrowed(&self, place: schema::Place, parent: Option<usize>, but: Option<usize>) -> schema::Place {
        let others = self.outline.children(parent).filter(|number| Some(*number) != but);
        place.beside(others.filter_map(|number| self.outline.name(number)))
    }

    /// The expression around the place, if it is in one.
    pub(crate) fn expression(&self) -> Option<Span> {
        let owner = match self.spot? {
            Spot::Value { owner, .. } | Spot::FlowItem { owner, .. } | Spot::Script { owner } => owner,
            Spot::Below { owner: Some(owner), .. } => owner,
            _ => return None,
        };
        let place = self.place(Some(owner), None)?;
        let is_condition = place.is_condition();
        let Some(scalar) = self.scalar(owner) else {
            let is_empty = matches!(self.spot, Some(Spot::Value { word, .. }) if word.start == word.end);
            return (is_condition && is_empty).then(|| Span::new(self.offset, self.offset));
        };
        if !is_condition && place.contexts().is_empty() {
            return None;
        }
        expression::around(self.text, scalar, self.offset, is_condition)
    }

    /// The value of an entry as it is written, or the item of it that the place is in.
    fn scalar(&self, owner: usize) -> Option<Span> {
        let start = |entry: &Entry| entry.value.start as usize;
        let inside = |entry: &Entry| {
            let is_scalar = matches!(entry.style, Style::Plain | Style::Quoted | Style::Block);
            // Blanks behind a text that is being typed belong to it.
            let behind = self.text.get(entry.value.end as usize..self.offset).unwrap_or_default();
            is_scalar && start(entry) <= self.offset && behind.trim().is_empty()
        };
        let numbers = std::iter::once(owner).chain(self.outline.children(Some(owner)));
        let found = numbers.map(|number| self.outline.entry(number)).filter(|entry| inside(entry)).last()?;
        Some(Span::new(start(found), self.offset.max(found.value.end as usize)))
    }
}

struct Finder<'t> {
    text: &'t str,
    offset: usize,
    outline: Outline,
}

impl Finder<'_> {
    fn find(mut self) -> (Outline, Option<Spot>) {
        if let Some((outline, spot)) = self.in_flow() {
            return (outline, Some(spot));
        }
        let spot = self.in_text().unwrap_or_else(|| self.in_blank());
        (std::mem::take(&mut self.outline), spot)
    }

    fn empty(&self) -> Span {
        Span::new(self.offset, self.offset)
    }

    fn line_start(&self) -> usize {
        self.text[..self.offset].rfind(['\n', '\r']).map_or(0, |end| end + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find(['\n', '\r']).map_or(self.text.len(), |length| at + length)
    }

    fn touches(&self, span: Span) -> bool {
        span.start as usize <= self.offset && self.offset <= span.end as usize
    }

    /// Inside of brackets, also of those that are not closed.
    fn in_flow(&self) -> Option<(Outline, Spot)> {
        let holds = |entry: &Entry| {
            let (start, end) = (entry.value.start as usize, entry.value.end as usize);
            entry.style == Style::Flow && start < self.offset && self.offset <= self.line_end(end)
        };
        let number = self.outline.entries().iter().position(holds)?;
        let (part, spot) = outline::flow_spot(self.text, &self.outline, number, self.offset)?;
        // Entries of the part come twice, the first time as they are in the whole text; the part tells only the kind.
        let first = self.outline.entries().len();
        let whole = |number: usize| {
            if number < first { Some(number) } else { self.twin(&part, number) }
        };
        let word = self.flow_word(number);
        let spot = match spot {
            FlowSpot::Key(owner) => {
                let owner = whole(owner)?;
                let is_here = |number: &usize| self.touches(self.outline.entry(*number).mark);
                match self.outline.children(Some(owner)).find(is_here) {
                    Some(number) if self.outline.name(number).is_some() => {
                        Spot::Key { number, word: self.outline.entry(number).mark }
                    }
                    _ => Spot::NewKey { owner: Some(owner), word },
                }
            }
            FlowSpot::Value(owner) => Spot::Value { owner: whole(owner)?, word },
            FlowSpot::Item(owner) => Spot::FlowItem { owner: whole(owner)?, word },
        };
        Some((self.outline.clone(), spot))
    }

    /// The entry of the whole outline that has the mark of an entry of a part.
    fn twin(&self, part: &Outline, number: usize) -> Option<usize> {
        let wanted = part.entry(number);
        let entries = self.outline.entries().iter();
        entries
            .enumerate()
            .find(|(_, entry)| entry.mark == wanted.mark && entry.kind == wanted.kind)
            .map(|(at, _)| at)
    }

    /// The scalar of a flow collection at the place.
    fn flow_word(&self, number: usize) -> Span {
        let end = self.outline.entry(number).end;
        let below = self
            .outline
            .entries()
            .iter()
            .skip(number + 1)
            .take_while(|entry| (entry.mark.start as usize) <= end);
        let scalars = below.flat_map(|entry| {
            let is_scalar = matches!(entry.style, Style::Plain | Style::Quoted);
            [Some(entry.mark), is_scalar.then_some(entry.value)]
        });
        let is_here = |span: &Span| span.start != span.end && self.touches(*span);
        scalars.flatten().find(is_here).unwrap_or(self.empty())
    }

    /// On a key, a value or a stray text.
    fn in_text(&self) -> Option<Option<Spot>> {
        let entries = || self.outline.entries().iter().enumerate().rev();
        let value = entries().find(|(_, entry)| {
            let is_scalar = matches!(entry.style, Style::Plain | Style::Quoted | Style::Block);
            is_scalar && self.touches(entry.value)
        });
        if let Some((owner, entry)) = value {
            let is_below =
                self.text[entry.mark.end as usize..entry.value.start as usize].contains(['\n', '\r']);
            let word = self.word_in_line(entry.value);
            let is_first_line = self.offset <= self.line_end(entry.value.start as usize);
            return Some(match entry.style {
                Style::Block if is_first_line => None,
                Style::Block => Some(Spot::Script { owner }),
                _ if is_below || entry.kind == Kind::Item => Some(Spot::Below { owner: Some(owner), word }),
                _ => Some(Spot::Value { owner, word }),
            });
        }
        let (number, entry) =
            entries().find(|(_, entry)| self.touches(entry.mark) && entry.kind != Kind::Item)?;
        let word = entry.mark;
        Some(Some(match entry.kind {
            Kind::Stray => Spot::Below { owner: entry.parent, word },
            _ => Spot::Key { number, word },
        }))
    }

    /// The part of a value that is in the line of the place.
    fn word_in_line(&self, value: Span) -> Span {
        let start = (value.start as usize).max(self.line_start());
        let indent = self.text[start..self.offset].len() - self.text[start..self.offset].trim_start().len();
        Span::new(start + indent, (value.end as usize).min(self.line_end(self.offset)))
    }

    /// Where nothing is written.
    fn in_blank(&self) -> Option<Spot> {
        let start = self.line_start();
        let before = &self.text[start..self.offset];
        let in_line = |entry: &Entry| {
            let mark = entry.mark.start as usize;
            start <= mark && mark < self.offset
        };
        let last = self.outline.entries().iter().enumerate().rev().find(|(_, entry)| in_line(entry));
        if let Some((owner, entry)) = last {
            // A value that goes on behind the place is a collection that nothing is known of here.
            let between = self.text.get(entry.value.end.max(entry.mark.end) as usize..self.offset)?;
            if between.contains('#') {
                return None;
            }
            return match (&entry.kind, entry.style) {
                (Kind::Item, Style::None) => Some(Spot::Below { owner: Some(owner), word: self.empty() }),
                (Kind::Key(_), Style::None)
                    if between.trim_start().starts_with(':') && between.ends_with([' ', '\t']) =>
                {
                    Some(Spot::Value { owner, word: self.empty() })
                }
                (Kind::Key(_), Style::Plain) if between.trim().is_empty() => {
                    let start = (entry.value.start as usize).max(start);
                    Some(Spot::Value { owner, word: Span::new(start, self.offset) })
                }
                _ => None,
            };
        }
        if !before.trim().is_empty() {
            return None;
        }
        self.in_blank_line(before.len())
    }

    /// In a line without text, in this column.
    fn in_blank_line(&self, column: usize) -> Option<Spot> {
        let entries = self.outline.entries();
        let mut owner = entries.iter().rposition(|entry| (entry.mark.start as usize) < self.offset);
        if let Some(number) = owner
            && entries[number].style == Style::Block
            && entries[number].column < column
        {
            return Some(Spot::Script { owner: number });
        }
        while let Some(number) = owner {
            if entries[number].column < column {
                break;
            }
            owner = entries[number].parent;
        }
        let has_value = owner.is_some_and(|number| !matches!(entries[number].style, Style::None));
        if has_value { None } else { Some(Spot::Below { owner, word: self.empty() }) }
    }
}

#[cfg(test)]
mod tests;
