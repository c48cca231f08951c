//! GitHub's patterns for branches, tags and paths.
//!
//! `*` is any text without `/`, `**` any text, `?` and `+` repeat the character before, `[]` is one character of a
//! set, `\` takes the next character as it is. A list is read in order: a `!` pattern takes back what earlier
//! patterns matched. Patterns become regular expressions that match in linear time.

use regex::{Regex, RegexBuilder};

use crate::source::Spanned;

/// The most memory that one compiled pattern may take, in bytes. A pattern beyond it matches nothing.
const MAX_COMPILED_SIZE: usize = 1 << 20;

/// One pattern, compiled.
#[derive(Clone, Debug)]
struct Pattern {
    negative: bool,
    regex: Option<Regex>,
}

/// A list of patterns, read in order.
#[derive(Clone, Debug)]
pub struct Filter {
    patterns: Vec<Pattern>,
}

impl Filter {
    /// Compiles the patterns of one key. A pattern that is not well formed matches nothing; the linter reports it.
    #[must_use]
    pub fn new(patterns: &[Spanned<String>]) -> Self {
        Self { patterns: patterns.iter().map(|pattern| Pattern::new(&pattern.value)).collect() }
    }

    /// Whether the last pattern that says anything about `text` includes it.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let speaks = |pattern: &&Pattern| pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text));
        self.patterns.iter().rev().find(speaks).is_some_and(|pattern| !pattern.negative)
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let regex = to_regex(text);
        Self { negative, regex: RegexBuilder::new(&regex).size_limit(MAX_COMPILED_SIZE).build().ok() }
    }
}

/// The pattern as a regular expression that matches the whole text.
fn to_regex(pattern: &str) -> String {
    let characters: Vec<char> = pattern.chars().collect();
    let mut atoms: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let (atom, length) = match (character, atoms.pop()) {
            // A quantifier with nothing before it stands for itself.
            ('?' | '+', Some(last)) => (format!("(?:{last}){character}"), 1),
            (_, last) => {
                atoms.extend(last);
                atom(&characters, at)
            }
        };
        atoms.push(atom);
        at += length;
    }
    format!(r"(?s)\A{}\z", atoms.concat())
}

/// The piece that begins at `at`, and how many characters it takes.
fn atom(characters: &[char], at: usize) -> (String, usize) {
    match characters[at] {
        '*' => stars(characters, at),
        '[' => set(characters, at),
        '\\' if at + 1 < characters.len() => (literal(characters[at + 1]), 2),
        other => (literal(other), 1),
    }
}

fn literal(character: char) -> String {
    regex::escape(character.encode_utf8(&mut [0; 4]))
}

/// `*` or a run of them; `**/` at the start of a segment also matches no folder at all.
fn stars(characters: &[char], at: usize) -> (String, usize) {
    let run = characters[at..].iter().take_while(|character| **character == '*').count();
    let segment_starts = at == 0 || characters[at - 1] == '/';
    if run == 1 {
        ("[^/]*".to_owned(), 1)
    } else if segment_starts && characters.get(at + run) == Some(&'/') {
        ("(?:.*/)?".to_owned(), run + 1)
    } else {
        (".*".to_owned(), run)
    }
}

/// `[…]`; a bracket without its end stands for itself.
fn set(characters: &[char], at: usize) -> (String, usize) {
    let length = characters[at + 1..].iter().position(|character| *character == ']');
    let Some(length) = length.filter(|length| *length > 0) else { return (literal('['), 1) };
    let mut regex = String::from("[");
    for character in &characters[at + 1..at + 1 + length] {
        if *character != '-' && !character.is_alphanumeric() {
            regex.push('\\');
        }
        regex.push(*character);
    }
    regex.push(']');
    (regex, length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::Filter;
    use crate::source::{Span, Spanned};

    fn filter(patterns: &[&str]) -> Filter {
        let spanned = |pattern: &&str| Spanned { value: (*pattern).to_owned(), span: Span::default() };
        Filter::new(&patterns.iter().map(spanned).collect::<Vec<_>>())
    }

    fn check(patterns: &[&str], yes: &[&str], no: &[&str]) {
        let filter = filter(patterns);
        for text in yes {
            assert!(filter.matches(text), "{patterns:?} matches {text}");
        }
        for text in no {
            assert!(!filter.matches(text), "{patterns:?} does not match {text}");
        }
    }

    #[test]
    fn one_star_stays_in_its_segment() {
        check(&["*"], &["main", "releases"], &["all/the/branches"]);
        check(&["feature/*"], &["feature/a"], &["feature/a/b", "feature"]);
        check(&["*feature"], &["mona-feature", "feature"], &["ver-10-feature-x"]);
        check(&["docs/*"], &["docs/README.md"], &["docs/mona/hello.txt"]);
    }

    #[test]
    fn two_stars_cross_segments() {
        check(&["**"], &["main", "all/the/branches"], &[]);
        check(&["feature/**"], &["feature/a", "feature/a/b"], &["feature"]);
        check(&["**.js"], &["index.js", "js/index.js"], &["index.ts"]);
        check(&["**/README.md"], &["README.md", "js/README.md"], &["README.mdx"]);
        check(&["docs/**/*.md"], &["docs/README.md", "docs/a/hello.md"], &["README.md"]);
        check(&["**/*src/**"], &["a/src/app.js", "my-src/code/app.js"], &["src"]);
    }

    #[test]
    fn quantifiers_repeat_the_character_before() {
        check(&["*.jsx?"], &["page.js", "page.jsx"], &["page.jsxx"]);
        check(&["v[12].[0-9]+.[0-9]+"], &["v1.10.1", "v2.0.0"], &["v3.0.0", "v1..0"]);
        check(&["a+b"], &["aab"], &["b"]);
        check(&["a?+b"], &["aab", "b"], &["c"]);
    }

    #[test]
    fn sets_and_escapes() {
        check(&["[CB]at"], &["Cat", "Bat"], &["Rat"]);
        check(&[r"a\*b"], &["a*b"], &["axb"]);
        check(&["a.b"], &["a.b"], &["axb"]);
        check(&["["], &["["], &["a"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check(&["releases/**", "!releases/**-alpha"], &["releases/10"], &["releases/beta/3-alpha"]);
        check(&["**", "!docs/**", "docs/keep"], &["docs/keep", "src"], &["docs/other"]);
        check(&["!main"], &[], &["main", "topic"]);
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[a-c*?+!\[\]/\\.^-]{0,24}", text in "[a-c/]{0,12}") {
            let _ = filter(&[&pattern]).matches(&text);
        }
    }
}
