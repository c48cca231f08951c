//! Patterns of paths: `*` and `?` within a name, `**` over folders, `[abc]`, `{one,two}`.

use std::fmt;

use regex::Regex;

/// A pattern that must match a whole path.
#[derive(Clone, Debug)]
pub(super) struct Glob(Regex);

/// A pattern that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadGlob;

impl fmt::Display for BadGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pattern has an unclosed bracket or brace")
    }
}

impl Glob {
    /// Reads a pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, BadGlob> {
        let mut regex = String::from(r"(?s)\A");
        let mut braces = 0;
        let mut rest = pattern.strip_prefix("./").unwrap_or(pattern);
        while let Some(next) = rest.chars().next() {
            let (piece, length) = match next {
                '*' if rest.starts_with("**/") => ("(?:.*/)?".to_owned(), 3),
                '*' if rest.starts_with("**") => (".*".to_owned(), 2),
                '*' => ("[^/]*".to_owned(), 1),
                '?' => ("[^/]".to_owned(), 1),
                '[' => set(rest).ok_or(BadGlob)?,
                '{' => {
                    braces += 1;
                    ("(?:".to_owned(), 1)
                }
                '}' if braces > 0 => {
                    braces -= 1;
                    (")".to_owned(), 1)
                }
                ',' if braces > 0 => ("|".to_owned(), 1),
                '\\' => match rest[1..].chars().next() {
                    Some(escaped) => (literal(escaped), 1 + escaped.len_utf8()),
                    None => (literal(next), 1),
                },
                other => (literal(other), other.len_utf8()),
            };
            regex.push_str(&piece);
            rest = &rest[length..];
        }
        regex.push_str(r"\z");
        if braces > 0 {
            return Err(BadGlob);
        }
        Regex::new(&regex).map(Self).map_err(|_| BadGlob)
    }

    /// Whether the path, with `/` between its parts, is meant.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path.strip_prefix("./").unwrap_or(path))
    }
}

fn literal(character: char) -> String {
    regex::escape(character.encode_utf8(&mut [0; 4]))
}

/// The set `[…]` at the beginning of `rest` as a regular expression, and its length in bytes.
fn set(rest: &str) -> Option<(String, usize)> {
    let inside = &rest[1..];
    let (negative, inside) = match inside.strip_prefix(['!', '^']) {
        Some(inside) => ("^", inside),
        None => ("", inside),
    };
    let length = inside.find(']').filter(|length| *length > 0)?;
    let (set, behind) = inside.split_at(length);
    let member = |character: char| match character {
        '-' => "-".to_owned(),
        other => literal(other),
    };
    let set: String = set.chars().map(member).collect();
    Some((format!("[{negative}{set}]"), rest.len() - behind.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::{BadGlob, Glob};

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern).expect("it is a pattern");
        yes.iter().for_each(|path| assert!(glob.matches(path), "{pattern} {path}"));
        no.iter().for_each(|path| assert!(!glob.matches(path), "{pattern} {path}"));
    }

    #[test]
    fn patterns() {
        check(
            ".github/workflows/*.yml",
            &[".github/workflows/a.yml", "./.github/workflows/.yml"],
            &["a.yml"],
        );
        check("**/*.yml", &["a.yml", "x/y/a.yml"], &["a.yaml"]);
        check("a/**", &["a/b", "a/b/c"], &["b/a/c", "a"]);
        check("a?[bc]", &["axb", "ayc"], &["a/b", "axd"]);
        check("x.{yml,yaml}", &["x.yml", "x.yaml"], &["x.yl", "xayml"]);
        check("a[!b]", &["ac"], &["ab"]);
        check(r"a\*", &["a*"], &["ab"]);
        check("ä*", &["äö"], &["o"]);
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in ["[a", "{a", "[]", "a[^"] {
            assert_eq!(Glob::new(pattern).err(), Some(BadGlob), "{pattern}");
        }
    }
}
