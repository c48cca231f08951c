//! The safe way out where an expression becomes part of a script: the step's `env` takes the value, the script expands
//! the variable in quotes.
//!
//! A change is made only where it is certain what the place means: the shell is known, the scalar stands in the file as
//! the shell sees it, the place is an argument or in double quotes, and no other interpreter reads the words again.

use super::quoting::{Quoting, Shell, quoting};
use super::unit::{StepOwner, StepUnit};
use super::uses::{self, Remote};
use crate::diagnostic::Edit;
use crate::model::StepKind;
use crate::source::{SourceFile, Span};
use crate::template::{Token, TokenKind};

/// An expression in a script.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    /// With `${{` and `}}`.
    pub(crate) span: Span,
    /// The context, such as `github.event.issue.title`, after which the variable is named.
    pub(crate) source: String,
    /// Whether the value is one word: text that its author wants split into several must not be quoted.
    pub(crate) is_one_word: bool,
}

/// Words behind which the rest of a command is code again.
const INTERPRETERS: [&str; 14] = [
    "eval",
    "-c",
    "-lc",
    "-ec",
    "-e",
    "ssh",
    "xargs",
    "Invoke-Expression",
    "iex",
    "-Command",
    "awk",
    "sed",
    "jq",
    "su",
];

/// The changes that move the expressions for which that is safe; none where there is no such.
pub(crate) fn edits(unit: StepUnit<'_>, file: &SourceFile, moves: &[Move]) -> Vec<Edit> {
    let (script, key) = match &unit.step().kind {
        StepKind::Run { run, .. } => (run.span, run.span),
        StepKind::Uses { uses, with: Some(with) } if is_java_script(&uses.value) => {
            match with.entry("script") {
                Some(script) => (script.value.span, uses.span),
                None => return Vec::new(),
            }
        }
        _ => return Vec::new(),
    };
    if moves.iter().any(|entry| entry.span.start < script.start || entry.span.end > script.end) {
        return Vec::new();
    }
    let Some(text) = plain_text(file, script) else { return Vec::new() };
    let mut variables = Variables { unit, script: text, file, added: Vec::new() };
    let mut edits = match &unit.step().kind {
        StepKind::Run { shell, .. } => match shell_of(unit, shell.as_ref()) {
            Some(shell) => in_shell(shell, script, moves, &mut variables),
            None => Vec::new(),
        },
        _ => in_java_script(script, moves, &mut variables),
    };
    if edits.is_empty() {
        return edits;
    }
    match variables.insertion(key) {
        Insertion::None => edits,
        Insertion::At(edit) => {
            edits.push(edit);
            edits.sort_by_key(|edit| edit.span.start);
            edits
        }
        Insertion::Impossible => Vec::new(),
    }
}

fn is_java_script(uses: &str) -> bool {
    Remote::parse(uses).is_some_and(|remote| remote.is("actions/github-script"))
}

/// The changes of a script for a shell.
fn in_shell(shell: Shell, span: Span, moves: &[Move], variables: &mut Variables<'_>) -> Vec<Edit> {
    let script = variables.script;
    // The quote of the notation is none of the script.
    let first = usize::from(script.starts_with('\''));
    let places: Vec<usize> =
        moves.iter().map(|entry| (entry.span.start - span.start) as usize - first).collect();
    let mut edits = Vec::new();
    for ((entry, quoted), at) in moves.iter().zip(quoting(&script[first..], shell, &places)).zip(places) {
        let at = at + first;
        let expression = variables.file.slice(entry.span);
        let bare = quoted == Quoting::Bare && entry.is_one_word && (at > 0 || script.starts_with('|'));
        if !(bare || quoted == Quoting::Double) || is_read_again(script, at) {
            continue;
        }
        let Some(name) = variables.name(&entry.source, expression) else { continue };
        let behind = script[at + expression.len()..].chars().next();
        edits.push(Edit { span: entry.span, text: expansion(shell, &name, bare, behind) });
    }
    edits
}

/// The changes of a script in JavaScript: where quotes hold an expression and nothing else, both give way to the variable.
fn in_java_script(span: Span, moves: &[Move], variables: &mut Variables<'_>) -> Vec<Edit> {
    let script = variables.script;
    let mut edits = Vec::new();
    for entry in moves {
        let expression = variables.file.slice(entry.span);
        let at = (entry.span.start - span.start) as usize;
        let before = script[..at].chars().next_back();
        let behind = script[at + expression.len()..].chars().next();
        let line = script[..at].rfind('\n').map_or(0, |newline| newline + 1);
        // In a text of another kind of quotes, these would be part of it.
        let is_quoted = matches!(before, Some('\'' | '"')) && before == behind && script.starts_with('|');
        let in_template = script[..at].matches('`').count() % 2 == 1;
        if !is_quoted || in_template || script[line..at - 1].contains(['\'', '"', '/']) {
            continue;
        }
        let Some(name) = variables.name(&entry.source, expression) else { continue };
        let span = Span::new(entry.span.start as usize - 1, entry.span.end as usize + 1);
        edits.push(Edit { span, text: format!("process.env.{name}") });
    }
    edits
}

/// The script as the shell sees it, where the notation of the scalar does not change it: a literal block, or one line
/// that is plain or in single quotes.
fn plain_text(file: &SourceFile, span: Span) -> Option<&str> {
    let text = file.slice(span);
    let plain = match text.chars().next()? {
        '|' => true,
        '>' | '"' => false,
        '\'' => !text.contains('\n') && !text[1..text.len().max(2) - 1].contains("''"),
        _ => !text.contains('\n'),
    };
    plain.then_some(text)
}

/// Whether the command around `at` hands its words to another interpreter.
fn is_read_again(script: &str, at: usize) -> bool {
    let line = script[..at].rfind('\n').map_or(0, |newline| newline + 1);
    // Commands go on over lines that end in a backslash.
    let mut from = line;
    while let Some(before) = script[..from].strip_suffix('\n').map(|text| text.trim_end_matches('\r'))
        && before.ends_with('\\')
    {
        from = before.rfind('\n').map_or(0, |newline| newline + 1);
    }
    let mut words = script[from..at].split([' ', '\t', '\n', '(', '|', ';', '&', '"', '\'', '=']);
    words.any(|word| INTERPRETERS.contains(&word))
}

fn expansion(shell: Shell, name: &str, bare: bool, behind: Option<char>) -> String {
    let continues =
        behind.is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | ':' | '[' | '.'));
    match (shell, bare) {
        (Shell::Posix, true) => format!("\"${name}\""),
        (Shell::Posix, false) if continues => format!("${{{name}}}"),
        (Shell::Posix, false) => format!("${name}"),
        (Shell::PowerShell, _) if continues => format!("${{env:{name}}}"),
        (Shell::PowerShell, _) => format!("$env:{name}"),
    }
}

/// The shell of the step, where it is sure.
fn shell_of(unit: StepUnit<'_>, shell: Option<&Token>) -> Option<Shell> {
    if let Some(shell) = shell {
        return shell.as_str().and_then(named);
    }
    let StepOwner::Job(job, steps) = unit.owner else { return None };
    let defaults = [steps.defaults.as_ref(), job.workflow.workflow.defaults.as_ref()];
    let run = defaults.into_iter().flatten().filter_map(|defaults| defaults.entry("run"));
    if let Some(shell) = run.filter_map(|run| run.value.entry("shell")).next() {
        return shell.value.as_str().and_then(named);
    }
    if steps.container.is_some() {
        return Some(Shell::Posix);
    }
    let runs_on = steps.runs_on.as_ref()?;
    if !runs_on.has_expression() {
        return of_labels(runs_on);
    }
    let matrix = job.job.strategy.as_ref()?.entry("matrix")?;
    if matrix.value.has_expression() { None } else { of_labels(&matrix.value) }
}

fn named(shell: &str) -> Option<Shell> {
    match shell.split([' ', '\t']).next()? {
        "bash" | "sh" => Some(Shell::Posix),
        "pwsh" | "powershell" => Some(Shell::PowerShell),
        _ => None,
    }
}

/// The shell of the machines that the labels in a token name, where they have the same.
fn of_labels(token: &Token) -> Option<Shell> {
    let (mut posix, mut windows) = (false, false);
    each_text(token, &mut |text| {
        let starts =
            |system: &str| text.get(..system.len()).is_some_and(|start| start.eq_ignore_ascii_case(system));
        posix |= ["ubuntu", "macos", "linux"].into_iter().any(starts);
        windows |= starts("windows");
    });
    match (posix, windows) {
        (true, false) => Some(Shell::Posix),
        (false, true) => Some(Shell::PowerShell),
        _ => None,
    }
}

fn each_text(token: &Token, call: &mut dyn FnMut(&str)) {
    match &token.kind {
        TokenKind::String(text) => call(text),
        TokenKind::Sequence(items) => items.iter().for_each(|item| each_text(item, call)),
        TokenKind::Mapping(entries) => entries.iter().for_each(|entry| each_text(&entry.value, call)),
        _ => {}
    }
}

/// Where the variables go.
enum Insertion {
    /// All are there already.
    None,
    At(Edit),
    /// The step's `env` is not written as a block.
    Impossible,
}

/// The variables that the script will expand.
struct Variables<'a> {
    unit: StepUnit<'a>,
    script: &'a str,
    file: &'a SourceFile,
    /// Names and expressions that the step's `env` gets.
    added: Vec<(String, &'a str)>,
}

impl<'a> Variables<'a> {
    /// The variable that has the value of `expression`; none where the expression cannot stand in a plain scalar.
    fn name(&mut self, source: &str, expression: &'a str) -> Option<String> {
        if let Some((name, _)) = self.added.iter().find(|(_, known)| *known == expression) {
            return Some(name.clone());
        }
        let inner = expression.trim_start_matches("${{").trim_end_matches("}}").trim();
        if let Some(variable) = inner.strip_prefix("env.").filter(|name| is_name(name)) {
            return Some(variable.to_owned());
        }
        let written = self.env_entries().iter().find(|entry| self.file.slice(entry.value.span) == expression);
        if let Some(name) = written.and_then(|entry| entry.name()).filter(|name| is_name(name)) {
            return Some(name.to_owned());
        }
        if expression.contains(['\n', '\r']) || expression.contains(": ") || expression.contains(" #") {
            return None;
        }
        let name = self.free(&name_of(source));
        self.added.push((name.clone(), expression));
        Some(name)
    }

    fn env_entries(&self) -> &'a [crate::template::Entry] {
        self.unit.step().env.as_ref().map(Token::entries).unwrap_or_default()
    }

    /// `stem`, with a number where the script or the step's `env` has that name already.
    fn free(&self, stem: &str) -> String {
        let taken = |name: &str| {
            self.script.contains(name)
                || self.added.iter().any(|(known, _)| known == name)
                || self.env_entries().iter().any(|entry| entry.name() == Some(name))
        };
        let mut name = stem.to_owned();
        let mut number = 2;
        while taken(&name) {
            name = format!("{stem}_{number}");
            number += 1;
        }
        name
    }

    /// The change that gives the step's `env` the new variables.
    ///
    /// `main` is the value of the step's `run` or `uses`, before which a new `env` comes.
    fn insertion(&self, main: Span) -> Insertion {
        if self.added.is_empty() {
            return Insertion::None;
        }
        let newline = uses::line_end(self.file, main.start as usize);
        let entries = |indent: usize| -> String {
            let blank = " ".repeat(indent);
            self.added
                .iter()
                .map(|(name, expression)| format!("{name}: {expression}{newline}{blank}"))
                .collect()
        };
        if let Some(env) = &self.unit.step().env {
            // An alias stands for what belongs to others too.
            let step = self.unit.step().span;
            let is_own = step.start <= env.span.start && env.span.end <= step.end;
            let is_block = is_own && !self.file.slice(env.span).starts_with('{');
            let Some(first) = env.entries().first().filter(|_| is_block) else {
                return Insertion::Impossible;
            };
            return match self.indent(first.key_span.start as usize) {
                Some(indent) => Insertion::At(insert(first.key_span.start as usize, entries(indent))),
                None => Insertion::Impossible,
            };
        }
        let start = main.start as usize;
        let line = self.line_start(start);
        let before = &self.file.text()[line..start];
        let key = before.trim_end();
        let indent = key.strip_suffix("run:").or_else(|| key.strip_suffix("uses:"));
        let indent = indent.filter(|indent| indent.chars().all(|character| matches!(character, ' ' | '-')));
        let Some(indent) = indent.map(str::len) else { return Insertion::Impossible };
        let blank = " ".repeat(indent);
        let lines =
            self.added.iter().map(|(name, expression)| format!("{blank}  {name}: {expression}{newline}"));
        let text = format!("env:{newline}{}{blank}", lines.collect::<String>());
        Insertion::At(insert(line + indent, text))
    }

    fn line_start(&self, at: usize) -> usize {
        self.file.text()[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// How far a key is indented that stands first on its line.
    fn indent(&self, at: usize) -> Option<usize> {
        let line = self.line_start(at);
        self.file.text()[line..at].bytes().all(|byte| byte == b' ').then_some(at - line)
    }
}

fn insert(at: usize, text: String) -> Edit {
    Edit { span: Span::new(at, at), text }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
}

/// The name of a variable for a context: `ISSUE_TITLE` for `github.event.issue.title`.
fn name_of(source: &str) -> String {
    if source.eq_ignore_ascii_case("github.token") {
        return "JOB_TOKEN".into();
    }
    let path = source.strip_prefix("github.").unwrap_or(source);
    let path = path.strip_prefix("event.").unwrap_or(path);
    let path = path.strip_prefix("pull_request.").unwrap_or(path);
    let singular = [
        ("inputs.", "input."),
        ("secrets.", "secret."),
        ("steps.", ""),
        ("needs.", ""),
        ("matrix.", "matrix."),
    ];
    let (prefix, rest) = singular
        .iter()
        .find_map(|(prefix, instead)| Some((*instead, path.strip_prefix(prefix)?)))
        .unwrap_or(("", path));
    let words: Vec<String> = format!("{prefix}{rest}")
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && *word != "outputs")
        .map(str::to_ascii_uppercase)
        .collect();
    let name = words.join("_");
    // Names that mean something to shells and programs.
    if ["PATH", "HOME", "USER", "SHELL", "IFS", "PWD", "LANG"].contains(&name.as_str()) {
        return format!("{name}_VALUE");
    }
    let unusable = !is_name(&name) || ["GITHUB_", "RUNNER_"].iter().any(|prefix| name.starts_with(prefix));
    if unusable { format!("VALUE_{name}") } else { name }
}

#[cfg(test)]
mod tests;
