//! Places of the protocol and offsets of bytes.
//!
//! The protocol counts lines from 0, which `\n`, `\r\n` or `\r` end, and columns in the units that both sides agreed on.
//! Invariant: every place has an offset at the beginning of a character; places outside of the text are moved into it.

use lsp_types::{Position, Range};
use workflow::source::Span;

/// The units of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of UTF-16: two for a character beyond the basic plane. What holds without an agreement.
    Utf16,
}

impl Encoding {
    fn width(self, character: char) -> usize {
        match self {
            Self::Utf8 => character.len_utf8(),
            Self::Utf16 => character.len_utf16(),
        }
    }
}

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
    encoding: Encoding,
}

impl Lines {
    /// Finds the lines.
    pub(crate) fn new(text: &str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let ends_line = |at: usize| match bytes[at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let starts = (0..bytes.len()).filter(|at| ends_line(*at)).map(|at| at + 1);
        Self { starts: std::iter::once(0).chain(starts).collect(), encoding }
    }

    /// The offset of a place in `text`, which must be the text whose lines these are.
    pub(crate) fn offset(&self, text: &str, position: Position) -> usize {
        let number = usize::try_from(position.line).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(number).copied() else { return text.len() };
        let end = self.starts.get(number + 1).copied().unwrap_or(text.len());
        let line = text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let mut column = 0;
        for (at, character) in line.char_indices() {
            column += self.encoding.width(character);
            if column > wanted {
                return start + at;
            }
        }
        start + line.len()
    }

    /// The place of an offset in `text`, which must be the text whose lines these are.
    pub(crate) fn position(&self, text: &str, offset: usize) -> Position {
        let offset = offset.min(text.len());
        let number = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(number).copied().unwrap_or_default();
        let before = text.as_bytes().get(start..offset).unwrap_or_default();
        // Of a character that the offset cuts, what is before the offset is not counted.
        let column: usize = match std::str::from_utf8(before) {
            Ok(line) => line.chars().map(|character| self.encoding.width(character)).sum(),
            Err(error) => {
                let whole = text.get(start..start + error.valid_up_to()).unwrap_or_default();
                whole.chars().map(|character| self.encoding.width(character)).sum()
            }
        };
        let cut = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Position::new(cut(number), cut(column))
    }

    /// The range of a span.
    pub(crate) fn range(&self, text: &str, span: Span) -> Range {
        Range::new(self.position(text, span.start as usize), self.position(text, span.end as usize))
    }
}

#[cfg(test)]
mod tests {
    use lsp_types::Position;
    use proptest::prelude::{any, proptest};
    use proptest::prop_assert_eq;

    use super::{Encoding, Lines};

    fn check(text: &str, encoding: Encoding, offset: usize, line: u32, character: u32) {
        let lines = Lines::new(text, encoding);
        let position = Position::new(line, character);
        assert_eq!(lines.position(text, offset), position, "{text:?} @ {offset}");
        assert_eq!(lines.offset(text, position), offset, "{text:?} @ {position:?}");
    }

    #[test]
    fn columns_are_counted_in_the_units_agreed_on() {
        check("", Encoding::Utf16, 0, 0, 0);
        check("ab\ncd", Encoding::Utf16, 4, 1, 1);
        check("a😀ä x", Encoding::Utf16, 7, 0, 4);
        check("a😀ä x", Encoding::Utf8, 7, 0, 7);
    }

    #[test]
    fn every_end_of_a_line_is_known() {
        for text in ["ab\ncd\nef", "ab\rcd\ref"] {
            check(text, Encoding::Utf16, 7, 2, 1);
        }
        check("ab\r\ncd\r\n", Encoding::Utf8, 4, 1, 0);
        check("ab\r\ncd\r\n", Encoding::Utf8, 8, 2, 0);
        check("a\n", Encoding::Utf8, 2, 1, 0);
    }

    #[test]
    fn places_outside_are_moved_into_the_text() {
        let text = "a😀\r\nb";
        let lines = Lines::new(text, Encoding::Utf16);
        assert_eq!(lines.offset(text, Position::new(0, 2)), 1);
        assert_eq!(lines.offset(text, Position::new(0, 99)), 5);
        assert_eq!(lines.offset(text, Position::new(9, 0)), text.len());
        assert_eq!(lines.position(text, 99), Position::new(1, 1));
        assert_eq!(lines.position(text, 3), Position::new(0, 1));
    }

    proptest! {
        #[test]
        fn offsets_and_places_agree(text in "(a|ä|😀|\n|\r\n|\r){0,20}", utf8 in any::<bool>()) {
            let lines = Lines::new(&text, if utf8 { Encoding::Utf8 } else { Encoding::Utf16 });
            for (offset, _) in text.char_indices() {
                // Inside of an end of a line there is no place.
                if text[..offset].ends_with('\r') && text[offset..].starts_with('\n') {
                    continue;
                }
                prop_assert_eq!(lines.offset(&text, lines.position(&text, offset)), offset);
            }
        }

        #[test]
        fn no_place_panics(text in any::<String>(), line in 0_u32..9, character in any::<u32>(), offset in 0_usize..99) {
            let lines = Lines::new(&text, Encoding::Utf16);
            assert!(text.is_char_boundary(lines.offset(&text, Position::new(line, character))));
            let _ = lines.position(&text, offset);
        }
    }
}
