//! The files through which a step speaks to the runner: `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_PATH`, `GITHUB_STATE`
//! and `GITHUB_STEP_SUMMARY`. This module reads their content; what stands before a mistake counts.

/// The most bytes of one command file.
pub(crate) const MAX_COMMAND_FILE: u64 = 10 * 1024 * 1024;

/// The most bytes of a summary.
pub(crate) const MAX_SUMMARY: usize = 1024 * 1024;

/// What stands in a file, as far as it could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read<T> {
    /// What could be read.
    pub(crate) values: Vec<T>,
    /// The mistake behind it.
    pub(crate) error: Option<String>,
}

/// The text of a file: UTF-8, or UTF-16 where a byte order mark says so. Invalid parts become U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes.chunks(2).map(|pair| from([pair[0], *pair.get(1).unwrap_or(&0)])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Reads `NAME=VALUE` lines and `NAME<<DELIMITER` blocks. Lines end at LF; a CR before it is part of the value.
pub(crate) fn read_pairs(text: &str) -> Read<(String, String)> {
    let mut lines = Lines { rest: text };
    let mut read = Read { values: Vec::new(), error: None };
    while let Some((line, _)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match read_pair(line, &mut lines) {
            Ok(pair) => read.values.push(pair),
            Err(error) => {
                read.error = Some(error);
                break;
            }
        }
    }
    read
}

fn read_pair(line: &str, lines: &mut Lines<'_>) -> Result<(String, String), String> {
    let (equals, heredoc) = (line.find('='), line.find("<<"));
    match (equals, heredoc) {
        (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
            if equals == 0 {
                return Err(format!("Invalid format '{line}'. Name must not be empty"));
            }
            Ok((line[..equals].to_owned(), line[equals + 1..].to_owned()))
        }
        (_, Some(heredoc)) => {
            let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
            if name.is_empty() || delimiter.is_empty() {
                return Err(format!(
                    "Invalid format '{line}'. Name must not be empty and delimiter must not be empty"
                ));
            }
            Ok((name.to_owned(), lines.until(delimiter)?.to_owned()))
        }
        _ => Err(format!("Invalid format '{line}'")),
    }
}

/// Lines that end at LF; the text behind the last LF is a line where it is not empty.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    /// The next line without its LF, and whether it had one.
    fn next(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) =
            self.rest.split_once('\n').map_or((self.rest, None), |(line, rest)| (line, Some(rest)));
        self.rest = rest.unwrap_or_default();
        Some((line, rest.is_some()))
    }

    /// The text up to a line that is the delimiter, without the newline before it.
    fn until(&mut self, delimiter: &str) -> Result<&'a str, String> {
        let start = self.rest;
        loop {
            let read = start.len() - self.rest.len();
            match self.next() {
                Some((line, _)) if line == delimiter => return Ok(&start[..read.saturating_sub(1)]),
                Some((_, true)) => {}
                Some((_, false)) => return Err("Invalid value. EOF marker missing new line.".to_owned()),
                None => return Err(format!("Invalid value. Matching delimiter not found '{delimiter}'")),
            }
        }
    }
}

/// Reads `GITHUB_PATH`: a folder a line, blank lines do not count. Lines end at LF, CRLF or CR.
pub(crate) fn read_paths(text: &str) -> Vec<String> {
    text.split(['\n', '\r']).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Reads `GITHUB_ENV`: the values, those that must not be set taken out.
pub(crate) fn read_env(text: &str) -> (Read<(String, String)>, Vec<String>) {
    let mut read = read_pairs(text);
    let mut refused = Vec::new();
    read.values.retain(|(name, _)| {
        let blocked = name.eq_ignore_ascii_case("NODE_OPTIONS");
        if blocked {
            refused.push("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.".to_owned());
        }
        !blocked
    });
    (read, refused)
}

/// The words of GitHub's runner for a summary that is too large.
pub(crate) fn summary_too_large(bytes: usize) -> String {
    format!(
        "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {}k, got {}k. For more information see: \
         https://docs.github.com/actions/using-workflows/workflow-commands-for-github-actions#adding-a-markdown-summary",
        MAX_SUMMARY / 1024,
        bytes / 1024
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::{decode, read_env, read_pairs, read_paths};

    fn check(text: &str, expected: &[(&str, &str)], error: Option<&str>) {
        let read = read_pairs(text);
        let values: Vec<(&str, &str)> =
            read.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, expected, "{text:?}");
        assert_eq!(read.error.as_deref(), error, "{text:?}");
    }

    #[test]
    fn lines_are_names_and_values() {
        check("", &[], None);
        check("a=b\n\nc=d=e\nf=\ng=h", &[("a", "b"), ("c", "d=e"), ("f", ""), ("g", "h")], None);
        check("a=b<<c\n", &[("a", "b<<c")], None);
        check("a=b\r\n", &[("a", "b\r")], None);
        check(" a = b \n", &[(" a ", " b ")], None);
    }

    #[test]
    fn blocks_are_values() {
        check("a<<E\nb\nc\nE\nd=e\n", &[("a", "b\nc"), ("d", "e")], None);
        check("a<<E\nE\n", &[("a", "")], None);
        check("a<<E\n\nE", &[("a", "")], None);
        check("a<<E\n\n\nE", &[("a", "\n")], None);
        check("a<<E=F\nx\nE=F\n", &[("a", "x")], None);
        check("a<<E\r\nx\r\nE\r\n", &[("a", "x\r")], None);
    }

    #[test]
    fn mistakes_are_named_and_end_the_reading() {
        check("a=b\nnothing\nc=d", &[("a", "b")], Some("Invalid format 'nothing'"));
        check("=b", &[], Some("Invalid format '=b'. Name must not be empty"));
        let empty = "Invalid format '<<E'. Name must not be empty and delimiter must not be empty";
        check("<<E\nE\n", &[], Some(empty));
        check("a<<E\nb\n", &[], Some("Invalid value. Matching delimiter not found 'E'"));
        check("a<<E\nb", &[], Some("Invalid value. EOF marker missing new line."));
    }

    #[test]
    fn node_options_is_refused() {
        let (read, refused) = read_env("node_options=x\na=b\n");
        assert_eq!(read.values, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(refused.len(), 1);
    }

    #[test]
    fn paths_are_lines() {
        assert_eq!(read_paths("/a\r\n\n/b\r/c"), ["/a", "/b", "/c"]);
    }

    #[test]
    fn byte_order_marks_are_no_text() {
        assert_eq!(decode(b"\xEF\xBB\xBFa=b"), "a=b");
        assert_eq!(decode(b"\xFF\xFEa\0=\0"), "a=");
        assert_eq!(decode(b"\xFE\xFF\0a"), "a");
        assert_eq!(decode(b"a\xFF"), "a\u{fffd}");
    }

    proptest! {
        #[test]
        fn blocks_give_back_any_value(value in "[a-c=<\\n\\r ]{0,40}") {
            let read = read_pairs(&format!("name<<DELIMITER\n{value}\nDELIMITER\n"));
            assert_eq!(read.values, [("name".to_owned(), value)]);
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec("[ab=<\\n\\r]{0,3}|<<|E\\n", 0..30)) {
            read_pairs(&text.concat());
        }
    }
}
