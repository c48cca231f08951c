//! The contexts of a job's expressions, and their evaluation.
//!
//! Contexts share their values: a step's are a copy of the job's with a few replaced, and cost some reference counts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use indexmap::IndexMap;
use machine::Machine;
use run::status::Conclusion;
use workflow::expr::{
    Contexts, Expr, ExprError, HashFilesError, HostFunctions, JobStatus, Object, Value, eval,
};
use workflow::template::{
    TemplateError, Token, evaluate_bool, evaluate_mapping_text, evaluate_number, evaluate_text,
};

use crate::hash;

/// The most different hashes that one evaluation may ask for.
const MAX_HASHES: usize = 1000;

/// What an evaluation needs of the job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluator<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) workspace: &'a str,
    pub(crate) status: JobStatus,
}

/// The hashes that are known in one evaluation.
struct Host {
    status: JobStatus,
    hashes: RefCell<HashMap<Vec<String>, Result<String, String>>>,
}

impl HostFunctions for Host {
    fn status(&self) -> Option<JobStatus> {
        Some(self.status)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
        match self.hashes.borrow().get(patterns) {
            Some(Ok(hash)) => Ok(hash.clone()),
            Some(Err(message)) => Err(HashFilesError::Failed(message.clone())),
            None => Err(HashFilesError::Pending),
        }
    }
}

/// An error that may only mean that a hash is not known yet.
trait MayBePending: Display {
    fn patterns(&self) -> Option<&[String]>;
}

impl MayBePending for ExprError {
    fn patterns(&self) -> Option<&[String]> {
        self.pending()
    }
}

impl MayBePending for TemplateError {
    fn patterns(&self) -> Option<&[String]> {
        self.pending()
    }
}

impl Evaluator<'_> {
    /// Whether a condition holds.
    pub(crate) async fn condition(&self, condition: &Expr, contexts: &Contexts) -> Result<bool, String> {
        self.evaluate(|host| eval(condition, contexts, host).map(|value| value.is_truthy())).await
    }

    /// The text of a token.
    pub(crate) async fn text(&self, token: &Token, contexts: &Contexts) -> Result<Arc<str>, String> {
        self.evaluate(|host| evaluate_text(token, contexts, host)).await
    }

    /// The boolean of a token.
    pub(crate) async fn boolean(&self, token: &Token, contexts: &Contexts) -> Result<bool, String> {
        self.evaluate(|host| evaluate_bool(token, contexts, host)).await
    }

    /// The number of a token.
    pub(crate) async fn number(&self, token: &Token, contexts: &Contexts) -> Result<f64, String> {
        self.evaluate(|host| evaluate_number(token, contexts, host)).await
    }

    /// The names and texts of a token that is a mapping; empty for one that is null.
    pub(crate) async fn mapping(
        &self,
        token: &Token,
        contexts: &Contexts,
    ) -> Result<IndexMap<String, String>, String> {
        if matches!(token.kind, workflow::template::TokenKind::Null) {
            return Ok(IndexMap::new());
        }
        self.evaluate(|host| evaluate_mapping_text(token, contexts, host)).await
    }

    /// Evaluates as often as it takes: each time with one hash more.
    async fn evaluate<T, E: MayBePending>(
        &self,
        evaluation: impl Fn(&dyn HostFunctions) -> Result<T, E>,
    ) -> Result<T, String> {
        let mut known: HashMap<Vec<String>, Result<String, String>> = HashMap::new();
        loop {
            let host = Host { status: self.status, hashes: RefCell::new(std::mem::take(&mut known)) };
            let error = match evaluation(&host) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            known = host.hashes.into_inner();
            match error.patterns() {
                Some(patterns) if known.len() < MAX_HASHES => {
                    let patterns = patterns.to_vec();
                    drop(error);
                    let hash = hash::hash_files(self.machine, self.workspace, &patterns).await;
                    known.insert(patterns, hash);
                }
                _ => return Err(error.to_string()),
            }
        }
    }
}

/// The word of a status in contexts.
pub(crate) fn status_word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Success => "success",
        JobStatus::Failure => "failure",
        JobStatus::Cancelled => "cancelled",
        JobStatus::Skipped => "skipped",
    }
}

/// The `steps` context of a job or of a composite action.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepsContext {
    steps: Arc<Object>,
}

impl StepsContext {
    /// As [`Self::value`] gave it.
    pub(crate) fn of(value: &Value) -> Self {
        Self { steps: Arc::new(value.as_object().cloned().unwrap_or_default()) }
    }

    /// Takes in how a step ended.
    pub(crate) fn set(
        &mut self,
        id: &str,
        outputs: &IndexMap<String, String>,
        outcome: Conclusion,
        conclusion: Conclusion,
    ) {
        let outputs: Object = outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut step = Object::with_capacity(3);
        step.insert("outputs", outputs);
        step.insert("outcome", outcome.as_str());
        step.insert("conclusion", conclusion.as_str());
        Arc::make_mut(&mut self.steps).insert(id, step);
    }

    /// The context.
    pub(crate) fn value(&self) -> Value {
        Value::Object(Arc::clone(&self.steps))
    }
}

/// An object with some properties replaced.
pub(crate) fn with_properties<'a>(
    value: &Value,
    properties: impl IntoIterator<Item = (&'a str, Value)>,
) -> Value {
    let mut object = value.as_object().cloned().unwrap_or_default();
    for (name, value) in properties {
        object.insert(name, value);
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use run::status::Conclusion;
    use workflow::expr::Value;

    use super::{StepsContext, with_properties};

    #[test]
    fn steps_have_outputs_and_ends() {
        let mut steps = StepsContext::default();
        let outputs = IndexMap::from([("a".to_owned(), "1".to_owned())]);
        let before = steps.value();
        steps.set("one", &outputs, Conclusion::Failure, Conclusion::Success);
        let value = steps.value();
        assert_eq!(value.at(&["ONE", "outputs", "A"]), Some(&Value::from("1")));
        assert_eq!(value.at(&["one", "outcome"]), Some(&Value::from("failure")));
        assert_eq!(value.at(&["one", "conclusion"]), Some(&Value::from("success")));
        assert_eq!(before.at(&["one"]), None, "what was handed out does not change");
    }

    #[test]
    fn properties_are_replaced() {
        let value = with_properties(&Value::Null, [("a", Value::from("1"))]);
        let value = with_properties(&value, [("A", Value::from("2")), ("b", Value::from("3"))]);
        assert_eq!(value.at(&["a"]), Some(&Value::from("2")));
        assert_eq!(value.at(&["b"]), Some(&Value::from("3")));
    }
}
