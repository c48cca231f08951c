//! Text with expressions in it: `Hello ${{ github.actor }}`.
//!
//! Text without `${{` is itself. Text that is one expression and nothing else is that expression, whose value keeps its type.
//! Everything else is an expression `format('Hello {0}', github.actor)`, as GitHub makes it.

use super::ast::Expr;
use super::error::{ExprError, Stage};
use super::names::Names;
use super::parser::{parse, parse_format};
use memchr::{memchr_iter, memchr3_iter};
use std::borrow::Cow;
use std::ops::Range;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";
const INSERT: &str = "insert";

/// What a text is.
#[derive(Clone, Debug, PartialEq)]
pub enum Text<'a> {
    /// It holds no expression, or one that is a literal text.
    Literal(Cow<'a, str>),
    /// Its value is that of an expression.
    Expression(Expr),
    /// `${{ insert }}`: the key of a mapping whose value is put in its place.
    Insert,
}

/// A piece of a text, in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that is itself.
    Literal(Range<usize>),
    /// An expression.
    Expression {
        /// With `${{` and `}}`.
        outer: Range<usize>,
        /// Without them, and without the white space beside them.
        inner: Range<usize>,
    },
}

/// Whether `text` holds an expression.
pub fn has_expression(text: &str) -> bool {
    // Most texts are short, and the search for one byte costs more to begin than to look at a few.
    if text.len() <= SHORT && text.bytes().all(|byte| byte != b'$') {
        return false;
    }
    opening(text, 0).is_some()
}

/// Bytes of a text that are looked at one by one.
const SHORT: usize = 24;

/// The place of the first `${{` at or behind `from`.
fn opening(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr_iter(b'$', &bytes[from..]).map(|at| from + at).find(|at| bytes[*at..].starts_with(OPEN.as_bytes()))
}

/// The pieces of a text, in order. Ends after an error: an expression that is not closed or that is empty.
pub fn pieces(text: &str) -> impl Iterator<Item = Result<Piece, ExprError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let start = opening(text, at).unwrap_or(text.len());
        if at < start {
            let literal = at..start;
            at = start;
            return Some(Ok(Piece::Literal(literal)));
        }
        let piece = expression(text, start);
        at = match &piece {
            Ok((_, end)) => *end,
            Err(_) => text.len(),
        };
        Some(piece.map(|(piece, _)| piece))
    })
}

/// The expression that starts at `start`, and where it ends.
fn expression(text: &str, start: usize) -> Result<(Piece, usize), ExprError> {
    let from = start + OPEN.len();
    let end = closing(text, from).ok_or_else(|| {
        error(
            "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.",
            start,
        )
    })?;
    let raw = &text[from..end - CLOSE.len()];
    let trimmed = raw.trim();
    if trimmed.is_empty() {
        return Err(error("An expression was expected", start));
    }
    let inner = from + (raw.len() - raw.trim_start().len());
    let piece = Piece::Expression { outer: start..end, inner: inner..inner + trimmed.len() };
    Ok((piece, end))
}

/// Where the `}}` that is in no text literal ends.
fn closing(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut in_literal = false;
    for at in from..bytes.len() {
        match bytes[at] {
            b'\'' => in_literal = !in_literal,
            b'}' if !in_literal && at > from && bytes[at - 1] == b'}' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn error(message: impl Into<String>, offset: usize) -> ExprError {
    ExprError::new(Stage::Parsing, message).moved_by(offset)
}

/// Reads a value: text with expressions that use `names`.
///
/// # Errors
/// The first mistake. Its offset is in bytes of `text`, its position in characters of the expression.
pub fn parse_text<'a>(text: &'a str, names: &Names) -> Result<Text<'a>, ExprError> {
    match parse_key(text, names)? {
        Text::Insert => {
            Err(error(format!("The expression directive '{INSERT}' is not supported in this context"), 0))
        }
        other => Ok(other),
    }
}

/// Reads a key of a mapping: as [`parse_text`], and `${{ insert }}` is admitted.
///
/// # Errors
/// As [`parse_text`].
pub fn parse_key<'a>(text: &'a str, names: &Names) -> Result<Text<'a>, ExprError> {
    if !has_expression(text) {
        return Ok(Text::Literal(Cow::Borrowed(text)));
    }
    if let Some(expr) = parse_mixed(text, names) {
        return Ok(Text::Expression(expr));
    }
    let mut mixed = Mixed::default();
    for piece in pieces(text) {
        let (outer, inner) = match piece? {
            Piece::Literal(literal) => {
                mixed.literal(&text[literal]);
                continue;
            }
            Piece::Expression { outer, inner } => (outer, inner),
        };
        let whole = outer == (0..text.len());
        if is_insert(&text[inner.clone()]).map_err(|message| error(message, outer.start))? {
            if whole {
                return Ok(Text::Insert);
            }
            let message = format!(
                "The directive '{INSERT}' is not allowed in this context. Directives are not supported for \
                 expressions that are embedded within a string. Directives are only supported when the entire \
                 value is an expression."
            );
            return Err(error(message, outer.start));
        }
        let expr = parse(&text[inner.clone()], names).map_err(|error| error.moved_by(inner.start))?;
        if whole {
            return Ok(match expr.as_literal_text() {
                Some(literal) if expr.source().starts_with('\'') => {
                    Text::Literal(Cow::Owned(literal.to_owned()))
                }
                _ => Text::Expression(expr),
            });
        }
        mixed.expression(expr.source());
    }
    // The places in this expression are none of the text.
    parse(&mixed.finish(), names)
        .map(|expr| Text::Expression(expr.into_text()))
        .map_err(|error| ExprError { offset: Some(0), ..error })
}

/// The expression of a text that is not one expression and nothing else; none where something is wrong with it.
fn parse_mixed(text: &str, names: &Names) -> Option<Expr> {
    let mut mixed = Mixed::default();
    let mut lengths = Vec::new();
    for piece in pieces(text) {
        match piece.ok()? {
            Piece::Literal(literal) => mixed.literal(&text[literal]),
            Piece::Expression { outer, inner } => {
                if outer == (0..text.len()) || text[inner.clone()].starts_with(INSERT) {
                    return None;
                }
                lengths.push(inner.len());
                mixed.expression(&text[inner]);
            }
        }
    }
    let template = OPEN_FORMAT.len()..OPEN_FORMAT.len() + mixed.template.len();
    let mut end = template.end + 1;
    let places = lengths.iter().map(|length| {
        let start = end + SEPARATOR.len();
        end = start + length;
        start..end
    });
    let places: Vec<Range<usize>> = places.collect();
    parse_format(&mixed.finish(), template, &places, names)
}

/// Parses each expression of a text by itself, for its mistakes and for what it uses: its bytes in the text (without `${{`,
/// `}}` and white space) and the expression. Mistakes do not end the list, but an expression that is not closed does.
pub fn parse_each<'a>(
    text: &'a str,
    names: &'a Names,
) -> impl Iterator<Item = Result<(Range<usize>, Expr), ExprError>> + 'a {
    pieces(text).filter_map(move |piece| match piece {
        Err(error) => Some(Err(error)),
        Ok(Piece::Literal(_)) => None,
        Ok(Piece::Expression { outer, inner }) => match is_insert(&text[inner.clone()]) {
            Ok(true) => None,
            Err(message) => Some(Err(error(message, outer.start))),
            Ok(false) => Some(match parse(&text[inner.clone()], names) {
                Ok(expr) => Ok((inner, expr)),
                Err(error) => Err(error.moved_by(inner.start)),
            }),
        },
    })
}

/// Whether an expression is the directive `insert`, which takes no parameter.
fn is_insert(expression: &str) -> Result<bool, String> {
    let Some(rest) = expression.strip_prefix(INSERT) else { return Ok(false) };
    if rest.is_empty() {
        return Ok(true);
    }
    if !rest.starts_with(char::is_whitespace) {
        return Ok(false);
    }
    let parameters = parameters(rest);
    Err(format!(
        "Exactly 0 parameter(s) were expected following the directive '{INSERT}'. Actual parameter count: {parameters}"
    ))
}

/// How many words there are; white space in quotes or parentheses separates none.
fn parameters(text: &str) -> usize {
    let (mut count, mut in_literal, mut depth, mut in_word) = (0, false, 0_i32, false);
    for c in text.chars() {
        if c.is_whitespace() && !in_literal && depth == 0 {
            in_word = false;
            continue;
        }
        match c {
            '\'' => in_literal = !in_literal,
            '(' if !in_literal => depth += 1,
            ')' if !in_literal => depth -= 1,
            _ => {}
        }
        if !in_word {
            count += 1;
            in_word = true;
        }
    }
    count
}

/// The call of `format` that a text with expressions stands for.
#[derive(Default)]
struct Mixed {
    template: String,
    arguments: String,
    count: usize,
}

const OPEN_FORMAT: &str = "format('";
const SEPARATOR: &str = ", ";

impl Mixed {
    fn literal(&mut self, text: &str) {
        let mut start = 0;
        for at in memchr3_iter(b'\'', b'{', b'}', text.as_bytes()) {
            self.template.push_str(&text[start..=at]);
            // It is doubled: the next piece begins with it again.
            start = at;
        }
        self.template.push_str(&text[start..]);
    }

    fn expression(&mut self, source: &str) {
        self.template.push('{');
        self.template.push_str(&self.count.to_string());
        self.template.push('}');
        self.count += 1;
        self.arguments.push_str(SEPARATOR);
        self.arguments.push_str(source);
    }

    fn finish(self) -> String {
        [OPEN_FORMAT, &self.template, "'", &self.arguments, ")"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Names;
    use super::{Text, parse_each, parse_key, parse_text};

    const NAMES: Names = Names::of(&["a", "b"]);

    fn written(text: Text<'_>) -> String {
        match text {
            Text::Literal(literal) => format!("literal {literal}"),
            Text::Expression(expr) => format!("expression {expr}"),
            Text::Insert => "insert".to_owned(),
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(written(parse_text(text, &NAMES).unwrap()), expected, "{text:?}");
    }

    fn check_error(text: &str, message: &str, offset: usize) {
        let error = parse_text(text, &NAMES).unwrap_err();
        assert!(error.message.starts_with(message), "{text:?}: {}", error.message);
        assert_eq!(error.offset, Some(offset), "{text:?}");
    }

    #[test]
    fn texts() {
        check("", "literal ");
        check("a {{ b }} $", "literal a {{ b }} $");
        check("${{ a.b }}", "expression a.b");
        check("${{a}}", "expression a");
        check("x ${{ a }}", "expression format('x {0}', a)");
        check("${{ a }}${{ b }}", "expression format('{0}{1}', a, b)");
        check("it's {x} ${{ a }} }}", "expression format('it''s {{x}} {0} }}}}', a)");
        check("${{ '}}' }}${{ 'it''s }}' }}", "expression format('{0}{1}', '}}', 'it''s }}')");
        check("${{ '{{ literal }}' }}", "literal {{ literal }}");
        check("${{ ('a') }}", "expression ('a')");
    }

    #[test]
    fn mistakes_have_their_place_in_the_text() {
        check_error("ab ${{ a", "The expression is not closed. An unescaped ${{ sequence", 3);
        check_error("ab ${{ 'a }}", "The expression is not closed.", 3);
        check_error("ü ${{ }}", "An expression was expected", 3);
        check_error(
            "${{ a }} ${{ a + }}",
            "Unexpected symbol: '+'. Located at position 3 within expression: a +",
            15,
        );
        check_error("x${{  c }}", "Unrecognized named-value: 'c'. Located at position 1", 6);
        check_error("${{ insert }}", "The expression directive 'insert' is not supported", 0);
        check_error("x ${{ insert }}", "The directive 'insert' is not allowed in this context.", 2);
        check_error(
            "${{ insert a 'b c' }}",
            "Exactly 0 parameter(s) were expected following the directive 'insert'. Actual parameter count: 2",
            0,
        );
    }

    #[test]
    fn keys_may_insert() {
        assert_eq!(parse_key("${{ insert }}", &NAMES), Ok(Text::Insert));
        assert_eq!(written(parse_key("${{ a }}", &NAMES).unwrap()), "expression a");
    }

    #[test]
    fn every_expression_is_parsed_by_itself() {
        let text = "${{ a }} ${{ c }} ${{ b.x }} ${{";
        let found: Vec<_> = parse_each(text, &NAMES)
            .map(|each| each.map(|(range, _)| &text[range]).map_err(|error| error.offset))
            .collect();
        assert_eq!(found, [Ok("a"), Err(Some(13)), Ok("b.x"), Err(Some(29))]);
    }
}
