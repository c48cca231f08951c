//! What the token of a job may do: the value of `permissions`.

use serde::{Deserialize, Serialize};

use crate::template::{Token, TokenKind};

/// What may be done within one scope; a higher level includes the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Nothing.
    None,
    /// To read.
    Read,
    /// To read and write.
    Write,
}

/// The permissions of a repository's token where a workflow does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionsPolicy {
    /// To read the contents and packages.
    LimitedRead,
    /// To write everything.
    Write,
}

impl Level {
    /// The name in a workflow.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "read" => Self::Read,
            "write" => Self::Write,
            _ => Self::None,
        }
    }
}

const ID_TOKEN: &str = "id-token";

/// In the order in which GitHub lists them.
const SCOPES: [&str; 20] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "code-quality",
    "contents",
    "copilot-requests",
    "deployments",
    "discussions",
    "drives",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "statuses",
    "security-events",
    ID_TOKEN,
    "models",
    "vulnerability-alerts",
];

/// Scopes that can only be read.
const READ_ONLY: [&str; 2] = ["models", "vulnerability-alerts"];

/// A level for each scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions([Level; SCOPES.len()]);

impl Permissions {
    fn each(level: impl Fn(&str) -> Level) -> Self {
        Self(SCOPES.map(|scope| {
            let level = level(scope);
            if READ_ONLY.contains(&scope) { level.min(Level::Read) } else { level }
        }))
    }

    /// The value of `permissions`; a scope that a mapping does not name gets nothing.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        match &token.kind {
            TokenKind::String(text) if &**text == "write-all" => Self::each(|_| Level::Write),
            TokenKind::String(text) if &**text == "read-all" => Self::each(|_| Level::Read),
            _ => Self::each(|scope| {
                let level = token.entry(scope).and_then(|entry| entry.value.as_str());
                level.map_or(Level::None, Level::parse)
            }),
        }
    }

    /// Scopes and levels, in the order in which GitHub lists them.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, Level)> {
        SCOPES.into_iter().zip(self.0)
    }

    /// What a policy gives. Only a workflow of the same owner gets an identity token without asking.
    #[must_use]
    pub fn of_policy(policy: PermissionsPolicy, is_trusted: bool) -> Self {
        match policy {
            PermissionsPolicy::LimitedRead => Self::each(|scope| match scope {
                "contents" | "packages" => Level::Read,
                _ => Level::None,
            }),
            PermissionsPolicy::Write => {
                Self::each(|scope| if scope == ID_TOKEN && !is_trusted { Level::None } else { Level::Write })
            }
        }
    }

    /// What these ask for beyond `allowed`: the levels asked for and the levels allowed, as GitHub lists them.
    pub(crate) fn beyond(&self, allowed: &Self) -> Option<(String, String)> {
        let beyond: Vec<_> = SCOPES
            .iter()
            .zip(self.0.iter().zip(allowed.0))
            .filter(|(_, (asked, allowed))| *asked > allowed)
            .collect();
        let list = |pick: &dyn Fn(&Level, Level) -> Level| {
            let parts: Vec<_> = beyond
                .iter()
                .map(|(scope, (asked, allowed))| format!("{scope}: {}", pick(asked, *allowed).name()))
                .collect();
            parts.join(", ")
        };
        (!beyond.is_empty()).then(|| (list(&|asked, _| *asked), list(&|_, allowed| allowed)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Permissions, PermissionsPolicy};
    use crate::source::Span;
    use crate::template::{Token, TokenKind};

    fn shorthand(text: &str) -> Permissions {
        Permissions::of(&Token { kind: TokenKind::String(text.into()), span: Span::default() })
    }

    fn check(asked: Permissions, allowed: Permissions, expected: Option<usize>) {
        let beyond = asked.beyond(&allowed).map(|(asked, _)| asked.split(", ").count());
        assert_eq!(beyond, expected);
    }

    #[test]
    fn asking_for_more_than_is_allowed() {
        let (none, read, write) = (shorthand(""), shorthand("read-all"), shorthand("write-all"));
        check(read, write, None);
        check(write, write, None);
        check(none, none, None);
        check(read, none, Some(20));
        // Two scopes can only be read.
        check(write, read, Some(18));
        check(read, Permissions::of_policy(PermissionsPolicy::LimitedRead, true), Some(18));
        check(write, Permissions::of_policy(PermissionsPolicy::Write, false), Some(1));
        check(write, Permissions::of_policy(PermissionsPolicy::Write, true), None);
    }

    #[test]
    fn violations_are_listed() {
        let policy = Permissions::of_policy(PermissionsPolicy::Write, false);
        let expected = ("id-token: write".to_owned(), "id-token: none".to_owned());
        assert_eq!(shorthand("write-all").beyond(&policy), Some(expected));
    }
}
