//! Parser events to nodes. Aliases are expanded by reading the anchored events again, as often as the budget allows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span as EventSpan, StrInput, Tag};

use super::scalar::{ScalarError, plain, tagged};
use super::{MAX_EXPANDED_BYTES, MAX_NODES, Node, NodeKind, error};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceFile, Span};

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Comments that follow a bracket without a space between, as many as one file may have.
const MAX_TIGHT_COMMENTS: usize = 16;

pub(super) fn parse(file: &SourceFile, max_depth: usize) -> Result<Node> {
    let text = without_tight_comments(file.text(), max_depth);
    let (events, failure) = events(file, &text, max_depth)?;
    let mut builder = Builder {
        file,
        events,
        failure,
        max_depth,
        anchors: HashMap::new(),
        open: Vec::new(),
        nodes: 0,
        bytes: 0,
    };
    builder.index_anchors();
    builder.document()
}

type Events<'a> = Vec<(Event<'a>, Span)>;

fn parser(text: &str, max_depth: usize) -> Parser<'_, StrInput<'_>> {
    // The library counts flow and block nesting apart, the builder both together.
    let options = granit_parser::options! {
        emit_comments: false,
        // As GitHub's library reads the last line of a file.
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: max_depth,
        block_nesting_limit: max_depth,
    };
    Parser::new_from_str_with_options(text, options)
}

/// The text with blanks for comments such as that of `[a]# b`: YAML wants a space before them, GitHub does not.
fn without_tight_comments(text: &Arc<str>, max_depth: usize) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(&**text);
    if !text.contains("]#") && !text.contains("}#") {
        return text;
    }
    for _ in 0..MAX_TIGHT_COMMENTS {
        let failure = parser(&text, max_depth).find_map(std::result::Result::err);
        let Some(failure) = failure.filter(|failure| *failure.kind() == ErrorKind::CommentNotSeparated)
        else {
            break;
        };
        let Some(start) = failure.marker().byte_offset() else { break };
        let after_bracket = text.get(..start).is_some_and(|before| before.ends_with([']', '}']));
        if !after_bracket {
            break;
        }
        let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        text.to_mut().replace_range(start..end, &" ".repeat(end - start));
    }
    text
}

/// All events of the first document, and the error that ended them early.
fn events<'a>(
    file: &SourceFile,
    text: &'a str,
    max_depth: usize,
) -> Result<(Events<'a>, Option<Box<Diagnostic>>)> {
    let mut events = Vec::new();
    let mut documents = 0;
    for next in parser(text, max_depth) {
        let (event, span) = match next {
            Ok((event, span)) => {
                let from = events.last().map_or(0, |(_, span): &(Event<'_>, Span)| span.end);
                let span = content_span(text, from as usize, &event, byte_span(text, &span));
                (event, span)
            }
            Err(failure) => return Ok((events, Some(syntax_error(file, text, &failure, max_depth)))),
        };
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    let message = "a workflow or action file holds exactly one YAML document";
                    return Err(Box::new(error(file, "yaml-documents", Some(span), message).with_help(
                        "remove the line `---` and what follows, or move it into a file of its own",
                    )));
                }
            }
            event => events.push((event, span)),
        }
    }
    Ok((events, None))
}

fn byte_span(text: &str, span: &EventSpan) -> Span {
    let range = span.byte_range().unwrap_or(text.len()..text.len());
    Span::new(range.start, range.end)
}

/// The library gives the place of a block scalar's text; GitHub reports the place of its `|` or `>`, which stands
/// behind `from`, the end of the event before.
fn content_span(text: &str, from: usize, event: &Event<'_>, span: Span) -> Span {
    let Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) = event else { return span };
    let Some(between) = text.get(from..(span.start as usize).max(from)) else { return span };
    let mut in_comment = false;
    let mut previous = ' ';
    for (offset, character) in between.char_indices() {
        match character {
            '\n' => in_comment = false,
            '#' if previous.is_whitespace() => in_comment = true,
            '|' | '>' if !in_comment => return Span::new(from + offset, span.end as usize),
            _ => {}
        }
        previous = character;
    }
    span
}

fn syntax_error(file: &SourceFile, text: &str, failure: &ScanError, max_depth: usize) -> Box<Diagnostic> {
    let offset = failure.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let line = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let end = offset + text[offset..].chars().next().map_or(0, char::len_utf8);
    if *failure.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(file, Span::new(offset, end), max_depth);
    }
    let diagnostic = error(file, "yaml-syntax", Some(Span::new(offset, end)), failure.info());
    let indentation = text[line..].chars().take_while(|character| matches!(character, ' ' | '\t'));
    if indentation.clone().any(|character| character == '\t') {
        return Box::new(diagnostic.with_help("indent with spaces: YAML does not allow tabs there"));
    }
    match failure.kind() {
        ErrorKind::UnknownAnchor => {
            Box::new(diagnostic.with_help("define the anchor, `&name`, before its alias"))
        }
        _ => diagnostic,
    }
}

fn too_deep(file: &SourceFile, span: Span, max_depth: usize) -> Box<Diagnostic> {
    error(
        file,
        "max-depth",
        Some(span),
        format!("maximum object depth exceeded: more than {max_depth} levels"),
    )
}

struct Builder<'f, 'a> {
    file: &'f SourceFile,
    events: Events<'a>,
    failure: Option<Box<Diagnostic>>,
    max_depth: usize,
    /// Anchor id to the index of its event.
    anchors: HashMap<usize, usize>,
    /// The events of the collections that are being built, outermost first.
    open: Vec<usize>,
    nodes: usize,
    bytes: usize,
}

impl Builder<'_, '_> {
    fn index_anchors(&mut self) {
        for (index, (event, _)) in self.events.iter().enumerate() {
            if let Some(anchor) = event.anchor_id() {
                self.anchors.insert(anchor, index);
            }
        }
    }

    fn document(&mut self) -> Result<Node> {
        if self.events.is_empty() {
            return Err(self
                .failure
                .take()
                .unwrap_or_else(|| error(self.file, "yaml-empty", None, "the file is empty")));
        }
        let mut index = 0;
        let node = self.node(&mut index, 0)?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if node.kind == NodeKind::Null && node.span.start == node.span.end {
            return Err(error(self.file, "yaml-empty", None, "the file is empty"));
        }
        Ok(node)
    }

    /// The node that begins at event `index`, which moves behind it.
    fn node(&mut self, index: &mut usize, depth: usize) -> Result<Node> {
        let Some((event, span)) = self.events.get(*index) else {
            return Err(self.cut_short());
        };
        let (event, span) = (event.clone(), *span);
        *index += 1;
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.too_large(span));
        }
        match event {
            Event::Scalar(text, style, _, tag) => self.scalar(&text, style, tag.as_deref(), span),
            Event::Alias(id) => self.alias(id, span, depth),
            Event::SequenceStart(..) => self.sequence(index, depth, span),
            Event::MappingStart(..) => self.mapping(index, depth, span),
            _ => Err(error(
                self.file,
                "yaml-syntax",
                Some(span),
                "expected a scalar value, a sequence, or a mapping",
            )),
        }
    }

    /// The events end inside the document: because of a syntax error.
    fn cut_short(&mut self) -> Box<Diagnostic> {
        let fallback = || error(self.file, "yaml-syntax", None, "the document ends unexpectedly");
        self.failure.take().unwrap_or_else(fallback)
    }

    fn too_large(&self, span: Span) -> Box<Diagnostic> {
        let message = format!(
            "the file is too large: its aliases expanded, it has more than {MAX_NODES} nodes or {MAX_EXPANDED_BYTES} bytes"
        );
        error(self.file, "yaml-too-large", Some(span), message)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Node> {
        self.bytes += text.len();
        if self.bytes > MAX_EXPANDED_BYTES {
            return Err(self.too_large(span));
        }
        let is_plain = style == ScalarStyle::Plain;
        let kind = match tag {
            Some(tag) => tagged(text, tag.core_suffix(), &tag.original(), is_plain),
            None if is_plain => plain(text),
            None => Ok(NodeKind::String(Arc::from(text))),
        };
        let message = match kind {
            Ok(kind) => return Ok(Node { kind, span }),
            Err(ScalarError::Invalid(kind)) => format!("the value '{text}' is invalid for the type '{kind}'"),
            Err(ScalarError::Style(tag)) => {
                format!("a quoted or block scalar is not valid with the tag '{tag}'")
            }
            Err(ScalarError::Tag(tag)) => format!("unexpected tag '{tag}'"),
        };
        Err(error(self.file, "yaml-tag", Some(span), message))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node> {
        let Some(mut index) = self.anchors.get(&id).copied() else {
            return Err(error(self.file, "yaml-alias", Some(span), "unknown anchor"));
        };
        if self.open.contains(&index) {
            return Err(error(
                self.file,
                "yaml-alias",
                Some(span),
                "an alias may not stand inside its own anchor",
            ));
        }
        self.node(&mut index, depth)
    }

    /// Opens the collection whose start event lies before `index`.
    fn enter(&mut self, index: usize, depth: usize, span: Span) -> Result<usize> {
        if depth >= self.max_depth {
            return Err(too_deep(self.file, span, self.max_depth));
        }
        self.open.push(index - 1);
        Ok(depth + 1)
    }

    fn sequence(&mut self, index: &mut usize, depth: usize, start: Span) -> Result<Node> {
        let depth = self.enter(*index, depth, start)?;
        let mut items = Vec::new();
        loop {
            match self.events.get(*index) {
                None => return Err(self.cut_short()),
                Some((Event::SequenceEnd, end)) => {
                    let span = start.to(Span { start: start.start, end: end.end });
                    *index += 1;
                    self.open.pop();
                    return Ok(Node { kind: NodeKind::Sequence(items), span });
                }
                Some(_) => items.push(self.node(index, depth)?),
            }
        }
    }

    fn mapping(&mut self, index: &mut usize, depth: usize, start: Span) -> Result<Node> {
        let depth = self.enter(*index, depth, start)?;
        let mut entries = Vec::new();
        loop {
            match self.events.get(*index) {
                None => return Err(self.cut_short()),
                Some((Event::MappingEnd, end)) => {
                    let span = start.to(Span { start: start.start, end: end.end });
                    *index += 1;
                    self.open.pop();
                    return Ok(Node { kind: NodeKind::Mapping(entries), span });
                }
                Some(_) => {
                    let key = self.node(index, depth)?;
                    if matches!(key.kind, NodeKind::Sequence(_) | NodeKind::Mapping(_)) {
                        return Err(error(
                            self.file,
                            "yaml-key",
                            Some(key.span),
                            "a mapping's key must be a scalar",
                        ));
                    }
                    let value = self.node(index, depth)?;
                    entries.push((key, value));
                }
            }
        }
    }
}
