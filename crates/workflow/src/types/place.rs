//! Where a part of an expression stands in its file.

use crate::expr::text::{Piece, pieces};
use crate::expr::{Expr, Node, NodeKind};
use crate::source::{SourceFile, Span};
use crate::template::{Token, TokenKind};

/// The bytes that GitHub puts before a condition without a status function.
const COMPLETED: &str = "success() && (";

/// An expression as it is parsed, and the scalar that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The parsed expression: a text's call of `format`, or a completed condition.
    pub expression: &'a Expr,
    /// The scalar.
    pub span: Span,
    /// The value of `if` as written, where the expression is a condition.
    pub condition: Option<&'a Token>,
}

impl<'a> Site<'a> {
    /// Whether the author wrote text with expressions in it.
    #[must_use]
    pub fn is_text(&self) -> bool {
        match self.condition.map(|written| &written.kind) {
            Some(TokenKind::Expression(written)) => written.is_text(),
            Some(_) => false,
            None => self.expression.is_text(),
        }
    }

    /// The expressions that the author wrote: those in the text, or the whole. A completed condition is whole, too: GitHub
    /// makes one `&&` of its own `success()` and the author's parts.
    pub fn written(&self) -> impl Iterator<Item = Node<'a>> {
        let root = self.expression.root();
        let text = root.filter(|_| self.is_text()).map(|root| match root.kind() {
            NodeKind::And(mut operands) => operands.next_back().unwrap_or(root),
            _ => root,
        });
        let parts = match text.map(Node::kind) {
            Some(NodeKind::Call(_, arguments)) => Some(arguments.skip(1)),
            _ => None,
        };
        let whole = if parts.is_none() { root } else { None };
        parts.into_iter().flatten().chain(whole)
    }

    /// How many bytes of the expression's source stand before what the author wrote.
    #[must_use]
    pub fn before(&self) -> usize {
        let Some(written) = self.condition else { return 0 };
        let length = match &written.kind {
            TokenKind::String(text) => text.trim().len(),
            TokenKind::Expression(expr) => expr.source().len(),
            _ => return 0,
        };
        let source = self.expression.source();
        let is_completed = source.len() == COMPLETED.len() + length + 1 && source.starts_with(COMPLETED);
        if is_completed { COMPLETED.len() } else { 0 }
    }

    /// The place in the file of `length` bytes at byte `offset` of the expression's source; of the scalar where it cannot
    /// be told.
    #[must_use]
    pub fn span_of(&self, file: &SourceFile, offset: usize, length: usize) -> Span {
        let raw = file.slice(self.span);
        self.range_of(raw, offset, length).map_or(self.span, |(start, end)| {
            let base = self.span.start as usize;
            Span::new(base + start, base + end)
        })
    }

    fn range_of(&self, raw: &str, offset: usize, length: usize) -> Option<(usize, usize)> {
        let before = self.before();
        let source = self.expression.source().get(before..)?;
        let source = if before > 0 { source.strip_suffix(')')? } else { source };
        let offset = offset.checked_sub(before)?;
        if !self.is_text() {
            let start =
                if raw.contains("${{") { inner_ranges(raw).next()?.start } else { content_start(raw) };
            return aligned(raw, start, source, offset, length);
        }
        // Behind the template stand the expressions of the text, each behind a comma and a space.
        let mut end = source.len() - 1;
        let ranges: Vec<_> = inner_ranges(raw).collect();
        for range in ranges.iter().rev() {
            let part = &raw[range.clone()];
            let start = end.checked_sub(part.len())?;
            if source.get(start..end)? != part {
                return nth_part(source, &ranges, raw, offset, length);
            }
            if offset >= start {
                return aligned(raw, range.start, part, offset - start, length);
            }
            end = start.checked_sub(2)?;
        }
        None
    }
}

/// The bytes in a scalar's source `raw` that are `length` bytes at `offset` of its value; none where it cannot be told.
pub(crate) fn range_in_scalar(
    raw: &str,
    value: &str,
    offset: usize,
    length: usize,
) -> Option<std::ops::Range<usize>> {
    let (start, end) = aligned(raw, content_start(raw), value, offset, length)?;
    Some(start..end)
}

/// As the lengths in the file differ from those in the source: by the first expression that holds the same symbol.
fn nth_part(
    source: &str,
    ranges: &[std::ops::Range<usize>],
    raw: &str,
    offset: usize,
    length: usize,
) -> Option<(usize, usize)> {
    let symbol = source.get(offset..offset + length)?;
    ranges.iter().find_map(|range| {
        let place = raw[range.clone()].find(symbol)?;
        Some((range.start + place, range.start + place + length))
    })
}

fn inner_ranges(raw: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    pieces(raw).filter_map(|piece| match piece {
        Ok(Piece::Expression { inner, .. }) => Some(inner),
        _ => None,
    })
}

/// Where a scalar's text begins: behind a quote, or behind the line of `|` or `>`.
fn content_start(raw: &str) -> usize {
    match raw.as_bytes().first() {
        Some(b'|' | b'>') => raw.find('\n').map_or(raw.len(), |newline| newline + 1),
        Some(b'\'' | b'"') => 1,
        _ => 0,
    }
}

/// Walks through the file's text and the source together; white space and doubled quotes differ between them.
fn aligned(raw: &str, start: usize, source: &str, offset: usize, length: usize) -> Option<(usize, usize)> {
    let (raw_bytes, source_bytes) = (raw.as_bytes(), source.as_bytes());
    let quote = raw_bytes.first().copied().filter(|byte| matches!(byte, b'\'' | b'"'));
    let (mut at, mut in_source) = (start, 0);
    let mut found = None;
    loop {
        while raw_bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        while source_bytes.get(in_source).is_some_and(u8::is_ascii_whitespace) {
            in_source += 1;
        }
        if found.is_none() && in_source >= offset {
            found = Some(at);
        }
        if in_source >= offset + length.max(1) || in_source >= source.len() {
            break;
        }
        let is_doubled = quote == Some(b'\'') && raw_bytes.get(at..at + 2) == Some(b"''");
        let is_escaped = quote == Some(b'"') && raw_bytes.get(at) == Some(&b'\\');
        at += usize::from(is_doubled || is_escaped);
        if raw_bytes.get(at) != source_bytes.get(in_source) {
            return None;
        }
        at += 1;
        in_source += 1;
        if in_source == offset + length.max(1) {
            break;
        }
    }
    let start = found?;
    let end = at.max(start);
    (raw.is_char_boundary(start) && raw.is_char_boundary(end)).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::Site;
    use crate::expr::text::{Text, parse_text};
    use crate::expr::{Names, NodeKind, to_condition};
    use crate::source::{SourceFile, Span};
    use crate::template::{Token, TokenKind};

    /// The text in the file at which the context `b` of the value is found.
    fn check(raw: &str, value: &str, line: usize, column: usize) {
        let Ok(Text::Expression(expression)) = parse_text(value, &Names::any()) else {
            panic!("{value} is no expression");
        };
        let file = SourceFile::new("f", format!("- {raw}"));
        let site = Site { expression: &expression, span: Span::new(2, 2 + raw.len()), condition: None };
        check_site(&file, site, line, column);
    }

    fn check_site(file: &SourceFile, site: Site<'_>, line: usize, column: usize) {
        let is_b = |node: &crate::expr::Node<'_>| matches!(node.kind(), NodeKind::Context("b"));
        let node = site.expression.nodes().find(is_b).expect("b is used");
        let span = site.span_of(file, node.offset(), 1);
        let position = file.position(span.start);
        assert_eq!(
            (file.slice(span), position.line, position.column),
            ("b", line, column),
            "{}",
            file.text()
        );
    }

    #[test]
    fn places_in_scalars() {
        check("${{ a == b }}", "${{ a == b }}", 1, 12);
        check("x ${{ a }} y ${{ a.c || b }}", "x ${{ a }} y ${{ a.c || b }}", 1, 27);
        check("'it''s ${{ a == ''x'' && b }}'", "it's ${{ a == 'x' && b }}", 1, 28);
        check("|\n  one\n  ${{ b }} two\n", "one\n${{ b }} two\n", 3, 7);
        check(">-\n  ${{ a ==\n    'x y' && b }}", "${{ a == 'x y' && b }}", 3, 14);
        check("x ${{ a ==\n    b }}", "x ${{ a == b }}", 2, 5);
    }

    #[test]
    fn places_in_conditions() {
        let check = |raw: &str, value: &str, line, column| {
            let file = SourceFile::new("f", format!("- {raw}"));
            let expression = to_condition(value, &Names::any()).expect("a condition");
            let span = Span::new(2, 2 + raw.len());
            let kind = match parse_text(value, &Names::any()) {
                Ok(Text::Expression(expr)) => TokenKind::Expression(expr),
                _ => TokenKind::String(value.into()),
            };
            let token = Token { kind, span };
            let site = Site { expression: &expression, span, condition: Some(&token) };
            check_site(&file, site, line, column);
        };
        check("a || b", "a || b", 1, 8);
        check("${{ b }}", "${{ b }}", 1, 7);
        check("always() && b", "always() && b", 1, 15);
        check("|\n  a &&\n  b\n", "a &&\nb\n", 3, 3);
        check("${{ a }} && ${{ b }}", "${{ a }} && ${{ b }}", 1, 19);
    }
}
