//! What a finding's code stands for: every rule with its severity, its summary and its page.
//!
//! Invariant: every code of a [`Diagnostic`](crate::diagnostic::Diagnostic) is the code of exactly one rule.

use crate::diagnostic::Severity;
use crate::lint::Check;
use crate::{lint, read};

/// A rule: one kind of finding.
pub struct Rule {
    /// Stable, kebab-case name, such as `script-injection`.
    pub code: &'static str,
    /// How bad a finding is unless a configuration says otherwise.
    pub severity: Severity,
    /// What it is about.
    pub group: Group,
    /// One line, lower case, without a full stop: what is found.
    pub summary: &'static str,
    /// The name of actionlint's rule of the same meaning.
    pub actionlint: Option<&'static str>,
    /// Why it matters and what to do, in Markdown, with examples that are tests (see [`lint`]).
    pub page: &'static str,
    /// Looks for it; `None` where reading a file or another program finds it.
    pub(crate) check: Option<Check>,
}

impl Rule {
    /// Whether its findings come from another program, which may not be installed.
    #[must_use]
    pub fn is_of_tool(&self) -> bool {
        lint::TOOL_RULES.iter().any(|rule| rule.code == self.code)
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("code", &self.code).finish_non_exhaustive()
    }
}

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// GitHub refuses the file.
    Syntax,
    /// GitHub takes the file, but it does not do what its author wants.
    Correctness,
    /// What strangers could do with it.
    Security,
}

impl Group {
    /// All groups, in the order in which they are documented.
    pub const ALL: [Self; 3] = [Self::Syntax, Self::Correctness, Self::Security];

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Correctness => "correctness",
            Self::Security => "security",
        }
    }
}

/// All rules: those of reading, those of the lints and those of other programs, each in the order of their codes.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    read::RULES.iter().chain(lint::RULES.iter().copied()).chain(lint::TOOL_RULES.iter().copied())
}

/// The rule with this code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.code == code)
}
