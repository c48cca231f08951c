//! Patterns of names: `*`, `?` and `[a-z]` in one name, `**` over several, as in `COPY` and `.dockerignore`.

/// Whether a name matches a pattern without `/`.
pub(super) fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on when what follows the last `*` does not match: one byte later.
    let (mut at, mut position, mut again) = (0, 0, None);
    while position < name.len() {
        match step(&pattern[at..], name[position]) {
            Some(Step::Any) => {
                again = Some((at, position));
                at += 1;
            }
            Some(Step::One(length)) => {
                at += length;
                position += 1;
            }
            None => match again {
                Some((star, last)) => {
                    again = Some((star, last + 1));
                    (at, position) = (star + 1, last + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

enum Step {
    /// A `*`.
    Any,
    /// So many bytes of the pattern match the byte.
    One(usize),
}

fn step(pattern: &[u8], byte: u8) -> Option<Step> {
    match pattern {
        [b'*', ..] => Some(Step::Any),
        [b'?', ..] => Some(Step::One(1)),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(Step::One(2)),
        [b'[', ..] => class(pattern, byte),
        [first, ..] => (*first == byte).then_some(Step::One(1)),
        [] => None,
    }
}

fn class(pattern: &[u8], byte: u8) -> Option<Step> {
    let end = 2 + pattern.get(2..)?.iter().position(|&found| found == b']')?;
    let (is_inverted, inside) = match &pattern[1..end] {
        [b'^' | b'!', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut is_in, mut at) = (false, 0);
    while at < inside.len() {
        let is_range = inside.get(at + 1) == Some(&b'-') && at + 2 < inside.len();
        let last = if is_range { inside[at + 2] } else { inside[at] };
        is_in |= (inside[at]..=last).contains(&byte);
        at += if is_range { 3 } else { 1 };
    }
    (is_in != is_inverted).then_some(Step::One(end + 1))
}

/// Whether a name has a character that makes it a pattern.
pub(super) fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[".contains(byte))
}

/// The lines of `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    parts: Vec<Vec<u8>>,
    is_exception: bool,
}

impl Ignored {
    /// Most rules that are read.
    const MAX_RULES: usize = 1_000;

    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rule = |line: &str| {
            let (is_exception, line) = match line.strip_prefix('!') {
                Some(line) => (true, line.trim()),
                None => (false, line),
            };
            let parts = line.split('/').filter(|part| !part.is_empty() && *part != ".");
            Rule { parts: parts.map(|part| part.as_bytes().to_vec()).collect(), is_exception }
        };
        Self { rules: lines.map(rule).take(Self::MAX_RULES).collect() }
    }

    /// Whether something is left out; what is in a folder that is left out is, too. The last rule that matches decides.
    pub(super) fn is_ignored(&self, path: &[u8]) -> bool {
        let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
        let matching =
            |rule: &&Rule| (1..=parts.len()).any(|count| matches_parts(&rule.parts, &parts[..count]));
        self.rules.iter().rev().find(matching).is_some_and(|rule| !rule.is_exception)
    }

    /// Whether nothing in a folder can come back that is left out itself.
    pub(super) fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_exception)
    }
}

fn matches_parts(pattern: &[Vec<u8>], parts: &[&[u8]]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == b"**" => {
            (0..=parts.len()).any(|skipped| matches_parts(rest, &parts[skipped..]))
        }
        (Some((first, rest)), Some((part, others))) => {
            matches_name(first, part) && matches_parts(rest, others)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Ignored, matches_name};

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        for name in matching {
            assert!(matches_name(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for name in others {
            assert!(!matches_name(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_match_names() {
        check("a", &["a"], &["", "b", "aa"]);
        check("*", &["", "a", "abc"], &[]);
        check("*.tar.*", &["a.tar.gz", ".tar.tar.x"], &["a.tar", "tar.gz"]);
        check("a?c", &["abc", "a-c"], &["ac", "abbc"]);
        check("[a-c]x[^0-9]", &["axy", "cx-"], &["dxy", "ax1", "ax"]);
        check("\\*", &["*"], &["a"]);
        check("[", &[], &["[", "a"]);
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let ignored = Ignored::parse("# comment\ntarget\n**/*.log\n/a/b\n!keep.log\n!a/b/c\n");
        let left_out = ["target", "target/debug/x", "x.log", "a/b/x.log", "a/b", "a/b/d"];
        let kept = ["a", "keep.log", "a/b/c", "src/target", "log"];
        left_out.iter().for_each(|path| assert!(ignored.is_ignored(path.as_bytes()), "{path}"));
        kept.iter().for_each(|path| assert!(!ignored.is_ignored(path.as_bytes()), "{path}"));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_a_star(name in "[a-z.]{0,20}") {
            prop_assert!(matches_name(name.as_bytes(), name.as_bytes()));
            let (wide, longer) = (format!("*{name}*"), format!("{name}?"));
            prop_assert!(matches_name(wide.as_bytes(), name.as_bytes()));
            prop_assert!(!matches_name(longer.as_bytes(), name.as_bytes()));
        }
    }
}
