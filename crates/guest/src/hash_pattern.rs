//! One name of a path in a pattern: `*`, `?`, classes such as `[a-z]` and `[!a]`, `\` before a character that stands for
//! itself. Braces are ordinary characters. Matching is by character and takes time linear in name times pattern.

/// A pattern for one name.
#[derive(Clone, Debug)]
pub(crate) struct NamePattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
enum Token {
    Char(char),
    /// `?`
    AnyChar,
    /// `*`
    AnyChars,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl NamePattern {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' => Token::AnyChars,
                '?' => Token::AnyChar,
                '\\' => Token::Char(rest.next().unwrap_or('\\')),
                '[' => match class(rest.as_str()).and_then(|set| Some((set, ranges(set)?))) {
                    Some((set, class)) => {
                        rest = rest.as_str()[set.len() + 1..].chars();
                        class
                    }
                    None => Token::Char('['),
                },
                _ => Token::Char(c),
            });
        }
        Self { tokens }
    }

    /// Whether the pattern stands for `name`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut reached = vec![false; self.tokens.len() + 1];
        reached[0] = true;
        self.skip_any(&mut reached);
        for c in name.chars() {
            let mut next = vec![false; reached.len()];
            for (place, token) in self.tokens.iter().enumerate().filter(|(place, _)| reached[*place]) {
                match token {
                    Token::AnyChars => next[place] = true,
                    token => next[place + 1] |= token.admits(c),
                }
            }
            self.skip_any(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }

    /// `*` also stands for no character.
    fn skip_any(&self, reached: &mut [bool]) {
        for (place, token) in self.tokens.iter().enumerate() {
            if reached[place] && matches!(token, Token::AnyChars) {
                reached[place + 1] = true;
            }
        }
    }
}

impl Token {
    fn admits(&self, c: char) -> bool {
        match self {
            Self::Char(wanted) => *wanted == c,
            Self::AnyChar | Self::AnyChars => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

/// The name that a segment stands for, if it stands for one only.
pub(crate) fn literal(segment: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = segment.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' => return None,
            '\\' => name.push(rest.next().unwrap_or('\\')),
            '[' => match class(rest.as_str()) {
                None => name.push('['),
                Some(set) => {
                    let mut characters = set.chars();
                    let (Some(single), None) = (characters.next(), characters.next()) else { return None };
                    name.push(single);
                    rest = rest.as_str()[set.len() + 1..].chars();
                }
            },
            _ => name.push(c),
        }
    }
    Some(name)
}

/// What stands between `[` and `]`, if the class is closed and not empty.
fn class(rest: &str) -> Option<&str> {
    let end = rest.find(']')?;
    (end > 0).then(|| &rest[..end])
}

/// The class of a set such as `!a-z_`; none for a range that runs backwards.
fn ranges(set: &str) -> Option<Token> {
    let inner = set.strip_prefix(['!', '^']);
    let mut characters = inner.unwrap_or(set).chars().peekable();
    let mut ranges = Vec::new();
    while let Some(c) = characters.next() {
        let from = if c == '\\' { characters.next().unwrap_or('\\') } else { c };
        let mut ahead = characters.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) => {
                characters = ahead;
                to
            }
            _ => from,
        };
        if to < from {
            return None;
        }
        ranges.push((from, to));
    }
    Some(Token::Class { negated: inner.is_some(), ranges })
}

#[cfg(test)]
mod tests {
    use super::{NamePattern, literal};

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let parsed = NamePattern::new(pattern);
        for name in matching {
            assert!(parsed.matches(name), "{pattern} {name}");
        }
        for name in others {
            assert!(!parsed.matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn patterns() {
        check("*.txt", &["a.txt", ".txt"], &["a.txt.b", "txt"]);
        check("?", &["a", "ü", "."], &["", "ab"]);
        check("a**b*", &["ab", "axxb", "abab"], &["a", "ba"]);
        check("[a-cx]?", &["b1", "xx"], &["d1", "b"]);
        check("[!a]", &["b", "ü"], &["a", ""]);
        check("[^a-c]*", &["d", "dab"], &["abc"]);
        check("{a,b}*", &["{a,b}", "{a,b}c"], &["a", "b"]);
        check("\\**", &["*", "*a"], &["a"]);
        check("[a*", &["[a", "[ab"], &["a"]);
        check("[c-a]*", &["[c-a]"], &["b"]);
        check(&"*a".repeat(50), &[&"a".repeat(50)], &[&"a".repeat(49), &"b".repeat(200)]);
    }

    #[test]
    fn literals() {
        assert_eq!(literal("a\\*[x]{y}").as_deref(), Some("a*x{y}"));
        assert_eq!(literal("[]").as_deref(), Some("[]"));
        assert_eq!(literal("[ab]"), None);
        assert_eq!(literal("a?"), None);
    }
}
