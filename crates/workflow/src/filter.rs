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

/// What a list of patterns says about a text. `by` is the place of the pattern that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A pattern includes it, and no later one takes it back.
    Included {
        /// The last pattern that includes it.
        by: usize,
    },
    /// A pattern includes it, but a later one with `!` takes it back.
    TakenBack {
        /// The one with `!`.
        by: usize,
    },
    /// No pattern includes it.
    Unnamed,
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
        matches!(self.verdict(text), Verdict::Included { .. })
    }

    /// What the list says about `text`, and which of its patterns does.
    #[must_use]
    pub fn verdict(&self, text: &str) -> Verdict {
        let speaks = |pattern: &Pattern| pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text));
        match self.patterns.iter().rposition(speaks) {
            None => Verdict::Unnamed,
            // A pattern that takes something back where nothing is included says nothing new.
            Some(by) if self.patterns[by].negative => {
                let included = self.patterns[..by].iter().any(|earlier| !earlier.negative && speaks(earlier));
                if included { Verdict::TakenBack { by } } else { Verdict::Unnamed }
            }
            Some(by) => Verdict::Included { by },
        }
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
    let mut inner = &characters[at + 1..at + 1 + length];
    let mut regex = String::from("[");
    while let [first, rest @ ..] = inner {
        // Other than between two letters or digits, `-` is itself; so is everything else that regular expressions know.
        match rest {
            ['-', last, behind @ ..] if first.is_alphanumeric() && last.is_alphanumeric() => {
                regex.extend([*first, '-', *last]);
                inner = behind;
            }
            _ => {
                regex.push_str(if first.is_alphanumeric() { "" } else { "\\" });
                regex.push(*first);
                inner = rest;
            }
        }
    }
    regex.push(']');
    (regex, length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Filter, Verdict};
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
    fn sets_know_ranges_and_nothing_else_of_regular_expressions() {
        check(&["[a-c]"], &["a", "b", "c"], &["d", "-"]);
        check(&["[a-]", "[-z]"], &["a", "-", "z"], &["b"]);
        check(&["[a--b]"], &["a", "-", "b"], &["c"]);
        check(&["[a-c-e]"], &["b", "-", "e"], &["d"]);
        check(&["[^a]"], &["^", "a"], &["b"]);
        check(&["[a&&b]"], &["a", "&", "b"], &["c"]);
        check(&["v[0-9]?"], &["v", "v1"], &["v12"]);
    }

    #[test]
    fn the_deciding_pattern_is_known() {
        let list = filter(&["a/**", "!a/b", "a/b/c"]);
        assert_eq!(list.verdict("a/x"), Verdict::Included { by: 0 });
        assert_eq!(list.verdict("a/b"), Verdict::TakenBack { by: 1 });
        assert_eq!(list.verdict("a/b/c"), Verdict::Included { by: 2 });
        assert_eq!(list.verdict("b"), Verdict::Unnamed);
        assert_eq!(filter(&["!a"]).verdict("a"), Verdict::Unnamed);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check(&["releases/**", "!releases/**-alpha"], &["releases/10"], &["releases/beta/3-alpha"]);
        check(&["**", "!docs/**", "docs/keep"], &["docs/keep", "src"], &["docs/other"]);
        check(&["!main"], &[], &["main", "topic"]);
    }

    /// What one character of a text may be.
    #[derive(Clone)]
    enum One {
        Any,
        Segment,
        Of(Vec<char>),
    }

    impl One {
        fn admits(&self, character: char) -> bool {
            match self {
                Self::Any => true,
                Self::Segment => character != '/',
                Self::Of(characters) => characters.contains(&character),
            }
        }
    }

    /// A matcher without regular expressions: all places of the text up to which the pattern matches, piece by piece.
    fn matches_slowly(pattern: &str, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        let mut places = vec![0];
        let mut at = 0;
        while at < pattern.len() {
            let (one, mut least, mut most, mut next) = match pattern[at] {
                '*' => {
                    let run = pattern[at..].iter().take_while(|character| **character == '*').count();
                    let starts = at == 0 || pattern[at - 1] == '/';
                    if run > 1 && starts && pattern.get(at + run) == Some(&'/') {
                        // `**/`: nothing, or any text up to a slash.
                        let folders: Vec<usize> =
                            (1..=text.len()).filter(|end| text[end - 1] == '/').collect();
                        let behind = folders.into_iter().filter(|end| places.iter().any(|place| place < end));
                        places = places.iter().copied().chain(behind).collect();
                        at += run + 1;
                        continue;
                    }
                    (if run > 1 { One::Any } else { One::Segment }, 0, usize::MAX, at + run)
                }
                '[' if pattern[at + 1..]
                    .iter()
                    .position(|character| *character == ']')
                    .is_some_and(|end| end > 0) =>
                {
                    let end =
                        at + 1 + pattern[at + 1..].iter().take_while(|character| **character != ']').count();
                    (One::Of(pattern[at + 1..end].to_vec()), 1, 1, end + 1)
                }
                character => (One::Of(vec![character]), 1, 1, at + 1),
            };
            while let Some(quantifier @ ('?' | '+')) = pattern.get(next) {
                if *quantifier == '?' {
                    least = 0;
                } else {
                    most = usize::MAX;
                }
                next += 1;
            }
            let reaches = |from: usize| {
                let run = text[from..].iter().take_while(|character| one.admits(**character)).count();
                (least..=run.min(most)).map(move |count| from + count).collect::<Vec<_>>()
            };
            places = places.into_iter().flat_map(reaches).collect();
            places.sort_unstable();
            places.dedup();
            at = next;
        }
        places.contains(&text.len())
    }

    proptest! {
        #[test]
        fn agrees_with_a_matcher_without_regular_expressions(
            pattern in r"([a-c/.]|\*{1,3}|\[[a-c/]{1,3}\]|[a-c.][?+]){0,8}",
            text in "[a-c/.]{0,8}",
        ) {
            prop_assert_eq!(filter(&[&pattern]).matches(&text), matches_slowly(&pattern, &text));
        }

        #[test]
        fn the_last_word_counts(patterns in proptest::collection::vec("!?[ab*]{1,2}", 0..5), text in "[ab]{1,2}") {
            let mut expected = false;
            for pattern in &patterns {
                let (negative, positive) = (pattern.starts_with('!'), pattern.trim_start_matches('!'));
                if matches_slowly(positive, &text) {
                    expected = !negative;
                }
            }
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            prop_assert_eq!(filter(&patterns).matches(&text), expected);
        }

        #[test]
        fn no_pattern_panics(pattern in r"[a-c*?+!\[\]/\\.^-]{0,24}", text in "[a-c/]{0,12}") {
            let _ = filter(&[&pattern]).matches(&text);
        }
    }
}
