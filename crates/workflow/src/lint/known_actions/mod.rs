//! What is known of public actions that many workflows use: their inputs, their outputs and what runs them, by major
//! version.
//!
//! `table.tsv` is written by `script/known-actions`. A line is the facts of one or more major versions of an action:
//! its name in lower case, the versions (each with the newest minor version that is known, `HEAD` for the default
//! branch), what `runs.using` says, the inputs (`!` before one that every version wants, `~` before one that is
//! deprecated, `*` last where newer minor versions may have others) and the outputs (`*` first where there may be others). The lines are in the order of the names.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

use crate::hash::ShortHasher;

static TABLE: &str = include_str!("table.tsv");

/// The facts of a major version of an action.
#[derive(Clone, Copy, Debug)]
pub struct KnownAction {
    using: &'static str,
    inputs: &'static str,
    outputs: &'static str,
    may_be_newer: bool,
}

/// An input of a known action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownInput {
    /// In lower case.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether its action's author advises against it.
    pub deprecated: bool,
}

/// The action of a step's `uses`, in the version that it names, or that a comment names behind a commit.
#[must_use]
pub fn find(uses: &str, comment: Option<&str>) -> Option<KnownAction> {
    find_with(uses, || comment)
}

/// As [`find`]; the comment is looked for only where the version is a commit.
pub(crate) fn find_with<'a>(uses: &'a str, comment: impl FnOnce() -> Option<&'a str>) -> Option<KnownAction> {
    let (name, version) = uses.split_once('@')?;
    let versions = versions_of(name)?;
    let version = Version::parse(if is_commit(version) { comment()? } else { version })?;
    for facts in versions {
        let mut known = facts.versions.split(',');
        let Some(known) = known.find(|known| is_of_major(known, version.major)) else { continue };
        let known = Version::parse(known)?;
        if version.minor.is_some_and(|minor| known.minor.is_some_and(|known| minor > known)) {
            return None;
        }
        let is_exact = version.minor.is_some() && known.minor.is_some();
        let may_be_newer = !is_exact && facts.action.inputs.ends_with('*');
        return Some(KnownAction { may_be_newer, ..facts.action });
    }
    None
}

/// Whether a version of the table has this major version.
fn is_of_major(known: &str, major: &str) -> bool {
    known.strip_prefix(major).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl KnownAction {
    /// What runs it: `node20`, `composite`, `docker`, …
    #[must_use]
    pub fn using(&self) -> &'static str {
        self.using
    }

    /// Whether the reference stands for the newest minor version, which may differ from what is known: it may have
    /// more inputs and run on something newer.
    #[must_use]
    pub fn may_be_newer(&self) -> bool {
        self.may_be_newer
    }

    /// Its inputs.
    pub fn inputs(&self) -> impl Iterator<Item = KnownInput> + use<> {
        self.inputs.split_ascii_whitespace().filter(|name| *name != "*").map(|name| {
            let (required, name) = name.strip_prefix('!').map_or((false, name), |name| (true, name));
            let (deprecated, name) = name.strip_prefix('~').map_or((false, name), |name| (true, name));
            KnownInput { name, required, deprecated }
        })
    }

    /// The names of its outputs, in lower case.
    pub fn outputs(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.outputs.split_ascii_whitespace().filter(|name| *name != "*")
    }

    /// Whether it may have outputs that its metadata does not name.
    #[must_use]
    pub fn has_other_outputs(&self) -> bool {
        self.outputs.starts_with('*')
    }
}

/// Whether a version is a whole commit.
fn is_commit(version: &str) -> bool {
    version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A version as far as the table tells versions apart.
struct Version<'a> {
    /// `HEAD` for the default branch.
    major: &'a str,
    minor: Option<u64>,
}

impl<'a> Version<'a> {
    /// Reads a tag or a branch: 4 of `v4.1.1`, 1 of `release/v1`, `HEAD` of `main`.
    fn parse(version: &'a str) -> Option<Self> {
        if matches!(version, "main" | "master" | "HEAD") {
            return Some(Self { major: "HEAD", minor: None });
        }
        let last = version.rsplit('/').next()?;
        let mut parts = last.strip_prefix('v').unwrap_or(last).split('.');
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let major = parts.next().filter(is_number)?;
        let minor = match parts.next() {
            Some(part) => Some(part).filter(is_number)?.parse().ok(),
            None => None,
        };
        parts.all(|part| is_number(&part)).then_some(Self { major, minor })
    }
}

/// A line of the table without the name.
struct Facts {
    versions: &'static str,
    action: KnownAction,
}

type Table = HashMap<&'static str, Vec<Facts>, BuildHasherDefault<ShortHasher>>;

/// The lines of each action by its name; they are told apart when the first action is looked for.
static LINES: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for line in TABLE.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        let (name, versions, using, inputs, outputs) = (field(), field(), field(), field(), field());
        let action = KnownAction { using, inputs, outputs, may_be_newer: false };
        table.entry(name).or_default().push(Facts { versions, action });
    }
    table
});

/// What is known of the versions of the action with this name.
fn versions_of(name: &str) -> Option<&'static [Facts]> {
    let facts = match LINES.get(name) {
        None if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            LINES.get(name.to_ascii_lowercase().as_str())
        }
        facts => facts,
    };
    facts.map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, find};

    #[test]
    fn every_line_can_be_found() {
        let names: Vec<&str> = TABLE.lines().filter_map(|line| line.split('\t').next()).collect();
        assert!(names.is_sorted() && names.len() > 100);
        for line in TABLE.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 5, "{line}");
            for known in fields[1].split(',') {
                let version = if known == "HEAD" { "main".to_owned() } else { format!("v{known}") };
                let uses = format!("{}@{version}", fields[0].to_uppercase());
                let found = find(&uses, None).expect("the table has it");
                assert_eq!((found.using, found.inputs), (fields[2], fields[3]), "{uses}");
            }
        }
    }

    fn check(uses: &str, comment: Option<&str>, expected: Option<&str>) {
        assert_eq!(find(uses, comment).map(|action| action.using()), expected, "{uses} {comment:?}");
    }

    #[test]
    fn versions() {
        let commit = "actions/checkout@0123456789012345678901234567890123456789";
        check("actions/checkout@v4", None, Some("node20"));
        check("Actions/Checkout@v3.5", None, Some("node16"));
        check("actions/checkout@main", None, Some("node24"));
        check("actions/checkout@v3.999", None, None);
        check("actions/checkout@v4.1-beta", None, None);
        check("actions/checkout@my-branch", None, None);
        check("actions/checkout@v999", None, None);
        check("actions/nothing@v4", None, None);
        check("zzz/zzz@v1", None, None);
        check("a/a@v1", None, None);
        check(commit, None, None);
        check(commit, Some("v4.1.1"), Some("node20"));
        check(commit, Some("v2.0.0"), Some("node12"));
        check(commit, Some("newest"), None);
    }

    #[test]
    fn inputs_and_outputs() {
        let cache = find("actions/cache@v4", None).expect("the table has it");
        let inputs: Vec<_> = cache.inputs().collect();
        let find = |name| *inputs.iter().find(|input| input.name == name).expect("the input is known");
        assert!(find("key").required && !find("key").deprecated);
        assert!(!find("restore-keys").required);
        assert!(find("save-always").deprecated);
        assert!(cache.outputs().any(|output| output == "cache-hit") && !cache.has_other_outputs());
    }
}
