//! The template of `format`: `{0}` stands for an argument, `{{` and `}}` for braces.

use memchr::memchr2;

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// Text that is copied.
    Text(&'a str),
    /// An argument, with what follows the colon.
    Argument(usize, String),
}

/// What is wrong with a template.
#[derive(Debug, PartialEq)]
pub(crate) enum TemplateError {
    /// A brace that is neither doubled nor part of `{N}`.
    Invalid,
    /// An argument that was not given.
    MissingArgument,
}

/// What is wrong with a call of `format` with this template and so many arguments behind it.
pub(crate) fn format_mistake(template: &str, arguments: usize) -> Option<String> {
    Some(match pieces(template, arguments).find_map(Result::err)? {
        TemplateError::Invalid => format!(
            "Invalid format string: '{template}' has a brace that is neither doubled nor part of a placeholder such as {{0}}"
        ),
        TemplateError::MissingArgument => {
            format!(
                "Format string '{template}' references an argument that is not among the {arguments} provided"
            )
        }
    })
}

/// The pieces of `template`, which is given `arguments` arguments. Ends after an error.
pub(crate) fn pieces(
    template: &str,
    arguments: usize,
) -> impl Iterator<Item = Result<Piece<'_>, TemplateError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= template.len() {
            return None;
        }
        let piece = piece(template, at, arguments);
        at = piece.as_ref().map_or(template.len(), |(_, end)| *end);
        Some(piece.map(|(piece, _)| piece))
    })
}

/// The piece of `template` at `start`, and where the next one begins.
fn piece(template: &str, start: usize, arguments: usize) -> Result<(Piece<'_>, usize), TemplateError> {
    let bytes = template.as_bytes();
    let brace = memchr2(b'{', b'}', &bytes[start..]).map_or(bytes.len(), |distance| start + distance);
    if brace < bytes.len() && bytes.get(brace + 1) == Some(&bytes[brace]) {
        return Ok((Piece::Text(&template[start..=brace]), brace + 2));
    }
    if start < brace {
        return Ok((Piece::Text(&template[start..brace]), brace));
    }
    if bytes[brace] == b'}' {
        return Err(TemplateError::Invalid);
    }
    let (index, specifiers, end) = placeholder(template, brace + 1).ok_or(TemplateError::Invalid)?;
    if index >= arguments {
        return Err(TemplateError::MissingArgument);
    }
    Ok((Piece::Argument(index, specifiers), end))
}

/// Reads `N}` or `N:specifiers}`: the number, the specifiers and where the text goes on.
fn placeholder(template: &str, start: usize) -> Option<(usize, String, usize)> {
    let rest = &template[start..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let index: u8 = rest[..digits].parse().ok()?;
    let mut at = start + digits;
    let bytes = template.as_bytes();
    let mut specifiers = String::new();
    match bytes.get(at)? {
        b'}' => {}
        b':' => loop {
            at += 1;
            let distance = template[at..].find('}')?;
            specifiers.push_str(&template[at..at + distance]);
            at += distance;
            if bytes.get(at + 1) != Some(&b'}') {
                break;
            }
            specifiers.push('}');
            at += 1;
        },
        _ => return None,
    }
    Some((usize::from(index), specifiers, at + 1))
}

#[cfg(test)]
mod tests {
    use super::{Piece, TemplateError, pieces};

    fn check(template: &str, expected: Result<&str, TemplateError>) {
        let written = pieces(template, 2).collect::<Result<Vec<_>, _>>().map(|pieces| {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => (*text).to_owned(),
                    Piece::Argument(index, specifiers) => format!("<{index}{specifiers}>"),
                })
                .collect::<String>()
        });
        assert_eq!(written, expected.map(str::to_owned), "{template:?}");
    }

    #[test]
    fn templates() {
        check("", Ok(""));
        check("a{0}b{1}{0}", Ok("a<0>b<1><0>"));
        check("{{{0}}}", Ok("{<0>}"));
        check("{{0}}", Ok("{0}"));
        check("ü{{ü}}ü", Ok("ü{ü}ü"));
        check("{01}", Ok("<1>"));
        check("{0:x}", Ok("<0x>"));
        check("{0:x}}y}", Ok("<0x}y>"));
    }

    #[test]
    fn mistakes() {
        for template in
            ["{", "}", "a{b", "{}", "{a}", "{0", "{0 }", "{-1}", "{256}", "{0:", "{0:a}}", "{0}}", "{{}"]
        {
            check(template, Err(TemplateError::Invalid));
        }
        check("{2}", Err(TemplateError::MissingArgument));
    }
}
