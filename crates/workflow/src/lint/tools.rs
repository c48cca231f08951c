//! The rules whose findings come from other programs, where these are installed, and the scripts that are given to them.
//! Nothing here runs a program: the command line does.

use crate::diagnostic::Severity;
use crate::expr::text::{Piece, pieces};
use crate::model::{Action, ActionRuns, Job, JobKind, Step, StepKind, Steps, Workflow};
use crate::rule::{Group, Rule};
use crate::source::{SourceFile, Span};
use crate::template::{Token, TokenKind};
use crate::yaml::Written;

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

/// What takes the place of each character of an expression: no program takes it for more than a word.
pub const PLACEHOLDER: char = '_';

/// The languages of scripts that there are tools for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `bash`.
    Bash,
    /// `sh`.
    Sh,
    /// `python`.
    Python,
}

/// The script of a `run` step.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its language.
    pub language: Language,
    /// Whether its shell ends at the first command that fails.
    pub ends_at_failure: bool,
    /// The scalar.
    pub span: Span,
    /// Its text, expressions replaced by [`PLACEHOLDER`]s, with its places in the file.
    pub written: Written,
}

/// The scripts of a workflow that there are tools for.
#[must_use]
pub fn scripts_of_workflow(file: &SourceFile, workflow: &Workflow) -> Vec<Script> {
    let mut scripts = Vec::new();
    for job in &workflow.jobs {
        let JobKind::Steps(kind) = &job.kind else { continue };
        let defaults = [kind.defaults.as_ref(), workflow.defaults.as_ref()];
        let written = defaults.into_iter().flatten().find_map(shell_of_defaults);
        let default = match written {
            Some(shell) => Some(shell),
            None => shell_of_runner(job, kind),
        };
        scripts.extend(kind.steps.iter().filter_map(|step| script(file, step, default)));
    }
    scripts
}

/// The scripts of a composite action that there are tools for.
#[must_use]
pub fn scripts_of_action(file: &SourceFile, action: &Action) -> Vec<Script> {
    match &action.runs {
        ActionRuns::Composite { steps } => steps.iter().filter_map(|step| script(file, step, None)).collect(),
        ActionRuns::Node { .. } | ActionRuns::Docker { .. } | ActionRuns::Plugin { .. } => Vec::new(),
    }
}

/// The shell of steps that name none, written as GitHub would run it.
const DEFAULT_SHELL: &str = "bash -e {0}";
const DEFAULT_SHELL_OF_CONTAINERS: &str = "sh -e {0}";

fn shell_of_defaults(defaults: &Token) -> Option<&str> {
    defaults.entry("run")?.value.entry("shell")?.value.as_str()
}

/// The shell of a job's runner; none where that may be PowerShell.
fn shell_of_runner(job: &Job, kind: &Steps) -> Option<&'static str> {
    let runs_on = kind.runs_on.as_ref()?;
    if mentions_windows(runs_on) {
        return None;
    }
    if runs_on.has_expression() {
        // The matrix tells which runners are meant; an input or an output does not.
        let matrix = job.strategy.as_ref().and_then(|strategy| strategy.entry("matrix"))?;
        if matrix.value.has_expression() || mentions_windows(&matrix.value) {
            return None;
        }
    }
    Some(if kind.container.is_some() { DEFAULT_SHELL_OF_CONTAINERS } else { DEFAULT_SHELL })
}

fn mentions_windows(token: &Token) -> bool {
    match &token.kind {
        TokenKind::String(text) => text.to_ascii_lowercase().contains("windows"),
        TokenKind::Sequence(items) => items.iter().any(mentions_windows),
        TokenKind::Mapping(entries) => entries.iter().any(|entry| mentions_windows(&entry.value)),
        TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::Expression(_) => false,
    }
}

fn script(file: &SourceFile, step: &Step, default: Option<&str>) -> Option<Script> {
    let StepKind::Run { run, shell, .. } = &step.kind else { return None };
    let shell = match shell {
        Some(shell) => shell.as_str()?,
        None => default?,
    };
    let mut words = shell.split_whitespace();
    let program = words.next()?.rsplit('/').next()?;
    let language = match program {
        "bash" => Language::Bash,
        "sh" => Language::Sh,
        "python" | "python3" => Language::Python,
        _ => return None,
    };
    // GitHub gives `-e` to a shell that is only named.
    let mut words = words.peekable();
    let ends_at_failure = words.peek().is_none()
        || words.any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('e'));
    let mut written = Written::read(file, run.span)?;
    let expressions: Vec<_> = pieces(written.text())
        .map(|piece| match piece {
            Ok(Piece::Expression { outer, .. }) => Some(Some(outer)),
            Ok(Piece::Literal(_)) => Some(None),
            Err(_) => None,
        })
        .collect::<Option<Vec<_>>>()?;
    for range in expressions.into_iter().flatten().rev() {
        written.blank(range, PLACEHOLDER);
    }
    Some(Script { language, ends_at_failure, span: run.span, written })
}

#[cfg(test)]
mod tests {
    use super::{Language, scripts_of_workflow};
    use crate::read::{ReadOptions, parse};
    use crate::source::SourceFile;

    /// The scripts of a job with these lines: language, whether it ends at a failure, text.
    fn check(job: &str, expected: &[(Language, bool, &str)]) {
        let file = SourceFile::new("f", format!("on: push\njobs:\n  a:\n{job}\n"));
        let workflow = parse(&file, &ReadOptions::default()).value.expect("it is a workflow");
        let scripts = scripts_of_workflow(&file, &workflow);
        let found: Vec<_> = scripts
            .iter()
            .map(|script| (script.language, script.ends_at_failure, script.written.text()))
            .collect();
        assert_eq!(found, expected, "{job}");
    }

    #[test]
    fn shells_are_those_of_the_step_the_defaults_or_the_runner() {
        use Language::{Bash, Python, Sh};
        let job = |keys: &str, shell: &str| {
            format!("    {keys}\n    steps: [{{run: x, shell: '{shell}'}}, {{run: y}}]")
        };
        let linux = "runs-on: ubuntu-latest";
        check(&job(linux, "sh"), &[(Sh, true, "x"), (Bash, true, "y")]);
        check(&job(linux, "bash {0}"), &[(Bash, false, "x"), (Bash, true, "y")]);
        check(&job(linux, "pwsh"), &[(Bash, true, "y")]);
        check(&job(linux, "python3 {0}"), &[(Python, false, "x"), (Bash, true, "y")]);
        check(&job("runs-on: windows-2022", "bash -el {0}"), &[(Bash, true, "x")]);
        check(
            &job("container: alpine\n    runs-on: [self-hosted]", "bash"),
            &[(Bash, true, "x"), (Sh, true, "y")],
        );
        let defaults = "defaults: {run: {shell: python}}\n    runs-on: ${{ inputs.x }}";
        check(&job(defaults, "bash"), &[(Bash, true, "x"), (Python, true, "y")]);
        check(&job("runs-on: ${{ github.actor }}", "bash"), &[(Bash, true, "x")]);
        let matrix =
            |os: &str| format!("strategy: {{matrix: {{os: [{os}]}}}}\n    runs-on: ${{{{ matrix.os }}}}");
        check(&job(&matrix("ubuntu-latest"), "bash"), &[(Bash, true, "x"), (Bash, true, "y")]);
        check(&job(&matrix("Windows-latest"), "bash"), &[(Bash, true, "x")]);
    }

    #[test]
    fn expressions_become_words_of_their_length() {
        check(
            "    runs-on: x\n    steps: [{run: 'a ${{ github.sha }} ${{ 1 }}b'}]",
            &[(Language::Bash, true, "a _________________ ________b")],
        );
    }
}
