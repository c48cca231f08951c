//! Secrets out of text.
//!
//! A secret is looked for as it is and in every encoding that GitHub's runner looks for. Where secrets overlap or touch,
//! their union becomes one `***`, so that no part of one shows because another began before it.
//!
//! Invariant: text that leaves the runner went through a [`Masker`] that knew every secret of the job at that moment.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What stands in place of a secret.
const MASK: &str = "***";

/// The most bytes of secrets in all encodings that a job may have.
const MAX_SECRET_BYTES: usize = 64 * 1024 * 1024;

/// A part of a secret that PowerShell prints alone is masked from this many bytes on.
const SHORTEST_AMPERSAND_PART: usize = 6;

/// There is no room for another secret.
#[derive(Debug, thiserror::Error)]
#[error("the masked values of this job have more than {MAX_SECRET_BYTES} bytes in all their encodings")]
pub(crate) struct TooManySecrets;

/// The secrets of a job; they only grow. Shared by all steps.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    secrets: Mutex<Secrets>,
}

#[derive(Default)]
struct Secrets {
    values: BTreeSet<String>,
    bytes: usize,
    /// What looks for `values`; `None` when one was added since.
    patterns: Option<Arc<Patterns>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secrets").field("count", &self.values.len()).finish_non_exhaustive()
    }
}

impl Masker {
    /// A masker that knows these values and each of their lines.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, TooManySecrets> {
        let masker = Self::default();
        for value in values {
            masker.add(value)?;
        }
        Ok(masker)
    }

    /// Masks the value, and each of its lines, from now on. Blank values are no secrets.
    pub(crate) fn add(&self, value: &str) -> Result<(), TooManySecrets> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.add(value)?;
        secrets.add(value.trim())?;
        for line in value.split(['\r', '\n']) {
            secrets.add(line.trim())?;
        }
        Ok(())
    }

    /// What looks for the secrets known now.
    pub(crate) fn patterns(&self) -> Arc<Patterns> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(patterns) = &secrets.patterns {
            return Arc::clone(patterns);
        }
        let patterns = Arc::new(Patterns::new(&secrets.values));
        secrets.patterns = Some(Arc::clone(&patterns));
        patterns
    }

    /// The text without secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.patterns().mask(text)
    }

    /// Whether the text holds a secret.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.patterns().finds(text)
    }
}

impl Secrets {
    fn add(&mut self, value: &str) -> Result<(), TooManySecrets> {
        if value.trim().is_empty() || self.values.contains(value) {
            return Ok(());
        }
        for encoded in encodings(value) {
            self.bytes += encoded.len();
            if self.bytes > MAX_SECRET_BYTES {
                return Err(TooManySecrets);
            }
            self.values.insert(encoded);
        }
        self.patterns = None;
        Ok(())
    }
}

/// A compiled set of secrets.
#[derive(Debug)]
pub(crate) struct Patterns {
    automaton: Option<AhoCorasick>,
    longest: usize,
}

impl Patterns {
    fn new(values: &BTreeSet<String>) -> Self {
        let longest = values.iter().map(String::len).max().unwrap_or_default();
        if values.is_empty() {
            return Self { automaton: None, longest };
        }
        // Only the standard kind can report matches that overlap.
        let automaton = AhoCorasickBuilder::new()
            .match_kind(MatchKind::Standard)
            .build(values)
            .expect("the bytes of all secrets are bounded, so that their automaton can be numbered");
        Self { automaton: Some(automaton), longest }
    }

    /// The length of the longest secret in bytes; 0 without any.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Whether the text holds a secret.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.automaton.as_ref().is_some_and(|automaton| automaton.is_match(text))
    }

    /// The text without secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        self.mask_part(text, 0..text.len(), &mut masked);
        masked
    }

    /// The text of whole lines without secrets; a secret of several lines leaves as many.
    pub(crate) fn mask_lines<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let ranges = self.ranges(text);
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut written = 0;
        for secret in ranges {
            masked.push_str(&text[written..secret.start]);
            for line in text[secret.clone()].split_inclusive('\n') {
                if !line.trim_end_matches('\n').is_empty() {
                    masked.push_str(MASK);
                }
                if line.ends_with('\n') {
                    masked.push('\n');
                }
            }
            written = secret.end;
        }
        masked.push_str(&text[written..]);
        Cow::Owned(masked)
    }

    /// Appends the bytes of `part` without secrets to `masked`; the rest of `text` is only looked at for secrets that
    /// reach into the part. Both ends of the part are borders between characters.
    pub(crate) fn mask_part(&self, text: &str, part: Range<usize>, masked: &mut String) {
        let mut written = part.start;
        for secret in self.ranges(text) {
            let (start, end) = (secret.start.max(part.start), secret.end.min(part.end));
            if start < end {
                masked.push_str(&text[written..start]);
                masked.push_str(MASK);
                written = end;
            }
        }
        masked.push_str(&text[written..part.end]);
    }

    /// The ranges of secrets, in order; those that overlap or touch are one.
    fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        // The first search is much faster, and most text holds no secret.
        let Some(automaton) = self.automaton.as_ref().filter(|automaton| automaton.is_match(text)) else {
            return Vec::new();
        };
        let mut found: Vec<Range<usize>> = Vec::new();
        // Matches come in the order of their ends.
        for secret in automaton.find_overlapping_iter(text) {
            let mut range = secret.range();
            while let Some(last) = found.pop_if(|last| range.start <= last.end) {
                range.start = range.start.min(last.start);
            }
            found.push(range);
        }
        found
    }
}

/// The value and its encodings, as in GitHub's runner.
fn encodings(value: &str) -> impl Iterator<Item = String> {
    let bytes = value.as_bytes();
    let shifted =
        |shift: usize| STANDARD.encode(bytes.get(shift..).filter(|rest| !rest.is_empty()).unwrap_or(bytes));
    let encoded = [
        value.to_owned(),
        shifted(0),
        shifted(1),
        shifted(2),
        value.replace('"', "\\\""),
        value.replace('\'', "''"),
        json_escaped(value),
        uri_escaped(value),
        xml_escaped(value),
        without_quotes(value),
        before_ampersand(value).to_owned(),
        behind_ampersand(value).to_owned(),
    ];
    encoded.into_iter().filter(|encoded| !encoded.is_empty())
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn uri_escaped(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

fn xml_escaped(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut escaped, character| {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '&' => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
        escaped
    })
}

fn without_quotes(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|_| value.chars().count() > 8).unwrap_or_default().to_owned()
}

/// PowerShell colours a part of a failing command: what stands up to the last `&` is printed alone.
fn before_ampersand(value: &str) -> &str {
    let end = value.find("&+").map(|at| at + 2).or_else(|| value.rfind('&').map(|at| at + 1));
    let part = &value[..end.unwrap_or_default()];
    if part.len() >= SHORTEST_AMPERSAND_PART { part } else { "" }
}

/// What stands behind the last `&`, less the one character that PowerShell colours after `&+`.
fn behind_ampersand(value: &str) -> &str {
    let part = match (value.find("&+"), value.rfind('&')) {
        (Some(at), _) => {
            let rest = &value[at + 2..];
            rest.char_indices().nth(1).map_or("", |(second, _)| &rest[second..])
        }
        (None, Some(at)) => &value[at + 1..],
        (None, None) => "",
    };
    if part.len() >= SHORTEST_AMPERSAND_PART { part } else { "" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};

    use super::Masker;

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let masker = Masker::new(secrets.iter().copied()).unwrap();
        assert_eq!(masker.mask(text), expected, "{secrets:?}");
    }

    #[test]
    fn values_are_masked() {
        check(&[], "nothing", "nothing");
        check(&["", "  "], "a  b", "a  b");
        check(&["hunter2"], "it is hunter2!", "it is ***!");
        check(&["a"], "banana", "b***n***n***");
    }

    #[test]
    fn overlapping_and_touching_secrets_are_one() {
        check(&["abc", "bcde"], "abcde", "***");
        check(&["abc", "def"], "abcdef", "***");
        check(&["abcdef", "cd"], "xabcdefx", "x***x");
        check(&["cd", "bcdxx", "abcde"], "abcde", "***");
    }

    #[test]
    fn each_line_of_a_secret_is_one() {
        check(&["first line\nsecond line"], "first line", "***");
        check(&["first line\r\n  second line "], "> second line <", "> *** <");
        check(&["first line\nsecond line"], "first line\nsecond line", "***");
        check(&[" padded "], "[padded]", "[***]");
    }

    #[test]
    fn encodings_are_masked() {
        check(&["my secret"], "bXkgc2VjcmV0", "***");
        check(&["password"], "eDpwYXNzd29yZA==", "eDpw***");
        check(&["pass&word"], "pass%26word", "***");
        check(&["pass&word"], "pass&amp;word", "***");
        check(&["say \"it\""], r#"say \"it\""#, "***");
        check(&["it's\ttab"], "it''s\ttab", "***");
        check(&["it's\ttab"], r"it's\ttab", "***");
        check(&["\"quoted secret\""], "quoted secret", "***");
        check(&["secretpart1&secretpart2"], "secretpart1& and secretpart2", "*** and ***");
        check(&["secretpart1&+secretpart2"], "ecretpart2", "***");
    }

    #[test]
    fn secrets_are_never_printed_by_debug() {
        let masker = Masker::new(["hunter2"]).unwrap();
        assert!(!format!("{masker:?}").contains("hunter2"));
    }

    fn texts() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "ba", "ä"]), 0..60)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn no_secret_is_left(
            secrets in prop::collection::vec("[abä]{1,6}", 0..4),
            text in texts(),
        ) {
            let masker = Masker::new(secrets.iter().map(String::as_str)).unwrap();
            let masked = masker.mask(&text);
            for secret in &secrets {
                assert!(!masked.contains(secret.as_str()), "{secret:?} in {masked:?}");
            }
            assert!(!masked.contains("******"));
        }

        #[test]
        fn parts_make_the_whole(secrets in prop::collection::vec("[ab]{1,6}", 0..4), text in "[ab]{0,40}", cut in 0_usize..40) {
            let masker = Masker::new(secrets.iter().map(String::as_str)).unwrap();
            let cut = cut.min(text.len());
            let (mut first, mut second) = (String::new(), String::new());
            masker.patterns().mask_part(&text, 0..cut, &mut first);
            masker.patterns().mask_part(&text, cut..text.len(), &mut second);
            let joined = format!("{first}{second}").replace("******", "***");
            assert_eq!(joined, masker.mask(&text));
        }
    }
}
