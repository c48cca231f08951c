//! Ids of jobs and steps: which are valid, and those that GitHub generates for steps without one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::hash::ShortHasher;

/// Ids are shorter than this, generated ones at most this long.
const MAX_LENGTH: usize = 100;

/// The number of the second id of a stem: the first has none.
const SECOND: usize = 2;

/// The ids of one scope, compared without regard to case.
#[derive(Debug, Default)]
pub(crate) struct Identifiers {
    /// In lower case; with each the number of the next id that is generated of it as a stem: those before are taken.
    taken: HashMap<String, usize, BuildHasherDefault<ShortHasher>>,
}

impl Identifiers {
    /// For so many ids, about.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { taken: HashMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()) }
    }

    /// Takes an author's id. The error is GitHub's message.
    pub(crate) fn take(&mut self, id: &str) -> Result<(), String> {
        if !is_valid(id) || id.len() >= MAX_LENGTH {
            return Err(format!(
                "The identifier '{id}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. \
                 IDs must start with a letter or '_' and must be less than {MAX_LENGTH} characters."
            ));
        }
        if id.starts_with("__") {
            return Err(format!("The identifier '{id}' is invalid. IDs starting with '__' are reserved."));
        }
        if self.taken.insert(id.to_ascii_lowercase(), SECOND).is_some() {
            return Err(format!(
                "The identifier '{id}' may not be used more than once within the same scope."
            ));
        }
        Ok(())
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.taken.contains_key(&id.to_ascii_lowercase())
    }

    /// A new id, `__` and the stem: `__run`, `__run_2`.
    pub(crate) fn generate(&mut self, stem: &str) -> String {
        let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        let mut whole = String::with_capacity("__".len() + stem.len().min(MAX_LENGTH));
        whole.push_str("__");
        let characters = stem.chars().take(MAX_LENGTH - "__".len());
        whole.extend(characters.map(|character| if allowed(character) { character } else { '_' }));
        let stem = whole.to_ascii_lowercase();
        let Some(next) = self.taken.get(&stem) else {
            self.taken.insert(stem, SECOND);
            return whole;
        };
        let mut attempt = *next;
        loop {
            let id = numbered(&whole, attempt);
            attempt += 1;
            let lower = id.to_ascii_lowercase();
            if !self.taken.contains_key(&lower) {
                self.taken.insert(lower, SECOND);
                self.taken.insert(stem, attempt);
                return id;
            }
        }
    }
}

fn numbered(stem: &str, attempt: usize) -> String {
    let suffix = format!("_{attempt}");
    [&stem[..stem.len().min(MAX_LENGTH - suffix.len())], &suffix].concat()
}

fn is_valid(id: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    id.bytes().next().is_some_and(first) && id.bytes().all(rest)
}

/// What the generated id of a step with `uses` is made of.
pub(crate) fn stem_of_uses(uses: &str) -> String {
    if let Some(image) = uses.strip_prefix("docker://") {
        return if image.is_empty() { "run".into() } else { image.into() };
    }
    if uses.starts_with("./") || uses.starts_with(".\\") || uses.starts_with("$/") {
        return "self".into();
    }
    match uses.split_once('@') {
        Some((location, version)) if !version.is_empty() && !version.contains('@') => {
            let mut segments = location.split(['/', '\\']).filter(|segment| !segment.is_empty());
            match (segments.next(), segments.next()) {
                (Some(owner), Some(name)) => [owner, "/", name].concat(),
                _ => "run".into(),
            }
        }
        _ => "run".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Identifiers, stem_of_uses};

    fn check_generated(uses: &str, expected: &str) {
        assert_eq!(Identifiers::default().generate(&stem_of_uses(uses)), expected, "{uses:?}");
    }

    #[test]
    fn generated_ids_tell_the_action() {
        check_generated("actions/checkout@v4", "__actions_checkout");
        check_generated("actions/cache/save@v4", "__actions_cache");
        check_generated("docker://alpine:latest", "__alpine_latest");
        check_generated("./my/action", "__self");
        check_generated("$/my/action", "__self");
        check_generated("checkout", "__run");
    }

    #[test]
    fn generated_ids_are_unique_and_short() {
        let mut ids = Identifiers::default();
        assert_eq!(ids.generate("run"), "__run");
        assert_eq!(ids.generate("run"), "__run_2");
        let long = "x".repeat(200);
        assert_eq!(ids.generate(&long).len(), 100);
        let second = ids.generate(&long);
        assert_eq!((second.len(), second.ends_with("x_2")), (100, true));
    }

    #[test]
    fn authors_ids() {
        let mut ids = Identifiers::default();
        for id in ["a", "A_b-1", "_x"] {
            assert_eq!(ids.take(id), Ok(()), "{id}");
        }
        for id in ["", "1a", "-a", "a b", "a.b", "ä", "__a", "a_B-1", &"x".repeat(100)] {
            assert!(ids.take(id).is_err(), "{id}");
        }
    }
}
