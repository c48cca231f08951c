//! The text of one open document, kept as the editor changes it.

use std::sync::Arc;

use lsp_types::{Position, Range, TextDocumentContentChangeEvent, Uri};
use workflow::source::Span;

use crate::position::{Encoding, Lines};

/// The longest document that is kept, in bytes; of a longer one only that it is open is known.
pub(crate) const MAX_DOCUMENT: usize = 4 * 1024 * 1024;

/// An open document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its name.
    pub(crate) uri: Uri,
    /// What the editor says that it is, such as `yaml`.
    pub(crate) language: String,
    /// The editor's number of this text.
    pub(crate) version: i32,
    /// `None` when it is too long, until the editor sends it whole again.
    text: Option<Arc<str>>,
    /// The last text that was whole YAML.
    last_whole: Option<Arc<str>>,
    lines: Lines,
    encoding: Encoding,
}

impl Document {
    /// A document that was opened.
    pub(crate) fn new(uri: Uri, language: String, version: i32, text: String, encoding: Encoding) -> Self {
        let lines = Lines::new("", encoding);
        let mut document = Self { uri, language, version, text: None, last_whole: None, lines, encoding };
        document.set(text);
        document
    }

    fn set(&mut self, text: String) {
        if text.len() > MAX_DOCUMENT {
            self.lines = Lines::new("", self.encoding);
            self.text = None;
        } else {
            self.lines = Lines::new(&text, self.encoding);
            self.text = Some(text.into());
        }
    }

    /// Applies changes in their order; those behind the text's end are at its end.
    pub(crate) fn change(&mut self, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        self.version = version;
        for change in changes {
            match (change.range, self.text.as_deref()) {
                (None, _) => self.set(change.text),
                // What the change is applied to is not known.
                (Some(_), None) => {}
                (Some(range), Some(text)) => {
                    let (start, end) =
                        (self.lines.offset(text, range.start), self.lines.offset(text, range.end));
                    let (start, end) = (start.min(end), start.max(end));
                    let (before, after) = (&text[..start], &text[end..]);
                    let changed = [before, &change.text, after].concat();
                    self.set(changed);
                }
            }
        }
    }

    /// The text; `None` when it is too long to be kept.
    pub(crate) fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// Remembers the text as one that is whole YAML.
    pub(crate) fn keep_whole(&mut self) {
        self.last_whole.clone_from(&self.text);
    }

    /// The last text that was whole YAML.
    pub(crate) fn last_whole(&self) -> Option<&str> {
        self.last_whole.as_deref()
    }

    /// The units of columns.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The offset of a place.
    pub(crate) fn offset(&self, position: Position) -> usize {
        self.lines.offset(self.text.as_deref().unwrap_or_default(), position)
    }

    /// The range of a span of the text.
    pub(crate) fn range(&self, span: Span) -> Range {
        self.lines.range(self.text.as_deref().unwrap_or_default(), span)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use lsp_types::{Position, Range, TextDocumentContentChangeEvent, Uri};
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use proptest::prop_assert_eq;

    use super::{Document, MAX_DOCUMENT};
    use crate::position::Encoding;

    fn document(text: &str) -> Document {
        let uri = Uri::from_str("file:///w.yml").expect("a URI");
        Document::new(uri, "yaml".into(), 1, text.into(), Encoding::Utf16)
    }

    fn change(range: Option<[u32; 4]>, text: &str) -> TextDocumentContentChangeEvent {
        let range = range.map(|[a, b, c, d]| Range::new(Position::new(a, b), Position::new(c, d)));
        TextDocumentContentChangeEvent { range, range_length: None, text: text.into() }
    }

    fn check(text: &str, changes: Vec<TextDocumentContentChangeEvent>, expected: &str) {
        let mut document = document(text);
        document.change(2, changes);
        assert_eq!((document.version, document.text().map(|text| &**text)), (2, Some(expected)), "{text:?}");
    }

    #[test]
    fn changes_are_applied_in_their_order() {
        check("", vec![change(Some([0, 0, 0, 0]), "a")], "a");
        check("a😀b\r\nc", vec![change(Some([0, 3, 1, 0]), "-")], "a😀-c");
        check(
            "on: push\n",
            vec![change(Some([0, 4, 0, 8]), "x"), change(Some([1, 0, 1, 0]), "y")],
            "on: x\ny",
        );
        check("a", vec![change(None, "b"), change(Some([0, 1, 0, 1]), "c")], "bc");
        check("abc", vec![change(Some([0, 2, 0, 1]), "-")], "a-c");
        check("abc", vec![change(Some([7, 2, 9, 1]), "-")], "abc-");
    }

    #[test]
    fn long_documents_are_not_kept() {
        let mut document = document("a");
        document.change(2, vec![change(Some([0, 0, 0, 0]), &"x".repeat(MAX_DOCUMENT))]);
        assert!(document.text().is_none());
        document.change(3, vec![change(Some([0, 0, 0, 1]), "")]);
        assert!(document.text().is_none());
        document.change(4, vec![change(None, "b")]);
        assert_eq!(document.text().map(|text| &**text), Some("b"));
    }

    /// The protocol's words, on units of UTF-16.
    fn reference(text: &str, [start_line, start, end_line, end]: [u32; 4], new: &str) -> String {
        let units: Vec<u16> = text.encode_utf16().collect();
        let place = |line: u32, character: u32| {
            let (mut at, mut number) = (0, 0);
            while number < line && at < units.len() {
                let is_end = units[at] == 10 || (units[at] == 13 && units.get(at + 1) != Some(&10));
                number += u32::from(is_end);
                at += 1;
            }
            if number < line {
                return units.len();
            }
            let mut left = character;
            while left > 0 && at < units.len() && units[at] != 10 && units[at] != 13 {
                let cuts = left == 1 && (0xD800..0xDC00).contains(&units[at]);
                if cuts {
                    break;
                }
                at += 1;
                left -= 1;
            }
            at
        };
        let (first, second) = (place(start_line, start), place(end_line, end));
        let (first, second) = (first.min(second), first.max(second));
        let before = String::from_utf16(&units[..first]).expect("no character is cut");
        let after = String::from_utf16(&units[second..]).expect("no character is cut");
        format!("{before}{new}{after}")
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["(on: push|jobs:|  a|: |ä|😀|\n|\r\n|\r|- ){0,12}", any::<String>()]
    }

    proptest! {
        #[test]
        fn any_changes_give_what_the_protocol_says(
            first in text(),
            changes in proptest::collection::vec((0_u32..6, 0_u32..12, 0_u32..6, 0_u32..12, text()), 0..8),
        ) {
            let mut document = document(&first);
            let mut expected = first;
            for (version, (a, b, c, d, new)) in (2..).zip(changes) {
                expected = reference(&expected, [a, b, c, d], &new);
                document.change(version, vec![change(Some([a, b, c, d]), &new)]);
                prop_assert_eq!(document.text().map(|text| &**text), Some(expected.as_str()));
            }
        }
    }
}
