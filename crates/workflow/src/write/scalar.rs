//! Scalars as YAML: plain where that is read back as the same text, in quotes or a block where not.

use crate::expr::{Expr, NodeKind};
use crate::template::TokenKind;
use crate::yaml::is_plain_text;

/// Bytes of a key that stands on one line with its value: YAML admits 1024 characters.
pub(super) const MAX_KEY: usize = 1000;
/// What a text begins with that is not plain: symbols of YAML, and white space.
const NOT_FIRST: &str = "-?:,[]{}#&*!|>'\"%@` \t";

/// The text between the lines of a block, or one line.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// It stands behind its key.
    Line(String),
    /// `|`, `|-` or `|+`, and the lines below.
    Block(&'static str, Vec<String>),
}

/// A scalar that is no collection.
pub(super) fn scalar(kind: &TokenKind) -> Written {
    match kind {
        TokenKind::Null => Written::Line("null".into()),
        TokenKind::Bool(value) => Written::Line(value.to_string()),
        TokenKind::Number(value) => Written::Line(number(*value)),
        TokenKind::String(text) => value(&literal(text)),
        TokenKind::Expression(expr) => value(&source(expr)),
        TokenKind::Sequence(_) | TokenKind::Mapping(_) => Written::Line(String::new()),
    }
}

/// A scalar on one line, as keys are.
pub(super) fn line(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text.chars().all(|character| !is_special(character)) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        double_quoted(text)
    }
}

/// A literal text of a template: `${{` in it would begin an expression.
pub(super) fn literal(text: &str) -> String {
    if text.contains("${{") { format!("${{{{ '{}' }}}}", text.replace('\'', "''")) } else { text.to_owned() }
}

/// An expression as its author wrote it: text with expressions in it, or one expression.
pub(super) fn source(expr: &Expr) -> String {
    as_text(expr).unwrap_or_else(|| format!("${{{{ {} }}}}", expr.source()))
}

fn value(text: &str) -> Written {
    match block(text) {
        Some(block) => block,
        None => Written::Line(line(text)),
    }
}

/// Text of several lines as a block, where a block is read back as the same text.
fn block(text: &str) -> Option<Written> {
    let content = text.trim_end_matches('\n');
    let ends = text.len() - content.len();
    let is_fit = content.contains('\n') || ends == 1;
    let is_safe = !content.is_empty()
        && !content.starts_with([' ', '\t', '\n'])
        && content.chars().all(|character| character == '\n' || character == '\t' || !is_special(character))
        && content.lines().all(|line| line.is_empty() || !line.trim().is_empty());
    if !is_fit || !is_safe {
        return None;
    }
    let style = match ends {
        0 => "|-",
        1 => "|",
        _ => return None,
    };
    Some(Written::Block(style, content.lines().map(str::to_owned).collect()))
}

/// Whether text without quotes is read back as this text, on one line, also in a key and in brackets.
fn is_plain(text: &str) -> bool {
    let inner = |bad: &str| text.contains(bad);
    !text.is_empty()
        && !text.starts_with(|first| NOT_FIRST.contains(first))
        && !text.ends_with([' ', ':'])
        && !inner(": ")
        && !inner(" #")
        && !text.contains(['[', ']', ',', '\t'])
        && (!text.contains(['{', '}']) || text.starts_with("${{"))
        && !text.starts_with("---")
        && !text.starts_with("...")
        && text.chars().all(|character| !is_special(character))
        && is_plain_text(text)
}

/// Characters that stand in double quotes only, as escapes.
fn is_special(character: char) -> bool {
    character.is_control() || matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            special if is_special(special) => quoted.push_str(&format!("\\u{:04x}", u32::from(special))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn number(value: f64) -> String {
    if value.is_nan() {
        ".nan".into()
    } else if value == f64::INFINITY {
        ".inf".into()
    } else if value == f64::NEG_INFINITY {
        "-.inf".into()
    } else {
        value.to_string()
    }
}

/// The text that stands for a call of `format` that no author wrote.
fn as_text(expr: &Expr) -> Option<String> {
    let NodeKind::Call(_, mut arguments) = expr.root().filter(|_| expr.is_text())?.kind() else {
        return None;
    };
    let NodeKind::String(template) = arguments.next()?.kind() else { return None };
    let arguments = arguments_of(expr.source());
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        if rest[at + 1..].starts_with(brace) {
            text.push_str(brace);
            rest = &rest[at + 2..];
            continue;
        }
        let end = at + rest[at..].find('}')?;
        let place: usize = rest[at + 1..end].parse().ok()?;
        text.push_str(&format!("${{{{ {} }}}}", arguments.get(place)?));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    Some(text)
}

/// The sources of the arguments behind the first one of a call.
fn arguments_of(call: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut start) = (0_usize, false, 0);
    let mut arguments = Vec::new();
    for (at, byte) in call.bytes().enumerate() {
        match byte {
            b'\'' => in_text = !in_text,
            _ if in_text => {}
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => {
                arguments.push(call[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(call[start..call.len() - 1].trim());
    arguments.drain(..1);
    arguments
}

#[cfg(test)]
mod tests {
    use super::{Written, line, source, value};
    use crate::expr::Names;
    use crate::expr::text::{Text, parse_text};

    #[test]
    fn lines() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected, "{text:?}");
        check("actions/checkout@v4", "actions/checkout@v4");
        check("ubuntu-latest", "ubuntu-latest");
        check("${{ a }} b", "${{ a }} b");
        check("true", "'true'");
        check("1.0", "'1.0'");
        check("", "''");
        check("- x", "'- x'");
        check("a: b", "'a: b'");
        check("it's", "it's");
        check("'x'", "'''x'''");
        check("a # b", "'a # b'");
        check("\u{1}\t", "\"\\u0001\\t\"");
        check("~", "'~'");
    }

    #[test]
    fn blocks() {
        let block = |style, lines: &[&str]| {
            Written::Block(style, lines.iter().map(|line| (*line).to_owned()).collect())
        };
        assert_eq!(value("a\n  b\n"), block("|", &["a", "  b"]));
        assert_eq!(value("a\n\nb"), block("|-", &["a", "", "b"]));
        assert_eq!(value(" a\nb"), Written::Line("\" a\\nb\"".into()));
        assert_eq!(value("a\n\n"), Written::Line("\"a\\n\\n\"".into()));
    }

    #[test]
    fn texts_with_expressions_are_as_written() {
        for text in ["a {0} ${{ x }} it's ${{ f.y['a, b'] == 'it''s' }}", "${{ x }}", "${{ x }}${{ x }}"] {
            let Ok(Text::Expression(expr)) = parse_text(text, &Names::any()) else { panic!("{text}") };
            assert_eq!(source(&expr), text);
        }
    }
}
