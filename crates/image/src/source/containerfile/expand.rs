//! Replaces variables in the parts of instructions, and takes quotes away.
//!
//! `$NAME`, `${NAME}`, `${NAME:-otherwise}` and `${NAME:+instead}` are replaced, as in containerfiles; everything else that begins with
//! `$` is refused, because a shell would give it a meaning that it does not have here.

use super::parse::is_variable;

/// Longest text after replacement, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// How deep replacements may stand in replacements.
const MAX_DEPTH: usize = 8;

/// Replaces variables in `text`; `value` knows them. Inside single quotes nothing is replaced.
pub(super) fn expand(
    text: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    expand_at(text, escape, value, 0)
}

fn expand_at(
    text: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<String, String> {
    let (mut out, mut quote, mut rest) = (String::new(), None, text);
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match (quote, character) {
            (None, _) if character == escape => {
                let next = rest.chars().next();
                out.extend(next);
                rest = &rest[next.map_or(0, char::len_utf8)..];
            }
            // In double quotes it only escapes what has a meaning there.
            (Some('"'), _) if character == escape => {
                let next = rest.chars().next().filter(|&next| next == '"' || next == '$' || next == escape);
                out.push(next.unwrap_or(escape));
                rest = &rest[next.map_or(0, char::len_utf8)..];
            }
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if character == open => quote = None,
            (None | Some('"'), '$') => {
                let (replaced, after) = variable(rest, escape, value, depth)?;
                out.push_str(&replaced);
                rest = after;
            }
            _ => out.push(character),
        }
        if out.len() > MAX_TEXT {
            return Err(format!("a text becomes longer than {MAX_TEXT} bytes"));
        }
    }
    Ok(out)
}

/// What the variable behind a `$` is replaced by, and what follows it.
fn variable<'a>(
    rest: &'a str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<(String, &'a str), String> {
    let Some(inner) = rest.strip_prefix('{') else {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if !is_variable(&rest[..end]) {
            // A lone `$` is one.
            return Ok(("$".to_owned(), rest));
        }
        return Ok((value(&rest[..end]).unwrap_or_default(), &rest[end..]));
    };
    let end = closing(inner).ok_or_else(|| format!("`${rest}` is not closed"))?;
    let (inside, after) = (&inner[..end], &inner[end + 1..]);
    let name_end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, operation) = inside.split_at(name_end);
    if !is_variable(name) || depth >= MAX_DEPTH {
        return Err(format!("`${{{inside}}}` is not understood"));
    }
    let found = value(name);
    let is_set = found.as_ref().is_some_and(|value| !value.is_empty());
    let other = |text: &str| expand_at(text, escape, value, depth + 1);
    let replaced = match operation.get(..2).unwrap_or(operation) {
        "" => found.unwrap_or_default(),
        ":-" if is_set => found.unwrap_or_default(),
        ":-" => other(&operation[2..])?,
        ":+" if is_set => other(&operation[2..])?,
        ":+" => String::new(),
        _ => return Err(format!("`${{{inside}}}` is not understood: only `:-` and `:+` are")),
    };
    Ok((replaced, after))
}

/// Where the brace closes that is open.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, character)| {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::expand;

    fn value(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("$A ${A} '\"".to_owned()),
            _ => None,
        }
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let expanded = expand(text, '\\', &value);
        assert_eq!(expanded.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn variables_are_replaced_once() {
        check("$A-${A}/$NONE.", Ok("one-one/."));
        check("${EMPTY:-x$A} ${A:-x} ${NONE:-${A}} ${EMPTY:+x} ${A:+<$A>}", Ok("xone one one  <one>"));
        check("$TRICKY", Ok("$A ${A} '\""));
        check("$5 $ $", Ok("$5 $ $"));
    }

    #[test]
    fn quotes_and_escapes_decide_what_is_replaced() {
        check("'$A' \"$A b\" \\$A", Ok("$A one b $A"));
        check(r#""a\"b\\c\d" a\ b"#, Ok(r#"a"b\c\d a b"#));
        check("'it'\\''s'", Ok("it's"));
    }

    #[test]
    fn what_only_a_shell_understands_is_refused() {
        check("${A", Err("`${A` is not closed"));
        check("${A%x}", Err("`${A%x}` is not understood: only `:-` and `:+` are"));
        check("${A-x}", Err("`${A-x}` is not understood: only `:-` and `:+` are"));
        check("${!A}", Err("`${!A}` is not understood"));
        let nested = (0..20).fold("x".to_owned(), |inner, _| format!("${{NONE:-{inner}}}"));
        assert!(expand(&nested, '\\', &value).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_replaced_or_refused(text in "[A${}:+\\-\"'\\\\ é]{0,40}") {
            drop(expand(&text, '\\', &value));
        }
    }
}
