//! Takes the checker through all expressions of a file.

use super::check::{Checked, check_node, extent};
use super::contexts::{FileTypes, Scope, type_of_input};
use super::mistake::{Mistake, MistakeKind};
use super::place::Site;
use super::ty::Type;
use crate::expr::Expr;
use crate::model::{
    Action, ActionRuns, Call, CallSecrets, InputType, Job, JobKind, Step, StepKind, Steps, Workflow,
};
use crate::template::{Entry, Key, Token, TokenKind};

/// What a place makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Anything.
    Value,
    /// A text.
    Text,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// A mapping.
    Object,
    /// Labels of runners.
    Labels,
    /// Whether it is truthy.
    Condition,
}

/// Calls `found` for every mistake in the expressions of a workflow, with the place of the expression.
pub fn workflow(workflow: &Workflow, types: &FileTypes<'_>, found: &mut dyn FnMut(Site<'_>, Mistake)) {
    let mut walk = Walk { found };
    let scope = types.scope();
    walk.token(workflow.run_name.as_ref(), Wanted::Text, &scope);
    for trigger in workflow.on.events.values() {
        trigger.call_inputs.values().for_each(|input| {
            walk.token(input.default.as_ref(), wanted_by(input.kind), &scope);
        });
        trigger.call_outputs.values().for_each(|output| {
            walk.token(Some(&output.value), Wanted::Text, &scope);
        });
    }
    walk.texts(workflow.env.as_ref(), &scope);
    walk.token(workflow.defaults.as_ref(), Wanted::Text, &scope);
    walk.concurrency(workflow.concurrency.as_ref(), &scope);
    for (index, job) in workflow.jobs.iter().enumerate() {
        walk.job(job, index, types);
    }
}

/// Calls `found` for every mistake in the expressions of an action, with the place of the expression.
pub fn action(action: &Action, types: &FileTypes<'_>, found: &mut dyn FnMut(Site<'_>, Mistake)) {
    let mut walk = Walk { found };
    let scope = types.action_scope();
    action.inputs.values().for_each(|input| walk.token(input.default.as_ref(), Wanted::Text, &scope));
    action.outputs.values().for_each(|output| walk.token(output.value.as_ref(), Wanted::Text, &scope));
    match &action.runs {
        ActionRuns::Composite { steps } => {
            for (index, step) in steps.iter().enumerate() {
                walk.step(step, &types.action_step_scope(index));
            }
        }
        ActionRuns::Docker { args, env, .. } => {
            args.iter().for_each(|argument| walk.token(Some(argument), Wanted::Text, &scope));
            walk.texts(env.as_ref(), &scope);
        }
        ActionRuns::Node { .. } | ActionRuns::Plugin { .. } => {}
    }
}

fn wanted_by(kind: InputType) -> Wanted {
    match type_of_input(kind) {
        Type::Bool => Wanted::Boolean,
        Type::Number => Wanted::Number,
        _ => Wanted::Text,
    }
}

struct Walk<'f> {
    found: &'f mut dyn FnMut(Site<'_>, Mistake),
}

impl Walk<'_> {
    fn job(&mut self, job: &Job, index: usize, types: &FileTypes<'_>) {
        let scope = types.job_scope(index);
        self.token(job.name.as_ref(), Wanted::Text, &scope);
        self.condition(&job.condition, job.written_condition.as_ref(), &scope);
        self.strategy(job.strategy.as_ref(), &scope);
        self.concurrency(job.concurrency.as_ref(), &scope);
        match &job.kind {
            JobKind::Call(call) => self.call(call, &scope),
            JobKind::Steps(steps) => {
                self.keys_of_steps(steps, &scope);
                for (place, step) in steps.steps.iter().enumerate() {
                    self.step(step, &types.step_scope(index, place));
                }
            }
        }
    }

    fn keys_of_steps(&mut self, steps: &Steps, scope: &Scope<'_>) {
        self.labels(steps.runs_on.as_ref(), scope);
        self.texts(steps.env.as_ref(), scope);
        self.token(steps.defaults.as_ref(), Wanted::Text, scope);
        self.texts(steps.outputs.as_ref(), scope);
        self.environment(steps.environment.as_ref(), scope);
        self.container(steps.container.as_ref(), scope);
        self.each(steps.services.as_ref(), Wanted::Object, scope, |walk, _, service| {
            walk.container(Some(service), scope);
        });
        self.snapshot(steps.snapshot.as_ref(), scope);
        self.token(steps.continue_on_error.as_ref(), Wanted::Boolean, scope);
        self.token(steps.timeout_minutes.as_ref(), Wanted::Number, scope);
        self.token(steps.cancel_timeout_minutes.as_ref(), Wanted::Number, scope);
    }

    fn call(&mut self, call: &Call, scope: &Scope<'_>) {
        let called = call.workflow.as_ref().and_then(|called| called.on.events.get("workflow_call"));
        self.each(call.with.as_ref(), Wanted::Object, scope, |walk, name, value| {
            let inputs = called.map(|called| &called.call_inputs);
            let input = inputs.and_then(|inputs| {
                inputs.iter().find(|(known, _)| name.is_some_and(|name| name.eq_ignore_ascii_case(known)))
            });
            let wanted = input.map_or(Wanted::Value, |(_, input)| wanted_by(input.kind));
            walk.token(Some(value), wanted, scope);
        });
        if let CallSecrets::Map(secrets) = &call.secrets {
            self.texts(Some(secrets), scope);
        }
    }

    fn step(&mut self, step: &Step, scope: &Scope<'_>) {
        self.token(step.name.as_ref(), Wanted::Text, scope);
        self.condition(&step.condition, step.written_condition.as_ref(), scope);
        self.texts(step.env.as_ref(), scope);
        self.token(step.continue_on_error.as_ref(), Wanted::Boolean, scope);
        self.token(step.timeout_minutes.as_ref(), Wanted::Number, scope);
        match &step.kind {
            StepKind::Run { run, shell, working_directory } => {
                self.token(Some(run), Wanted::Text, scope);
                self.token(shell.as_ref(), Wanted::Text, scope);
                self.token(working_directory.as_ref(), Wanted::Text, scope);
            }
            StepKind::Uses { with, .. } => self.texts(with.as_ref(), scope),
            StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => {}
        }
    }

    fn strategy(&mut self, strategy: Option<&Token>, scope: &Scope<'_>) {
        let in_matrix = scope.inside_matrix();
        self.each(strategy, Wanted::Object, scope, |walk, name, value| match name {
            Some("fail-fast") => walk.token(Some(value), Wanted::Boolean, scope),
            Some("max-parallel") => walk.token(Some(value), Wanted::Number, scope),
            Some("matrix") if value.is_expression() => walk.token(Some(value), Wanted::Object, &in_matrix),
            _ => walk.token(Some(value), Wanted::Value, &in_matrix),
        });
    }

    fn concurrency(&mut self, concurrency: Option<&Token>, scope: &Scope<'_>) {
        self.each(concurrency, Wanted::Value, scope, |walk, name, value| {
            let wanted = if name == Some("cancel-in-progress") { Wanted::Boolean } else { Wanted::Text };
            walk.token(Some(value), wanted, scope);
        });
    }

    fn environment(&mut self, environment: Option<&Token>, scope: &Scope<'_>) {
        self.each(environment, Wanted::Value, scope, |walk, name, value| {
            let wanted = if name == Some("deployment") { Wanted::Boolean } else { Wanted::Text };
            walk.token(Some(value), wanted, scope);
        });
    }

    fn container(&mut self, container: Option<&Token>, scope: &Scope<'_>) {
        self.each(container, Wanted::Value, scope, |walk, name, value| match name {
            Some("env" | "credentials") => walk.texts(Some(value), scope),
            Some("ports" | "volumes") if value.is_expression() => {
                walk.token(Some(value), Wanted::Value, scope);
            }
            _ => walk.token(Some(value), Wanted::Text, scope),
        });
    }

    fn snapshot(&mut self, snapshot: Option<&Token>, scope: &Scope<'_>) {
        self.each(snapshot, Wanted::Text, scope, |walk, name, value| {
            // Its condition is not kept as one.
            let wanted = if name == Some("if") { Wanted::Value } else { Wanted::Text };
            walk.token(Some(value), wanted, scope);
        });
    }

    fn labels(&mut self, runs_on: Option<&Token>, scope: &Scope<'_>) {
        let Some(runs_on) = runs_on else { return };
        match &runs_on.kind {
            TokenKind::Mapping(_) => self.each(Some(runs_on), Wanted::Labels, scope, |walk, _, value| {
                let wanted = if value.is_expression() { Wanted::Value } else { Wanted::Text };
                walk.token(Some(value), wanted, scope);
            }),
            TokenKind::Sequence(_) => self.token(Some(runs_on), Wanted::Text, scope),
            _ => self.token(Some(runs_on), Wanted::Labels, scope),
        }
    }

    /// A mapping of texts.
    fn texts(&mut self, mapping: Option<&Token>, scope: &Scope<'_>) {
        self.each(mapping, Wanted::Object, scope, |walk, _, value| {
            walk.token(Some(value), Wanted::Text, scope);
        });
    }

    /// Each entry of a mapping by its name; a value that is none is `wanted` as a whole.
    fn each(
        &mut self,
        mapping: Option<&Token>,
        wanted: Wanted,
        scope: &Scope<'_>,
        mut entry: impl FnMut(&mut Self, Option<&str>, &Token),
    ) {
        let Some(token) = mapping else { return };
        let TokenKind::Mapping(entries) = &token.kind else { return self.token(Some(token), wanted, scope) };
        for part in entries.iter() {
            self.key(part, scope);
            entry(self, part.name(), &part.value);
        }
    }

    fn key(&mut self, entry: &Entry, scope: &Scope<'_>) {
        if let Key::Expression(expression) = &entry.key {
            let site = Site { expression, span: entry.key_span, condition: None };
            self.expression(site, Wanted::Text, scope);
        }
    }

    fn token(&mut self, token: Option<&Token>, wanted: Wanted, scope: &Scope<'_>) {
        let Some(token) = token else { return };
        match &token.kind {
            TokenKind::Expression(expression) => {
                self.expression(Site { expression, span: token.span, condition: None }, wanted, scope);
            }
            TokenKind::Sequence(items) => {
                items.iter().for_each(|item| self.token(Some(item), wanted, scope));
            }
            TokenKind::Mapping(entries) => {
                for entry in entries.iter() {
                    self.key(entry, scope);
                    self.token(Some(&entry.value), wanted, scope);
                }
            }
            TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String(_) => {}
        }
    }

    fn condition(&mut self, condition: &Expr, written: Option<&Token>, scope: &Scope<'_>) {
        if let Some(written) = written {
            let site = Site { expression: condition, span: written.span, condition: Some(written) };
            self.expression(site, Wanted::Condition, scope);
        }
    }

    fn expression(&mut self, site: Site<'_>, wanted: Wanted, scope: &Scope<'_>) {
        let is_text = site.is_text();
        for part in site.written() {
            let Checked { ty, mistakes } = check_node(part, scope);
            mistakes.into_iter().for_each(|mistake| (self.found)(site, mistake));
            let wanted = if is_text { Wanted::Text } else { wanted };
            if let Some(kind) = mismatch(&ty, wanted) {
                let (offset, length) = extent(part);
                (self.found)(site, Mistake { kind, offset, length });
            }
        }
    }
}

/// What is wrong with a value of this type where something is wanted.
fn mismatch(ty: &Type, wanted: Wanted) -> Option<MistakeKind> {
    let unexpected = |expected| Some(MistakeKind::Unexpected { found: ty.clone(), expected });
    match (wanted, ty) {
        (_, Type::Any) | (Wanted::Value | Wanted::Condition, _) => None,
        (Wanted::Text, Type::Null) => Some(MistakeKind::InText { found: Type::Null }),
        (Wanted::Text, _) if ty.is_scalar_or_any() => None,
        (Wanted::Text, _) => Some(MistakeKind::InText { found: ty.clone() }),
        (Wanted::Boolean, Type::Bool)
        | (Wanted::Number, Type::Number)
        | (Wanted::Object, Type::Object(_)) => None,
        (Wanted::Boolean, _) => unexpected("a boolean"),
        (Wanted::Number, _) => unexpected("a number"),
        (Wanted::Object, _) => unexpected("an object"),
        (Wanted::Labels, Type::Object(object)) => {
            let fits = object.property("group").or_else(|| object.property("labels")).is_some();
            if fits { None } else { unexpected("a text or a list of texts") }
        }
        (Wanted::Labels, Type::Null | Type::Bool | Type::Number) => unexpected("a text or a list of texts"),
        (Wanted::Labels, _) => None,
    }
}
