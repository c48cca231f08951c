//! The ways by which values that others choose reach an expression: through `env`, outputs of steps and jobs, inputs and
//! the matrix.
//!
//! What cannot be seen in the file says nothing: a value that a command computed, or that another repository's action
//! gives, is taken as harmless unless it is known not to be. The work for one file is bounded by its [`Budget`].

use std::cell::Cell;

use indexmap::IndexMap;

use super::script::{self, Write};
use super::unit::{JobUnit, StepOwner, StepUnit};
use super::untrusted::{self, Origin, Untrusted};
use super::uses::Remote;
use super::{nodes, outputs, raw};
use crate::expr::{Expr, Function, Node, NodeKind, Segment};
use crate::model::{Action, InputType, Job, JobKind, Step, StepKind, Workflow};
use crate::source::{SourceFile, Span, Spanned};
use crate::template::{Token, TokenKind};

/// The most hops that are followed.
const MAX_HOPS: usize = 8;
/// The most steps of work for one file: entries and lines that are looked at.
const MAX_WORK: usize = 200_000;

/// The work that is left for one file.
#[derive(Debug)]
pub(crate) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_WORK))
    }
}

impl Budget {
    /// Takes work; false where too little is left.
    fn take(&self, work: usize) -> bool {
        let left = self.0.get().checked_sub(work);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// A value that others choose, with the way that it takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taint {
    /// The context, such as `github.event.issue.title`.
    pub(crate) source: String,
    /// Who chooses it, and what it can be.
    pub(crate) value: Untrusted,
    /// From the place where it is read on.
    pub(crate) way: Vec<Hop>,
}

/// A place where a value passes into another name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hop {
    /// The new name, such as `env.TITLE`.
    pub(crate) name: String,
    /// Where; none in another file.
    pub(crate) span: Option<Span>,
}

/// A name into which a value passes.
#[derive(Clone, Copy)]
enum Name<'a> {
    /// The context and the entry.
    Entry(&'a str, &'a str),
    /// The context, the step or job, and the output.
    Output(&'a str, &'a str, &'a str),
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry(context, name) => write!(f, "{context}.{name}"),
            Self::Output(context, of, name) => write!(f, "{context}.{of}.outputs.{name}"),
        }
    }
}

/// What an expression can see.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The file; none where the workflow is one that the file calls.
    file: Option<&'a SourceFile>,
    workflow: Option<&'a Workflow>,
    action: Option<&'a Action>,
    job: Option<&'a Job>,
    /// The steps that ran before.
    steps: &'a [Step],
    /// The step whose own `env` is seen.
    step: Option<&'a Step>,
    budget: &'a Budget,
    hops: usize,
    /// Whether inputs count: those of a called workflow do where it is read for itself.
    inputs_count: bool,
}

impl<'a> Scope<'a> {
    /// What the keys of a step see, its `env` excepted.
    pub(crate) fn of_step(unit: StepUnit<'a>, file: &'a SourceFile, budget: &'a Budget) -> Self {
        let (workflow, action, job) = match unit.owner {
            StepOwner::Job(job, _) => (Some(job.workflow.workflow), None, Some(job.job)),
            StepOwner::Action(action) => (None, Some(action.action), None),
        };
        let (steps, step) = (unit.earlier(), Some(unit.step()));
        let file = Some(file);
        Self { file, workflow, action, job, steps, step, budget, hops: 0, inputs_count: true }
    }

    /// What the keys of a job see.
    pub(crate) fn of_job(unit: JobUnit<'a>, file: &'a SourceFile, budget: &'a Budget) -> Self {
        let (workflow, job) = (Some(unit.workflow.workflow), Some(unit.job));
        let (file, steps) = (Some(file), [].as_slice());
        Self { file, workflow, action: None, job, steps, step: None, budget, hops: 0, inputs_count: true }
    }

    /// What the keys of a step in a called workflow see, whose text is not at hand.
    pub(crate) fn of_called(
        workflow: &'a Workflow,
        job: &'a Job,
        steps: &'a [Step],
        step: &'a Step,
        budget: &'a Budget,
    ) -> Self {
        let (workflow, job, step) = (Some(workflow), Some(job), Some(step));
        Self { file: None, workflow, action: None, job, steps, step, budget, hops: 0, inputs_count: true }
    }

    /// What the keys of a step in an action see, whose text is not at hand.
    pub(crate) fn of_used(action: &'a Action, steps: &'a [Step], step: &'a Step, budget: &'a Budget) -> Self {
        let (action, step) = (Some(action), Some(step));
        Self {
            file: None,
            workflow: None,
            action,
            job: None,
            steps,
            step,
            budget,
            hops: 0,
            inputs_count: true,
        }
    }

    /// The values of others in what the expression gives.
    pub(crate) fn trace(self, expression: &Expr) -> Vec<Taint> {
        let mut found = Vec::new();
        if let Some(root) = expression.root() {
            self.node(root, false, &mut found);
        }
        found
    }

    /// The values of others in what a script of the step writes.
    pub(crate) fn trace_write(self, script: &str, span: Span, write: &Write<'_>) -> Vec<Taint> {
        let mut found = Vec::new();
        self.text(script, span, write, &mut found);
        found
    }

    /// The value of a mapping's entry; names are compared without regard to case, as expressions do.
    fn entry<'t>(self, mapping: Option<&'t Token>, name: &str) -> Option<&'t Token> {
        let entries = mapping?.entries();
        if !self.budget.take(1 + entries.len() / 16) {
            return None;
        }
        let is_named = |known: &str| known.eq_ignore_ascii_case(name);
        entries.iter().find(|entry| entry.name().is_some_and(is_named)).map(|entry| &entry.value)
    }

    fn deeper(self) -> Option<Self> {
        (self.hops < MAX_HOPS).then(|| Self { hops: self.hops + 1, ..self })
    }

    fn node(self, node: Node<'_>, as_json: bool, found: &mut Vec<Taint>) {
        match node.kind() {
            NodeKind::Context(name) => self.reference(name, &[], as_json, found),
            NodeKind::Index(..) => {
                let (base, path) = nodes::unwind(node);
                match base.kind() {
                    NodeKind::Context(name) => self.reference(name, &path, as_json, found),
                    _ => self.node(base, as_json, found),
                }
            }
            NodeKind::Call(function, arguments) => match function {
                Function::ToJson => arguments.for_each(|argument| self.node(argument, true, found)),
                Function::Format | Function::Join | Function::FromJson => {
                    arguments.for_each(|argument| self.node(argument, as_json, found));
                }
                // Pairs of a condition and a value, then a value.
                Function::Case => {
                    let last = arguments.len().saturating_sub(1);
                    let values = arguments.enumerate().filter(|(index, _)| index % 2 == 1 || *index == last);
                    values.for_each(|(_, value)| self.node(value, as_json, found));
                }
                _ => {}
            },
            // The others are its value only where they are empty, false or zero.
            NodeKind::And(mut operands) => {
                if let Some(last) = operands.next_back() {
                    self.node(last, as_json, found);
                }
            }
            NodeKind::Or(operands) => operands.for_each(|operand| self.node(operand, as_json, found)),
            _ => {}
        }
    }

    fn reference(self, context: &str, path: &[Segment<'_>], as_json: bool, found: &mut Vec<Taint>) {
        if !self.budget.take(1) {
            return;
        }
        let name = |index: usize| match path.get(index) {
            Some(Segment::Name(name)) => Some(*name),
            _ => None,
        };
        let is = |known: &str| context.eq_ignore_ascii_case(known);
        if is("github") {
            self.github(context, path, as_json, found);
        } else if is("env") {
            self.named(name(0), found, |scope, name, found| scope.env(name, found));
        } else if is("inputs") {
            self.named(name(0), found, |scope, name, found| scope.input("inputs", name, found));
        } else if is("matrix") {
            self.named(name(0), found, |scope, name, found| scope.matrix(name, found));
        } else if let (Some(of), Some("outputs"), Some(output)) = (name(0), name(1), name(2)) {
            let Some(scope) = self.deeper() else { return };
            if is("steps") {
                scope.step_output(of, output, found);
            } else if is("needs") || is("jobs") {
                scope.job_output(of, output, found);
            }
        }
    }

    fn named(self, name: Option<&str>, found: &mut Vec<Taint>, look: impl Fn(Self, &str, &mut Vec<Taint>)) {
        if let (Some(name), Some(scope)) = (name, self.deeper()) {
            look(scope, name, found);
        }
    }

    fn github(self, context: &str, path: &[Segment<'_>], as_json: bool, found: &mut Vec<Taint>) {
        if let [Segment::Name(event), Segment::Name(inputs), Segment::Name(name)] = path
            && event.eq_ignore_ascii_case("event")
            && inputs.eq_ignore_ascii_case("inputs")
        {
            return self.input("github.event.inputs", name, found);
        }
        let refs_are_free = || self.workflow.is_some_and(refs_are_free);
        if let Some(value) = untrusted::of_github(path, as_json, refs_are_free) {
            let path: String = path.iter().map(ToString::to_string).collect();
            add(found, Taint { source: format!("{context}{path}"), value, way: Vec::new() });
        }
    }

    /// A variable: of the step, written by an earlier step, of the job, of the workflow.
    fn env(self, name: &str, found: &mut Vec<Taint>) {
        let without_step = Self { step: None, ..self };
        if let Some(value) = self.step.and_then(|step| self.entry(step.env.as_ref(), name)) {
            return without_step.token(value, Name::Entry("env", name), found);
        }
        if self.written(self.steps, "GITHUB_ENV", name, Name::Entry("env", name), found) {
            return;
        }
        let job = self.job.and_then(|job| match &job.kind {
            JobKind::Steps(kind) => self.entry(kind.env.as_ref(), name),
            JobKind::Call(_) => None,
        });
        let of_workflow = || self.workflow.and_then(|workflow| self.entry(workflow.env.as_ref(), name));
        if let Some(value) = job.or_else(of_workflow) {
            Self { steps: &[], ..without_step }.token(value, Name::Entry("env", name), found);
        }
    }

    /// A value that passes into a name.
    fn token(self, value: &Token, name: Name<'_>, found: &mut Vec<Taint>) {
        if let TokenKind::Expression(expression) = &value.kind
            && let Some(root) = expression.root()
        {
            let from = found.len();
            self.node(root, false, found);
            self.pass(found, from, name, value.span);
        }
    }

    /// Adds a hop to what was found since `from`.
    fn pass(self, found: &mut [Taint], from: usize, name: Name<'_>, span: Span) {
        let span = self.file.map(|_| span);
        for taint in &mut found[from..] {
            taint.way.push(Hop { name: name.to_string(), span });
        }
    }

    fn input(self, context: &str, name: &str, found: &mut Vec<Taint>) {
        if !self.inputs_count {
            return;
        }
        let Some(origin) = self.origin_of_input(name) else { return };
        let value = Untrusted { origin, multiline: true };
        add(found, Taint { source: format!("{context}.{name}"), value, way: Vec::new() });
    }

    /// Who chooses an input that can hold any text.
    fn origin_of_input(self, name: &str) -> Option<Origin> {
        if self.action.is_some_and(|action| named(&action.inputs, name).is_some()) {
            return Some(Origin::Callers);
        }
        let events = &self.workflow?.on.events;
        let is_text = |kind| matches!(kind, InputType::String | InputType::Environment);
        let called = events.get("workflow_call").and_then(|event| named(&event.call_inputs, name));
        if called.is_some_and(|input| is_text(input.kind)) {
            return Some(Origin::Callers);
        }
        let dispatched =
            events.get("workflow_dispatch").and_then(|event| named(&event.dispatch_inputs, name));
        dispatched.filter(|input| is_text(input.kind)).map(|_| Origin::Writers)
    }

    fn matrix(self, name: &str, found: &mut Vec<Taint>) {
        let strategy = self.job.and_then(|job| job.strategy.as_ref());
        let Some(matrix) = strategy.and_then(|strategy| self.entry(Some(strategy), "matrix")) else { return };
        let scope = Self { steps: &[], step: None, ..self };
        let values = if matrix.is_expression() { Some(matrix) } else { self.entry(Some(matrix), name) };
        let include = self.entry(Some(matrix), "include");
        let included = include.filter(|include| include.is_expression());
        let legs = include
            .map(Token::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|leg| self.entry(Some(leg), name));
        for value in values.into_iter().chain(included).chain(legs) {
            scope.tokens(value, Name::Entry("matrix", name), found);
        }
    }

    fn tokens(self, value: &Token, name: Name<'_>, found: &mut Vec<Taint>) {
        if !self.budget.take(1) {
            return;
        }
        match &value.kind {
            TokenKind::Sequence(items) => items.iter().for_each(|item| self.tokens(item, name, found)),
            TokenKind::Mapping(entries) => {
                entries.iter().for_each(|entry| self.tokens(&entry.value, name, found));
            }
            _ => self.token(value, name, found),
        }
    }

    fn job_output(self, id: &str, output: &str, found: &mut Vec<Taint>) {
        let Some(job) = self.workflow.and_then(|workflow| workflow.job(id)) else { return };
        let name = Name::Output("needs", id, output);
        match &job.kind {
            JobKind::Steps(kind) => {
                if let Some(value) = self.entry(kind.outputs.as_ref(), output) {
                    let scope = Self { job: Some(job), steps: &kind.steps, step: None, ..self };
                    scope.token(value, name, found);
                }
            }
            JobKind::Call(call) => {
                let Some(called) = &call.workflow else { return };
                let events = &called.on.events;
                let outputs = events.get("workflow_call").map(|trigger| &trigger.call_outputs);
                let Some(value) = outputs.and_then(|outputs| outputs.get(output)) else { return };
                let from = found.len();
                let scope =
                    Self { file: None, workflow: Some(called), job: None, steps: &[], step: None, ..self };
                scope.token(&value.value, name, found);
                self.pass(found, from, name, call.uses.span);
            }
        }
    }

    fn step_output(self, id: &str, output: &str, found: &mut Vec<Taint>) {
        if !self.budget.take(self.steps.len()) {
            return;
        }
        let Some(index) = self.steps.iter().position(|step| step.id.eq_ignore_ascii_case(id)) else { return };
        let name = Name::Output("steps", id, output);
        match &self.steps[index].kind {
            StepKind::Run { .. } => {
                self.written(&self.steps[..=index], "GITHUB_OUTPUT", output, name, found);
            }
            StepKind::Uses { uses, with } => {
                let Some(remote) = Remote::parse(&uses.value) else { return };
                let from = found.len();
                if let Some(value) = outputs::of_action(&remote, output) {
                    add(found, Taint { source: name.to_string(), value, way: Vec::new() });
                } else if remote.is("actions/github-script")
                    && let Some(script) = with.as_ref().and_then(|with| self.entry(Some(with), "script"))
                    && let Some(file) = self.file
                    && let Some((source, value)) = outputs::of_github_script(file.slice(script.span), output)
                {
                    add(found, Taint { source, value, way: Vec::new() });
                }
                self.pass(found, from, name, uses.span);
            }
            StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => {}
        }
    }

    /// The values that the last of `steps` which visibly writes `name` gives it. For an output only the very last step
    /// counts. Whether there is such a step.
    fn written(
        self,
        steps: &'a [Step],
        file: &str,
        name: &str,
        as_name: Name<'_>,
        found: &mut Vec<Taint>,
    ) -> bool {
        let Some(source) = self.file else { return false };
        let newest = if file == "GITHUB_OUTPUT" { steps.len().saturating_sub(1) } else { 0 };
        for (index, step) in steps.iter().enumerate().skip(newest).rev() {
            let StepKind::Run { run, .. } = &step.kind else { continue };
            let text = source.slice(run.span);
            if !self.budget.take(1 + text.len() / 64) {
                return false;
            }
            let writes = script::writes(text, file);
            let mut writes = writes.iter().filter(|write| write.name.eq_ignore_ascii_case(name)).peekable();
            if writes.peek().is_none() {
                continue;
            }
            let scope = Self { steps: &steps[..index], step: Some(step), ..self };
            for write in writes {
                let from = found.len();
                scope.text(text, run.span, write, found);
                let start = run.span.start as usize;
                let span = Span::new(start + write.value.start, start + write.value.end);
                self.pass(found, from, as_name, span);
            }
            return true;
        }
        false
    }

    /// The values of others in a part of a script.
    fn text(self, script: &str, span: Span, write: &Write<'_>, found: &mut Vec<Taint>) {
        let (Some(scope), Some(file)) = (self.deeper(), self.file) else { return };
        let value = &script[write.value.clone()];
        if !self.budget.take(1 + value.len() / 64) {
            return;
        }
        if value.contains("${{") {
            let start = span.start as usize;
            let place = Span::new(start + write.value.start, start + write.value.end);
            for raw in raw::expressions(file, place) {
                if let Some(root) = raw.expression.root() {
                    scope.node(root, false, found);
                }
            }
        }
        for variable in script::variables(value) {
            scope.variable(script, variable.name, write.value.start, found);
        }
    }

    /// A variable of a script at `offset`.
    fn variable(self, script: &str, name: &str, offset: usize, found: &mut Vec<Taint>) {
        let Some(scope) = self.deeper() else { return };
        if !self.budget.take(1 + offset / 64) {
            return;
        }
        if let Some(value) = script::assigned(script, name, offset) {
            let Some(step) = self.step else { return };
            let StepKind::Run { run, .. } = &step.kind else { return };
            scope.text(script, run.span, &Write { name, value, delimiter: None }, found);
        } else if name == "GITHUB_HEAD_REF" {
            let value = Untrusted { origin: Origin::Strangers, multiline: false };
            add(found, Taint { source: "GITHUB_HEAD_REF".into(), value, way: Vec::new() });
        } else {
            scope.env(name, found);
        }
    }
}

fn add(found: &mut Vec<Taint>, taint: Taint) {
    if found.iter().all(|known| known.source != taint.source) {
        found.push(taint);
    }
}

/// The value under a name, without regard to case.
fn named<'a, T>(map: &'a IndexMap<String, T>, name: &str) -> Option<&'a T> {
    map.get(name)
        .or_else(|| map.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Characters of a pattern that stand for others.
const WILDCARDS: [char; 5] = ['*', '?', '+', '[', '!'];

/// Whether people who may push choose the name of the branch or tag for which the workflow runs.
fn refs_are_free(workflow: &Workflow) -> bool {
    workflow.on.events.iter().any(|(event, trigger)| match event.as_str() {
        "push" => {
            let fixed = |patterns: &Option<Vec<_>>| {
                patterns.as_ref().is_none_or(|patterns: &Vec<Spanned<String>>| {
                    patterns.iter().all(|pattern| !pattern.value.contains(WILDCARDS))
                })
            };
            let named = trigger.branches.is_some() || trigger.tags.is_some();
            !(named && fixed(&trigger.branches) && fixed(&trigger.tags))
        }
        "create" | "delete" | "release" | "workflow_call" | "workflow_dispatch" | "deployment" => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests;
