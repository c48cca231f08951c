//! The anchors of a file, and the aliases that use them.

use std::collections::HashMap;

use granit_parser::{Event, Parser};
use memchr::memchr_iter;

use super::DEFAULT_MAX_DEPTH;
use crate::source::{SourceFile, Span};

/// What is wrong with the anchors of a file.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    /// Names and places, from the `&`, of anchors that no alias uses.
    pub(crate) unused: Vec<(String, Span)>,
    /// Aliases inside of their own anchors, with these.
    pub(crate) recursive: Vec<(Span, Span)>,
}

/// An anchor while its file is read.
struct Anchor {
    span: Span,
    used: bool,
    /// Whether its collection has not ended yet.
    is_open: bool,
}

impl Anchors {
    /// Reads the anchors of a file, up to its first mistake in YAML.
    pub(crate) fn of(file: &SourceFile) -> Self {
        let text = &**file.text();
        let mut found = Self::default();
        if !may_have_anchors(text) {
            return found;
        }
        let options = granit_parser::options! {
            emit_comments: false,
            block_scalar_eof_without_line_feed: true,
            flow_nesting_limit: DEFAULT_MAX_DEPTH,
            block_nesting_limit: DEFAULT_MAX_DEPTH,
        };
        let mut anchors: HashMap<usize, Anchor> = HashMap::new();
        let mut open: Vec<usize> = Vec::new();
        let mut before = 0;
        for (event, span) in Parser::new_from_str_with_options(text, options).map_while(Result::ok) {
            let range = span.byte_range().unwrap_or(before..before);
            if let Event::Alias(id) = event
                && let Some(anchor) = anchors.get_mut(&id)
            {
                anchor.used = true;
                if anchor.is_open {
                    found.recursive.push((Span::new(range.start, range.end), anchor.span));
                }
            }
            let id = event.anchor_id().unwrap_or_default();
            let opens = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
            if id != 0 {
                let span = place(text, before, range.start.max(before));
                anchors.insert(id, Anchor { span, used: false, is_open: opens });
            }
            if opens {
                open.push(id);
            } else if matches!(event, Event::SequenceEnd | Event::MappingEnd)
                && let Some(anchor) = open.pop().and_then(|id| anchors.get_mut(&id))
            {
                anchor.is_open = false;
            }
            before = range.end.max(before).min(text.len());
        }
        let unused = anchors.into_values().filter(|anchor| !anchor.used).map(|anchor| anchor.span);
        found.unused =
            unused.map(|span| (file.slice(span).trim_start_matches('&').to_owned(), span)).collect();
        found.unused.sort_by_key(|(_, span)| span.start);
        found
    }
}

/// Whether an `&` stands where an anchor may begin: most files have none, or only those of scripts.
fn may_have_anchors(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr_iter(b'&', bytes).any(|index| {
        let before = index.checked_sub(1).and_then(|index| bytes.get(index));
        let after = bytes.get(index + 1);
        before.is_none_or(|before| matches!(before, b' ' | b'\t' | b'\n' | b'[' | b'{' | b','))
            && after.is_some_and(|after| after.is_ascii_alphanumeric() || matches!(after, b'_' | b'-'))
    })
}

/// The anchor between the end of the event before and the start of its own.
fn place(text: &str, from: usize, to: usize) -> Span {
    let between = text.get(from..to).unwrap_or_default();
    let mut start = from;
    let mut found = Span::new(to, to);
    for line in between.split_inclusive('\n') {
        let content = line.split(" #").next().unwrap_or(line);
        if let Some(offset) = content.rfind('&').filter(|_| !content.trim_start().starts_with('#')) {
            let name =
                content[offset..].split([' ', '\t', '\r', '\n', ',', ']', '}']).next().unwrap_or_default();
            found = Span::new(start + offset, start + offset + name.len());
        }
        start += line.len();
    }
    found
}
