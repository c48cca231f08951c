//! Source files and places in them. Every span counts bytes; lines and columns are derived for people.

use std::sync::Arc;

use memchr::{memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

/// A half-open range of bytes in one source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The span from byte `start` up to, not including, byte `end`. Offsets beyond 4 GiB are cut; files are
    /// refused long before that size.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let cut = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: cut(start), end: cut(end) }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value together with the place where its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in its file.
    pub span: Span,
}

/// A place for people: both numbers start at 1, the column counts Unicode code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in code points, from 1.
    pub column: usize,
}

/// One file of text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: Arc<str>,
    text: Arc<str>,
    /// Where bytes were that are not UTF-8.
    malformed: Option<Span>,
}

impl SourceFile {
    /// A file called `name` (a path as people should see it) with this text.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into(), malformed: None }
    }

    /// A file called `name` with these bytes. A byte-order mark is left out; bytes that are not UTF-8 are replaced and
    /// remembered as [`SourceFile::malformed`].
    #[must_use]
    pub fn from_bytes(name: impl Into<Arc<str>>, bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(name, text),
            Err(error) => {
                let start = error.valid_up_to();
                let span = Span::new(start, start + char::REPLACEMENT_CHARACTER.len_utf8());
                Self { malformed: Some(span), ..Self::new(name, String::from_utf8_lossy(bytes)) }
            }
        }
    }

    /// The place of the first bytes that are not UTF-8, if there are such: the text has a replacement character there.
    #[must_use]
    pub fn malformed(&self) -> Option<Span> {
        self.malformed
    }

    /// The path as given.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The text of a span; empty where the span is not inside the text or cuts a character.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Line and column of a byte offset; an offset behind the end is the end.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        // No table of lines is made: few places are asked for, and line feeds are counted quickly.
        let before = &self.text.as_bytes()[..self.text.len().min(offset as usize)];
        let line = memchr_iter(b'\n', before).count() + 1;
        let start = memrchr(b'\n', before).map_or(0, |feed| feed + 1);
        // A byte that continues a character (10xxxxxx) does not begin a column.
        let column = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, SourceFile, Span};

    fn check(text: &str, offset: u32, line: usize, column: usize) {
        assert_eq!(
            SourceFile::new("f", text).position(offset),
            Position { line, column },
            "{text:?} @ {offset}"
        );
    }

    #[test]
    fn positions_count_code_points() {
        check("", 0, 1, 1);
        check("ab\ncd", 1, 1, 2);
        check("ab\ncd", 3, 2, 1);
        check("ab\ncd", 99, 2, 3);
        check("ä😀x", 6, 1, 3);
        check("a\r\nb", 3, 2, 1);
    }

    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        let check = |bytes: &[u8], text: &str, malformed: Option<u32>| {
            let file = SourceFile::from_bytes("f", bytes);
            assert_eq!(
                (&**file.text(), file.malformed().map(|span| span.start)),
                (text, malformed),
                "{bytes:?}"
            );
        };
        check("ä".as_bytes(), "ä", None);
        check(b"\xEF\xBB\xBFa", "a", None);
        check(b"a: \xE4b", "a: \u{fffd}b", Some(3));
        check(b"\xFF\xFEa\0", "\u{fffd}\u{fffd}a\0", Some(0));
    }

    #[test]
    fn slices_never_panic() {
        let file = SourceFile::new("f", "ä");
        assert_eq!(file.slice(Span::new(0, 2)), "ä");
        assert_eq!(file.slice(Span::new(1, 2)), "");
        assert_eq!(file.slice(Span::new(5, 9)), "");
    }
}
