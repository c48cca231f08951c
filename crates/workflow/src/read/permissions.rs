//! What a token may do, as far as called workflows are checked against their callers.

use super::options::PermissionsPolicy;
use crate::template::{Token, TokenKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    None,
    Read,
    Write,
}

impl Level {
    fn name(self) -> &'static str {
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
pub(crate) struct Permissions([Level; SCOPES.len()]);

impl Permissions {
    fn each(level: impl Fn(&str) -> Level) -> Self {
        Self(SCOPES.map(|scope| {
            let level = level(scope);
            if READ_ONLY.contains(&scope) { level.min(Level::Read) } else { level }
        }))
    }

    /// The value of `permissions`.
    pub(crate) fn of(token: &Token) -> Self {
        match &token.kind {
            TokenKind::String(text) if &**text == "write-all" => Self::each(|_| Level::Write),
            TokenKind::String(text) if &**text == "read-all" => Self::each(|_| Level::Read),
            _ => Self::each(|scope| {
                let level = token.entry(scope).and_then(|entry| entry.value.as_str());
                level.map_or(Level::None, Level::parse)
            }),
        }
    }

    /// What a policy gives. Only a workflow of the same owner gets an identity token without asking.
    pub(crate) fn of_policy(policy: PermissionsPolicy, is_trusted: bool) -> Self {
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
