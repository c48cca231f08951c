//! The text of a scalar together with where each of its bytes stands in the file.
//!
//! What the notation adds is left out as YAML says: indentation, quotes, escapes, line ends that fold to spaces. Notations
//! that hardly anybody uses for text of several lines (explicit indentation, escaped line ends) have no such text.

use crate::source::{SourceFile, Span};

/// A scalar's text and its places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    text: String,
    /// For each byte of the text the byte of the file that begins what it comes from.
    places: Vec<u32>,
    /// The byte behind the last one.
    end: u32,
}

impl Written {
    /// The text of the scalar at `span`, as the parser reads it but for line feeds at its end.
    #[must_use]
    pub fn read(file: &SourceFile, span: Span) -> Option<Self> {
        let raw = file.slice(span);
        let mut written = Self { end: span.end, ..Self::default() };
        let start = span.start as usize;
        match raw.as_bytes().first()? {
            b'|' => written.block(raw, start, false)?,
            b'>' => written.block(raw, start, true)?,
            b'\'' => {
                let inside = raw.strip_prefix('\'')?.strip_suffix('\'')?;
                written.flow(inside, start + 1, Self::single_quoted)?;
            }
            b'"' => {
                let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
                written.flow(inside, start + 1, Self::double_quoted)?;
            }
            _ => written.flow(raw, start, Self::verbatim)?,
        }
        Some(written)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the byte at `offset` of the text stands in the file.
    #[must_use]
    pub fn place(&self, offset: usize) -> u32 {
        self.places.get(offset).copied().unwrap_or(self.end)
    }

    /// Replaces bytes of the text by one character for each of theirs; their places stay.
    pub fn blank(&mut self, range: std::ops::Range<usize>, by: char) {
        let characters = self.text[range.clone()].char_indices();
        let starts: Vec<u32> = characters.map(|(offset, _)| self.places[range.start + offset]).collect();
        let filled: String = std::iter::repeat_n(by, starts.len()).collect();
        let places: Vec<u32> =
            starts.iter().flat_map(|place| std::iter::repeat_n(*place, by.len_utf8())).collect();
        self.text.replace_range(range.clone(), &filled);
        self.places.splice(range, places);
    }

    fn push(&mut self, text: &str, place: usize) {
        for (offset, _) in text.bytes().enumerate() {
            self.places.push(u32::try_from(place + offset).unwrap_or(u32::MAX));
        }
        self.text.push_str(text);
    }

    /// Text that comes from one place as a whole.
    fn push_at(&mut self, text: &str, place: usize) {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.places.extend(std::iter::repeat_n(place, text.len()));
        self.text.push_str(text);
    }

    fn verbatim(&mut self, line: &str, start: usize) -> Option<()> {
        self.push(line, start);
        Some(())
    }

    fn single_quoted(&mut self, line: &str, start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(length) = line[at..].find("''") {
            self.push(&line[at..=at + length], start + at);
            at += length + 2;
        }
        self.push(&line[at..], start + at);
        Some(())
    }

    fn double_quoted(&mut self, line: &str, start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(length) = line[at..].find('\\') {
            self.push(&line[at..at + length], start + at);
            at += length;
            let (text, length) = escape(&line[at + 1..])?;
            self.push_at(text.encode_utf8(&mut [0; 4]), start + at);
            at += 1 + length;
        }
        self.push(&line[at..], start + at);
        Some(())
    }

    /// A plain or quoted scalar: its lines are folded.
    fn flow(
        &mut self,
        raw: &str,
        start: usize,
        line: fn(&mut Self, &str, usize) -> Option<()>,
    ) -> Option<()> {
        let lines: Vec<Line<'_>> = lines(raw, start).collect();
        let last = lines.len().checked_sub(1)?;
        let mut breaks = 0;
        for (index, one) in lines.iter().enumerate() {
            let mut text = one.text;
            let mut place = one.place;
            if index > 0 {
                text = text.trim_start_matches([' ', '\t']);
                place += one.text.len() - text.len();
                breaks += 1;
            }
            if index < last {
                text = text.trim_end_matches([' ', '\t']);
            }
            if text.is_empty() && index < last {
                continue;
            }
            match breaks {
                0 => {}
                1 => self.push_at(" ", place),
                more => self.push_at(&"\n".repeat(more - 1), place),
            }
            breaks = 0;
            line(self, text, place)?;
        }
        Some(())
    }

    fn block(&mut self, raw: &str, start: usize, folded: bool) -> Option<()> {
        let (header, content) = raw.split_once('\n').unwrap_or((raw, ""));
        let indicators = header[1..].split([' ', '\t', '#', '\r']).next().unwrap_or_default();
        if indicators.contains(|indicator: char| indicator.is_ascii_digit()) {
            return None;
        }
        let lines: Vec<Line<'_>> = lines(content, start + header.len() + 1).collect();
        let is_blank = |line: &Line<'_>| line.text.trim_start_matches(' ').is_empty();
        let first = lines.iter().find(|line| !is_blank(line))?;
        let indentation = first.text.len() - first.text.trim_start_matches(' ').len();
        let mut breaks = 0;
        let mut before: Option<bool> = None;
        for line in lines {
            let spaces = line.text.len() - line.text.trim_start_matches(' ').len();
            let cut = spaces.min(indentation);
            let (text, place) = (&line.text[cut..], line.place + cut);
            if text.is_empty() {
                breaks += 1;
                continue;
            }
            let deeper = text.starts_with([' ', '\t']);
            let joined = match before {
                None => "\n".repeat(breaks),
                Some(earlier) if !folded || earlier || deeper => "\n".repeat(breaks + 1),
                Some(_) if breaks == 0 => " ".to_owned(),
                Some(_) => "\n".repeat(breaks),
            };
            self.push_at(&joined, place);
            self.push(text, place);
            (breaks, before) = (0, Some(deeper));
        }
        if !indicators.contains('-') {
            self.push_at("\n", self.end as usize);
        }
        Some(())
    }
}

/// A line without its end, and where it begins.
struct Line<'a> {
    text: &'a str,
    place: usize,
}

fn lines(text: &str, start: usize) -> impl Iterator<Item = Line<'_>> {
    let mut place = start;
    text.split('\n').map(move |line| {
        let at = place;
        place += line.len() + 1;
        Line { text: line.strip_suffix('\r').unwrap_or(line), place: at }
    })
}

/// The character of an escape, and its length behind the backslash.
fn escape(rest: &str) -> Option<(char, usize)> {
    let digits = |count: usize| {
        let number = u32::from_str_radix(rest.get(1..=count)?, 16).ok()?;
        Some((char::from_u32(number)?, count + 1))
    };
    let character = match rest.chars().next()? {
        'x' => return digits(2),
        'u' => return digits(4),
        'U' => return digits(8),
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        same @ (' ' | '"' | '/' | '\\') => same,
        _ => return None,
    };
    Some((character, 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Written;
    use crate::source::{SourceFile, Span};
    use crate::yaml::{Limits, Node, NodeKind, parse};

    /// The value of the only key.
    fn scalar(text: &str) -> Option<(SourceFile, Node)> {
        let file = SourceFile::new("f", text);
        let node = parse(&file, Limits::default()).ok()?;
        let NodeKind::Mapping(mut entries) = node.kind else { return None };
        let value = entries.pop()?.1;
        entries.is_empty().then_some((file, value))
    }

    fn check(text: &str, expected: &str, places: &[(&str, usize)]) {
        let (file, node) = scalar(text).expect("it is a mapping of one key");
        let written = Written::read(&file, node.span).expect("its text has places");
        assert_eq!(written.text(), expected);
        for (part, place) in places {
            let offset = expected.find(part).expect("it is part of the text");
            assert_eq!(written.place(offset) as usize, *place, "{part}");
        }
    }

    #[test]
    fn texts_and_their_places() {
        check("a: one two\n", "one two", &[("two", 7)]);
        check("a: one\n  two\n\n  three\n", "one two\nthree", &[("two", 9), ("three", 16)]);
        check("a: 'it''s x'\n", "it's x", &[("s", 8), ("x", 10)]);
        check("a: \"x\\ty\\u00e4z\"\n", "x\tyäz", &[("\t", 5), ("y", 7), ("z", 14)]);
        check(
            "a: |\n    one\n      two\n\n    three\n",
            "one\n  two\n\nthree\n",
            &[("two", 19), ("three", 28)],
        );
        check("a: |-\r\n  one\r\n  two\r\n", "one\ntwo", &[("two", 16)]);
        check(
            "a: >\n  one\n  two\n\n  three\n   four\n",
            "one two\nthree\n four\n",
            &[("two", 13), ("four", 29)],
        );
    }

    #[test]
    fn parts_are_blanked_out_in_their_places() {
        let (file, node) = scalar("a: x ${{ ä }} y\n").expect("it is a mapping of one key");
        let mut written = Written::read(&file, node.span).expect("its text has places");
        written.blank(2..11, '_');
        assert_eq!(written.text(), "x ________ y");
        assert_eq!(file.slice(Span { start: written.place(11), end: node.span.end }), "y");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn texts_are_what_the_parser_reads(
            header in prop::sample::select(vec!["|", ">", "|-", ">-", "|+", "'", "\"", ""]),
            lines in prop::collection::vec("( {0,3}[a-z'\\\\\"n]{1,4} ?[a-z]{0,3}| {0,2})", 1..7),
            windows in any::<bool>(),
        ) {
            let end = if windows { "\r\n" } else { "\n" };
            let text = match header {
                "'" | "\"" => format!("a: {header}{}{header}{end}", lines.join(&format!("{end}  "))),
                "" => format!("a: {}{end}", lines.join(&format!("{end}  "))),
                block => format!("a: {block}{end}  {}{end}", lines.join(&format!("{end}  "))),
            };
            if let Some((file, node)) = scalar(&text)
                && let NodeKind::String(expected) = &node.kind
                && let Some(written) = Written::read(&file, node.span)
            {
                prop_assert_eq!(written.text().trim_end_matches('\n'), expected.trim_end_matches('\n'), "{:?}", text);
            }
        }
    }
}
