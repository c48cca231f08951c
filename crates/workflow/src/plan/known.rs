//! What is known before a run: which expressions already have the value that they will have.

use crate::expr::{Contexts, Expr, Reference, Value};
use crate::template::{Key, Token, TokenKind};

/// What is known at a place of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The contexts as far as they are known.
    pub(super) contexts: &'a Contexts,
    /// Inputs that have their values only in the run.
    pub(super) unknown_inputs: &'a [String],
}

impl Known<'_> {
    /// Whether the expression has its value.
    pub(super) fn has(&self, expr: &Expr) -> bool {
        expr.contexts().all(|used| self.has_reference(&used))
    }

    /// Whether all expressions of the token have their values.
    pub(super) fn has_token(&self, token: &Token) -> bool {
        match &token.kind {
            TokenKind::Expression(expr) => self.has(expr),
            TokenKind::Sequence(items) => items.iter().all(|item| self.has_token(item)),
            TokenKind::Mapping(entries) => entries.iter().all(|entry| {
                let has_key = !matches!(&entry.key, Key::Expression(expr) if !self.has(expr));
                has_key && self.has_token(&entry.value)
            }),
            TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String(_) => true,
        }
    }

    /// The keys of the mapping whose values are not known.
    pub(super) fn lacks(&self, mapping: &Token) -> Vec<String> {
        let unknown = mapping.entries().iter().filter(|entry| !self.has_token(&entry.value));
        unknown.filter_map(|entry| entry.name().map(str::to_owned)).collect()
    }

    fn has_reference(&self, used: &Reference<'_>) -> bool {
        let Some(context) = self.contexts.get(used.context) else { return false };
        let names: Vec<&str> = used.names().collect();
        let is = |name: &str| used.context.eq_ignore_ascii_case(name);
        if is("inputs") {
            let unknown = |name: &str| self.unknown_inputs.iter().any(|one| one.eq_ignore_ascii_case(name));
            names.first().map_or(self.unknown_inputs.is_empty(), |name| !unknown(name))
        } else if is("matrix") || is("strategy") {
            true
        } else if is("vars") {
            // A variable that nobody gives here may exist elsewhere.
            names.first().is_some_and(|name| context.get(name).is_some())
        } else if is("github") {
            let exists = names.len() == used.path.len() && !names.is_empty() && context.at(&names).is_some();
            let of_event = names.first().is_some_and(|name| name.eq_ignore_ascii_case("event"));
            exists || of_event && is_delivered(context)
        } else {
            false
        }
    }
}

/// Whether the payload is one that GitHub sent, which has all its properties: repositories have numbers only there.
fn is_delivered(github: &Value) -> bool {
    github.at(&["event", "repository", "id"]).is_some_and(|id| *id != Value::Null)
}

#[cfg(test)]
mod tests {
    use super::Known;
    use crate::expr::{Contexts, Names, Value, parse};

    fn check(source: &str, event: &str, expected: bool) {
        let github = format!(r#"{{"ref": "refs/heads/main", "event": {event}}}"#);
        let value =
            |json: &str| Value::from_json(&serde_json::from_str(json).expect("a test's context is JSON"));
        let contexts = Contexts::new()
            .with("github", value(&github))
            .with("vars", value(r#"{"GIVEN": "1"}"#))
            .with("inputs", value(r#"{"a": 1, "b": ""}"#));
        let names = Names::of(&["github", "vars", "inputs", "needs", "matrix"]);
        let expr = parse(source, &names).expect("a test's expression is good");
        let known = Known { contexts: &contexts, unknown_inputs: &["b".to_owned()] };
        assert_eq!(known.has(&expr), expected, "{source} {event}");
    }

    #[test]
    fn what_has_its_value_before_the_run() {
        for known in ["true", "github.ref", "GITHUB.REF == 'x'", "vars.given", "inputs.a", "github.event.x"] {
            check(known, r#"{"x": 1}"#, true);
        }
        for unknown in
            ["needs.a.result", "github.run_number", "vars.other", "inputs.b", "inputs", "matrix.x", "vars"]
        {
            check(unknown, "{}", false);
        }
        check("github.event.y", r#"{"x": 1}"#, false);
        check("github.event.y", r#"{"repository": {"id": 7}}"#, true);
        check("github.event.commits.*.id", r#"{"repository": {"id": 7}}"#, true);
        check("github.run_number", r#"{"repository": {"id": 7}}"#, false);
    }
}
