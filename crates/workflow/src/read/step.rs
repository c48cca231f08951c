//! Steps of jobs and of composite actions.

use super::condition::{self, Condition};
use super::identifier::{Identifiers, stem_of_uses};
use super::report::{Report, quoted};
use super::text_of;
use crate::model::{Step, StepKind};
use crate::schema::Allowed;
use crate::source::{Span, Spanned};
use crate::template::{Token, TokenKind};

/// Reads the sequence `steps`; `condition` is what the steps' `if` may use.
pub(crate) fn read(steps: &Token, condition: Allowed, report: &mut Report<'_>) -> Vec<Step> {
    let items = steps.items();
    let mut reader = Steps {
        ids: Identifiers::with_capacity(items.len()),
        condition,
        read: Vec::with_capacity(items.len()),
        report,
    };
    for step in items {
        reader.step(step, false);
    }
    reader.generate_ids();
    reader.read
}

struct Steps<'r, 'f> {
    /// The ids of the steps read so far.
    ids: Identifiers,
    condition: Allowed,
    read: Vec<Step>,
    report: &'r mut Report<'f>,
}

impl Steps<'_, '_> {
    /// Reads one step; inside `parallel` it runs in the background.
    fn step(&mut self, token: &Token, in_parallel: bool) {
        if let Some(parallel) = token.entry("parallel") {
            self.parallel(&parallel.value, token.span, in_parallel);
            return;
        }
        let id = token.entry("id").and_then(|entry| text_of(&entry.value));
        if let Some(id) = id.as_ref().filter(|id| !id.value.is_empty())
            && let Err(message) = self.ids.take(&id.value)
        {
            self.report.error(id.span, "step-id", message);
        }
        let Some(kind) = self.kind(token, id.as_ref()) else { return };
        if in_parallel {
            self.check_parallel(token, &kind);
        }
        let part = |name| token.entry(name).map(|entry| entry.value.clone());
        let condition = match token.entry("if") {
            Some(entry) => condition::read(&entry.value, self.condition, Condition::Status, self.report),
            None => condition::success(),
        };
        let background = if in_parallel {
            Some(Token { kind: TokenKind::Bool(true), span: token.span })
        } else {
            part("background")
        };
        self.read.push(Step {
            id: id.map(|id| id.value).unwrap_or_default(),
            generated_id: false,
            name: part("name").or_else(|| default_name(&kind, token.span)),
            condition,
            written_condition: part("if"),
            env: part("env"),
            continue_on_error: part("continue-on-error"),
            timeout_minutes: part("timeout-minutes"),
            background,
            kind,
            span: token.span,
        });
    }

    /// What the step does; `None` where that part of it was refused.
    fn kind(&mut self, token: &Token, id: Option<&Spanned<String>>) -> Option<StepKind> {
        let part = |name| token.entry(name).map(|entry| entry.value.clone());
        if let Some(run) = part("run") {
            let (shell, working_directory) = (part("shell"), part("working-directory"));
            return Some(StepKind::Run { run, shell, working_directory });
        }
        if let Some(uses) = token.entry("uses").and_then(|entry| text_of(&entry.value)) {
            self.check_uses(&uses);
            return Some(StepKind::Uses { uses, with: part("with") });
        }
        if let Some(wait) = token.entry("wait") {
            return Some(StepKind::Wait { steps: self.targets(&wait.value, id) });
        }
        if let Some(wait) = token.entry("wait-all") {
            if matches!(wait.value.kind, TokenKind::Bool(false)) {
                let message = "The value of 'wait-all' must be true or omitted";
                self.report.error(wait.value.span, "unexpected-value", message);
            }
            return Some(StepKind::WaitAll);
        }
        let cancel = token.entry("cancel")?;
        Some(StepKind::Cancel { steps: self.targets(&cancel.value, id) })
    }

    /// The ids of earlier steps that a `wait` or `cancel` names.
    fn targets(&mut self, token: &Token, own: Option<&Spanned<String>>) -> Vec<Spanned<String>> {
        let targets: Vec<_> = match &token.kind {
            TokenKind::Sequence(items) => items.iter().filter_map(text_of).collect(),
            _ => text_of(token).into_iter().collect(),
        };
        for target in &targets {
            let name = quoted(&target.value);
            let message = if target.value.starts_with("__") {
                format!("The identifier {name} is invalid. IDs starting with '__' are reserved.")
            } else if own.is_some_and(|own| own.value.eq_ignore_ascii_case(&target.value)) {
                format!("Step {name} cannot reference itself")
            } else if !self.ids.has(&target.value) {
                format!("Step references unknown step ID {name}")
            } else {
                continue;
            };
            self.report.error(target.span, "unknown-step", message);
        }
        targets
    }

    /// A block of parallel steps: they start in the background, and a step behind them waits for all of them.
    fn parallel(&mut self, steps: &Token, span: Span, in_parallel: bool) {
        if in_parallel {
            self.report.error(span, "parallel-step", "Nested 'parallel' blocks are not allowed.");
            return;
        }
        let first = self.read.len();
        for step in steps.items() {
            self.step(step, true);
        }
        let mut targets = Vec::new();
        for step in &mut self.read[first..] {
            if step.id.is_empty() {
                step.id = self.ids.generate(&stem(&step.kind));
                step.generated_id = true;
            }
            targets.push(Spanned { value: step.id.clone(), span: step.span });
        }
        let name = Token { kind: TokenKind::String("Parallel group".into()), span };
        self.read.push(Step {
            id: self.ids.generate("parallel"),
            generated_id: true,
            name: Some(name),
            condition: condition::success(),
            written_condition: None,
            env: None,
            continue_on_error: None,
            timeout_minutes: None,
            background: None,
            kind: StepKind::Wait { steps: targets },
            span,
        });
    }

    fn check_parallel(&mut self, token: &Token, kind: &StepKind) {
        let key = match kind {
            StepKind::Wait { .. } => "wait",
            StepKind::WaitAll => "wait-all",
            StepKind::Cancel { .. } => "cancel",
            StepKind::Run { .. } | StepKind::Uses { .. } if token.entry("background").is_some() => {
                "background"
            }
            StepKind::Run { .. } | StepKind::Uses { .. } => return,
        };
        let message = format!("'{key}' is not allowed inside a parallel block.");
        self.report.error(token.span, "parallel-step", message);
    }

    /// `docker://…`, `./…`, `$/…` or `owner/repository[/path]@ref`.
    fn check_uses(&mut self, uses: &Spanned<String>) {
        let text = &uses.value;
        if ["docker://", "./", ".\\", "$/"].iter().any(|prefix| text.starts_with(prefix)) {
            return;
        }
        let valid = text.split_once('@').is_some_and(|(location, version)| {
            segments_of(location).filter(|segment| !segment.is_empty()).count() >= 2
                && !version.is_empty()
                && !version.contains('@')
        });
        let mut segments = segments_of(text).skip(2);
        if self.report.is_for_author()
            && segments.next() == Some(b".github")
            && segments.next() == Some(b"workflows")
        {
            let message = "Reusable workflows should be referenced at the top-level `jobs.<job_id>.uses` key, not within steps";
            self.report.error(uses.span, "uses-format", message);
        }
        if !valid {
            let message = format!("Expected format {{org}}/{{repo}}[/path]@ref. Actual {}", quoted(text));
            let diagnostic = self.report.describe(uses.span, "uses-format", message);
            let help = "an action of this repository is written `./path`, an image `docker://image`";
            self.report.push(diagnostic.with_help(help));
        }
    }

    /// Steps without an id get one that no author's id collides with.
    fn generate_ids(&mut self) {
        for step in self.read.iter_mut().filter(|step| step.id.is_empty()) {
            step.id = self.ids.generate(&stem(&step.kind));
            step.generated_id = true;
        }
    }
}

/// What stands between the slashes of a path.
fn segments_of(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| matches!(byte, b'/' | b'\\'))
}

fn stem(kind: &StepKind) -> String {
    match kind {
        StepKind::Run { .. } => "run".into(),
        StepKind::Uses { uses, .. } => stem_of_uses(&uses.value),
        StepKind::Wait { .. } => "wait".into(),
        StepKind::WaitAll => "wait-all".into(),
        StepKind::Cancel { .. } => "cancel".into(),
    }
}

fn default_name(kind: &StepKind, span: Span) -> Option<Token> {
    let name = match kind {
        StepKind::Run { .. } | StepKind::Uses { .. } => return None,
        StepKind::Wait { .. } => "Wait",
        StepKind::WaitAll => "Wait for all",
        StepKind::Cancel { .. } => "Cancel",
    };
    Some(Token { kind: TokenKind::String(name.into()), span })
}
