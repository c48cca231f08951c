//! The rules whose findings come from other programs, where these are installed. Nothing here runs them: the command line does.

use crate::diagnostic::Severity;
use crate::rule::{Group, Rule};

/// Problems in the scripts of shells.
pub static SHELLCHECK: Rule = Rule {
    code: "shellcheck",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "what `shellcheck` finds in a script of `sh` or `bash`",
    actionlint: Some("shellcheck"),
    page: include_str!("tools/shellcheck.md"),
    check: None,
};

/// Problems in scripts of Python.
pub static PYFLAKES: Rule = Rule {
    code: "pyflakes",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "what `ruff` or `pyflakes` finds in a script of Python",
    actionlint: Some("pyflakes"),
    page: include_str!("tools/pyflakes.md"),
    check: None,
};

/// The rules in the order of their codes.
pub(crate) static RULES: &[&Rule] = &[&PYFLAKES, &SHELLCHECK];
