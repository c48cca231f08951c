//! Expressions at a place: where one begins and ends, and the names before the place.

use workflow::source::Span;

/// The expression around `offset` in a scalar as it is written: what is between `${{` and `}}`, or the whole of a condition
/// without them. One that is not closed ends with its line.
pub(crate) fn around(text: &str, scalar: Span, offset: usize, is_condition: bool) -> Option<Span> {
    let (start, end) = (scalar.start as usize, scalar.end as usize);
    let written = text.get(start..end)?;
    let mut at = 0;
    while let Some(found) = written[at..].find("${{") {
        let open = at + found + 3;
        let (close, next) = match closing(&written[open..]) {
            Some(length) => (open + length, open + length + 2),
            None => {
                let close = written[open..].find(['\n', '\r']).map_or(written.len(), |length| open + length);
                (close, close)
            }
        };
        if start + open <= offset && offset <= start + close {
            return Some(Span::new(start + open, start + close));
        }
        at = next;
    }
    if !is_condition || written.contains("${{") {
        return None;
    }
    let (start, end) = match written.as_bytes().first() {
        Some(b'|' | b'>') => (start + written.find(['\n', '\r'])?, end),
        Some(quote @ (b'"' | b'\'')) => {
            let is_closed = written.len() > 1 && written.as_bytes().last() == Some(quote);
            (start + 1, end - usize::from(is_closed))
        }
        _ => (start, end),
    };
    (start <= offset && offset <= end).then(|| Span::new(start, end))
}

/// The length up to `}}` outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut is_quoted = false;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'\'' => is_quoted = !is_quoted,
            b'}' if !is_quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// One name with its place in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Names that follow each other, as `steps.build.outputs.path`; the last one is at the place and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// A context or a function, then properties; `*` for filters and computed indexes.
    pub(crate) names: Vec<Name>,
    /// Whether a parenthesis follows: the name is a function's.
    pub(crate) is_call: bool,
}

impl Chain {
    /// The name at the place.
    pub(crate) fn last(&self) -> Option<&Name> {
        self.names.last()
    }

    /// The names before it.
    pub(crate) fn before(&self) -> &[Name] {
        self.names.split_last().map_or(&[], |(_, before)| before)
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The names that end at the word around `offset`; none in a text in quotes or behind something that has no name.
pub(crate) fn chain(text: &str, expression: Span, offset: usize) -> Option<Chain> {
    let (start, end) = (expression.start as usize, expression.end as usize);
    let bytes = text.as_bytes();
    let before = text.get(start..offset)?;
    let quotes = before.bytes().filter(|byte| *byte == b'\'').count();
    if quotes % 2 == 1 {
        return in_index(text, expression, offset);
    }
    let mut from = offset;
    while from > start && is_name(bytes[from - 1]) {
        from -= 1;
    }
    let mut to = offset;
    while to < end && is_name(bytes[to]) {
        to += 1;
    }
    let mut names = names_before(text, start, from)?;
    let next = text.get(to..end)?.trim_start();
    let is_call = names.is_empty() && next.starts_with('(');
    names.push(Name { text: text[from..to].to_owned(), span: Span::new(from, to) });
    Some(Chain { names, is_call })
}

/// The names that end in the quotes of an index, as in `steps['build']`.
fn in_index(text: &str, expression: Span, offset: usize) -> Option<Chain> {
    let (start, end) = (expression.start as usize, expression.end as usize);
    let from = start + text.get(start..offset)?.rfind('\'')? + 1;
    let length = text.get(offset..end)?.find(['\'', ']', '\n']).unwrap_or(end - offset);
    let open = text.get(start..from - 1)?.trim_end().strip_suffix('[')?;
    let mut names = names_before_index(text, start, start + open.len())?;
    let span = Span::new(from, offset + length);
    names.push(Name { text: text.get(from..offset + length)?.to_owned(), span });
    Some(Chain { names, is_call: false })
}

/// The names before a word that begins at `at`: none where no period is before it. `None` where what is before the period
/// has no name.
fn names_before(text: &str, start: usize, at: usize) -> Option<Vec<Name>> {
    let before = text.get(start..at)?.trim_end();
    match before.strip_suffix('.') {
        Some(before) => names_before_index(text, start, start + before.len()),
        None => Some(Vec::new()),
    }
}

/// The names that end at `at`, the first of them last in the text.
fn names_before_index(text: &str, start: usize, mut at: usize) -> Option<Vec<Name>> {
    let mut names = Vec::new();
    loop {
        let before = text.get(start..at)?.trim_end();
        let end = start + before.len();
        let (name, from, is_index) = if let Some(before) = before.strip_suffix(']') {
            let open = before.rfind('[')?;
            let inner = before[open + 1..].trim();
            let name = inner.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or("*");
            (name.to_owned(), start + open, true)
        } else if let Some(before) = before.strip_suffix('*') {
            ("*".to_owned(), start + before.len(), false)
        } else {
            let from = start
                + before
                    .trim_end_matches(|character: char| character.is_ascii() && is_name(character as u8))
                    .len();
            (text[from..end].to_owned(), from, false)
        };
        if name.is_empty() {
            return None;
        }
        let span = Span::new(from, end);
        names.push(Name { text: name, span });
        let rest = text.get(start..from)?.trim_end();
        at = match (is_index, rest.strip_suffix('.')) {
            (true, _) => start + rest.len(),
            (false, Some(rest)) => start + rest.len(),
            (false, None) => break,
        };
    }
    names.reverse();
    Some(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;
    use workflow::source::Span;

    use super::{around, chain};

    /// The expression around `|` in a scalar.
    fn check_around(marked: &str, is_condition: bool, expected: Option<&str>) {
        let offset = marked.find('|').expect("a place");
        let text = marked.replacen('|', "", 1);
        let found = around(&text, Span::new(0, text.len()), offset, is_condition);
        assert_eq!(found.map(|span| &text[span.start as usize..span.end as usize]), expected, "{marked}");
    }

    #[test]
    fn expressions_around_a_place() {
        check_around("a ${{ b| }} c", false, Some(" b "));
        check_around("a| ${{ b }} c", false, None);
        check_around("${{ b }}|", false, None);
        check_around("${{ a }} ${{ '}}' |}}", false, Some(" '}}' "));
        check_around("echo ${{ gith|\necho", false, Some(" gith"));
        check_around("${{|}}", false, Some(""));
        check_around("github.|ref", true, Some("github.ref"));
        check_around("'github.|ref'", true, Some("github.ref"));
        check_around("|x", false, None);
    }

    /// The names up to `|` in an expression.
    fn check(marked: &str, expected: Option<&[&str]>) {
        let offset = marked.find('|').expect("a place");
        let text = marked.replacen('|', "", 1);
        let found = chain(&text, Span::new(0, text.len()), offset);
        let names = found.map(|chain| chain.names.into_iter().map(|name| name.text).collect::<Vec<_>>());
        assert_eq!(
            names.as_deref(),
            expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).as_deref(),
            "{marked}"
        );
    }

    #[test]
    fn names_before_a_place() {
        check("|", Some(&[""]));
        check("git|", Some(&["git"]));
        check("steps.a.outputs.|", Some(&["steps", "a", "outputs", ""]));
        check("steps.a.out|puts.x", Some(&["steps", "a", "outputs"]));
        check("steps['a b'].|", Some(&["steps", "a b", ""]));
        check("steps['a|']", Some(&["steps", "a"]));
        check("matrix.x[0].*.y|", Some(&["matrix", "x", "*", "*", "y"]));
        check("a && b.|", Some(&["b", ""]));
        check("!needs.|", Some(&["needs", ""]));
        check("format('{0}', env.|", Some(&["env", ""]));
        check("fromJSON(x).|", None);
        check("'text |", None);
        check("x == 'a' && y|", Some(&["y"]));
    }

    #[test]
    fn calls_are_known() {
        let found = |text: &str| chain(text, Span::new(0, text.len()), 2).expect("names").is_call;
        assert!(found("format ('x')") && !found("github.ref"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"([a-z.\[\]'()*! \n]|ä|\$\{\{|\}\}){0,30}", at in 0_usize..40, is_condition: bool) {
            let offset = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let whole = Span::new(0, text.len());
            if let Some(expression) = around(&text, whole, offset, is_condition) {
                let _ = chain(&text, expression, offset);
            }
            let _ = chain(&text, whole, offset);
        }
    }
}
