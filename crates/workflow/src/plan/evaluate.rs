//! The keys of a job that are evaluated before it starts, as values.

use serde::{Deserialize, Serialize};

use super::PlannedWorkflow;
use crate::expr::{Contexts, Expr, NoHost, Object, Value};
use crate::inputs::call_inputs;
use crate::matrix::{Strategy, expand, leg_name};
use crate::model::{Call, Job, JobKind, Trigger};
use crate::source::Span;
use crate::template::{Key, Token, TokenKind, evaluate};

/// The longest name of a concurrency group, in characters.
const MAX_GROUP_NAME: usize = 400;

/// Why a key of a job has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct EvaluationError {
    /// `file:line:column`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// An evaluated `concurrency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// The group's name, compared without regard to case.
    pub group: String,
    /// Whether a newcomer cancels who holds the group.
    pub cancel_in_progress: bool,
    /// Who may wait for the group.
    pub queue: Queue,
}

/// How many may wait for a concurrency group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Queue {
    /// One: a newcomer cancels the one that waits.
    #[default]
    Single,
    /// All wait for their turn.
    Max,
}

impl PlannedWorkflow {
    /// Evaluates a part of this workflow.
    ///
    /// # Errors
    /// When an expression fails.
    pub fn evaluate(&self, token: &Token, contexts: &Contexts) -> Result<Value, EvaluationError> {
        evaluate(token, contexts, &NoHost)
            .map_err(|error| EvaluationError { place: self.place(error.span), message: error.to_string() })
    }

    fn optional(&self, token: Option<&Token>, contexts: &Contexts) -> Result<Value, EvaluationError> {
        token.map_or(Ok(Value::Null), |token| self.evaluate(token, contexts))
    }

    /// An error at a place of this workflow.
    pub fn error(&self, span: Span, message: impl Into<String>) -> EvaluationError {
        EvaluationError { place: self.place(span), message: message.into() }
    }

    /// The job's legs.
    ///
    /// # Errors
    /// When `strategy` cannot be evaluated or does not make a matrix.
    pub fn strategy(&self, job: &Job, contexts: &Contexts) -> Result<Strategy, EvaluationError> {
        let Some(token) = &job.strategy else { return Ok(Strategy::default()) };
        let value = self.evaluate(token, contexts)?;
        expand(&value).map_err(|error| self.error(token.span, error.to_string()))
    }

    /// The job's name. A literal one is followed by the leg's `parts`, as GitHub does it.
    ///
    /// # Errors
    /// When `name` cannot be evaluated.
    pub fn job_name(
        &self,
        job: &Job,
        parts: &[String],
        contexts: &Contexts,
    ) -> Result<String, EvaluationError> {
        let Some(token) = &job.name else { return Ok(leg_name(&job.id.value, parts)) };
        let name = self.evaluate(token, contexts)?;
        let name = name.to_text();
        Ok(match (&token.kind, name.is_empty()) {
            (_, true) => leg_name(&job.id.value, parts),
            (TokenKind::Expression(_), false) => name.into_owned(),
            (_, false) => leg_name(&name, parts),
        })
    }

    /// The name of a job that ends before it has legs: its id where the name needs a leg's values.
    #[must_use]
    pub fn name_without_leg(&self, job: &Job, contexts: &Contexts) -> String {
        let needs_leg = job.name.as_ref().is_some_and(|name| mentions(name, &["matrix", "strategy"]));
        let name = if needs_leg { None } else { self.job_name(job, &[], contexts).ok() };
        name.unwrap_or_else(|| job.id.value.clone())
    }

    /// The labels of `runs-on`, as written.
    ///
    /// # Errors
    /// When `runs-on` cannot be evaluated or has labels that are no text.
    pub fn labels(&self, job: &Job, contexts: &Contexts) -> Result<Vec<String>, EvaluationError> {
        let JobKind::Steps(steps) = &job.kind else { return Ok(Vec::new()) };
        let Some(token) = &steps.runs_on else { return Ok(Vec::new()) };
        let value = self.evaluate(token, contexts)?;
        let labels = match value.as_object() {
            Some(mapping) => mapping.get("labels").cloned().unwrap_or_default(),
            None => value,
        };
        let texts = match &labels {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items.iter().collect(),
            single => vec![single],
        };
        let label = |value: &Value| {
            let text = Some(value.to_text().into_owned());
            text.filter(|text| value.is_primitive() && !text.is_empty())
                .ok_or_else(|| self.error(token.span, "`runs-on` has a label that is no text or is empty"))
        };
        texts.into_iter().map(label).collect()
    }

    /// The job's concurrency group.
    ///
    /// # Errors
    /// When `concurrency` cannot be evaluated, or its group has no name or too long a one.
    pub fn concurrency(
        &self,
        job: &Job,
        contexts: &Contexts,
    ) -> Result<Option<Concurrency>, EvaluationError> {
        let Some(token) = &job.concurrency else { return Ok(None) };
        let value = self.evaluate(token, contexts)?;
        let part = |key: &str| value.get(key).cloned().unwrap_or_default();
        let group = if value.as_object().is_some() { part("group") } else { value.clone() };
        if !group.is_primitive() {
            return Err(self.error(token.span, "`concurrency` must name a group"));
        }
        let group = group.to_text().into_owned();
        let queue = if &*part("queue").to_text() == "max" { Queue::Max } else { Queue::Single };
        let cancel_in_progress = flag(&part("cancel-in-progress"));
        if group.is_empty() {
            return Err(self.error(token.span, "the name of the concurrency group is empty"));
        }
        if group.chars().count() > MAX_GROUP_NAME {
            let message =
                format!("the name of the concurrency group has more than {MAX_GROUP_NAME} characters");
            return Err(self.error(token.span, message));
        }
        Ok(Some(Concurrency { group, cancel_in_progress, queue }))
    }

    /// The job's `continue-on-error`.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub fn continue_on_error(&self, job: &Job, contexts: &Contexts) -> Result<bool, EvaluationError> {
        let JobKind::Steps(steps) = &job.kind else { return Ok(false) };
        Ok(flag(&self.optional(steps.continue_on_error.as_ref(), contexts)?))
    }

    /// The `inputs` of a workflow that a job of this one calls. `contexts` are the calling job's.
    ///
    /// # Errors
    /// When `with` or a default cannot be evaluated, or an input is unknown, missing or of the wrong type.
    pub fn call_inputs(
        &self,
        call: &Call,
        called: &PlannedWorkflow,
        contexts: &Contexts,
    ) -> Result<Value, EvaluationError> {
        let with = self.optional(call.with.as_ref(), contexts)?;
        let no_trigger = Trigger::default();
        let trigger = called.workflow.on.events.get("workflow_call").unwrap_or(&no_trigger);
        // Defaults see what is the same for the whole run, and not the caller's inputs.
        let mut outer = Contexts::new();
        for name in ["github", "vars"] {
            outer.set(name, contexts.get(name).cloned().unwrap_or_default());
        }
        outer.set("inputs", Object::new());
        let default = |token: &Token| called.evaluate(token, &outer).map_err(|error| error.to_string());
        let inputs = call_inputs(&trigger.call_inputs, &with, &default).map_err(|errors| {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            self.error(call.uses.span, messages.join("; "))
        })?;
        Ok(inputs.into())
    }
}

fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        other => &*other.to_text() == "true",
    }
}

/// Whether the token has an expression that uses one of the contexts.
pub(super) fn mentions(token: &Token, contexts: &[&str]) -> bool {
    let named = |expr: &Expr| {
        expr.contexts().any(|used| contexts.iter().any(|name| name.eq_ignore_ascii_case(used.context)))
    };
    match &token.kind {
        TokenKind::Expression(expr) => named(expr),
        TokenKind::Sequence(items) => items.iter().any(|item| mentions(item, contexts)),
        TokenKind::Mapping(entries) => entries.iter().any(|entry| {
            matches!(&entry.key, Key::Expression(expr) if named(expr)) || mentions(&entry.value, contexts)
        }),
        TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String(_) => false,
    }
}
