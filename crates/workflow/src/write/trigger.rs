//! `on`.

use indexmap::IndexMap;

use super::{Mapping, text, texts, token};
use crate::model::{
    CallInput, CallOutput, CallSecret, DispatchInput, InputType, ScheduleEntry, Trigger, Triggers,
};
use crate::template::{Token, TokenKind};

/// The value of `on`: one name, a list of names, or a mapping where an event has a configuration.
pub(super) fn triggers(on: &Triggers) -> Token {
    let events: Vec<_> =
        on.events.iter().map(|(name, trigger)| (name, configuration(name, trigger))).collect();
    if events.iter().all(|(_, configuration)| configuration.is_none()) {
        match events.as_slice() {
            [] => {}
            [(name, _)] => return text(name),
            names => return token(TokenKind::Sequence(names.iter().map(|(name, _)| text(name)).collect())),
        }
    }
    let mut mapping = Mapping::default();
    for (name, configuration) in events {
        mapping.put(name, configuration.unwrap_or_else(|| token(TokenKind::Null)));
    }
    mapping.into_token()
}

/// The configuration of an event; none where the name says all.
fn configuration(name: &str, trigger: &Trigger) -> Option<Token> {
    if name == "schedule" {
        return Some(token(TokenKind::Sequence(trigger.schedule.iter().map(schedule).collect())));
    }
    let mut mapping = Mapping::default();
    for (key, list) in trigger.lists() {
        if let Some(list) = list {
            mapping.put(key, texts(list));
        }
    }
    put_each(&mut mapping, "inputs", &trigger.dispatch_inputs, dispatch_input);
    put_each(&mut mapping, "inputs", &trigger.call_inputs, call_input);
    if trigger.declares_secrets && trigger.call_secrets.is_empty() {
        mapping.put("secrets", Mapping::default().into_token());
    }
    put_each(&mut mapping, "secrets", &trigger.call_secrets, call_secret);
    put_each(&mut mapping, "outputs", &trigger.call_outputs, call_output);
    (!mapping.is_empty()).then(|| mapping.into_token())
}

fn put_each<T>(mapping: &mut Mapping, key: &str, named: &IndexMap<String, T>, write: fn(&T) -> Token) {
    if named.is_empty() {
        return;
    }
    let mut values = Mapping::default();
    named.iter().for_each(|(name, value)| values.put(name, write(value)));
    mapping.put(key, values.into_token());
}

fn schedule(entry: &ScheduleEntry) -> Token {
    let mut mapping = Mapping::default();
    mapping.put("cron", text(&entry.cron.value));
    mapping.put_text("timezone", entry.timezone.as_ref().map(|zone| zone.value.as_str()));
    mapping.into_token()
}

fn type_of_input(kind: InputType) -> Token {
    text(match kind {
        InputType::String => "string",
        InputType::Boolean => "boolean",
        InputType::Number => "number",
        InputType::Choice => "choice",
        InputType::Environment => "environment",
    })
}

fn dispatch_input(input: &DispatchInput) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("description", input.description.as_deref());
    mapping.put("type", type_of_input(input.kind));
    mapping.put_true("required", input.required);
    mapping.put_some("default", input.default.as_ref());
    if !input.options.is_empty() {
        let options = input.options.iter().map(|option| text(option)).collect();
        mapping.put("options", token(TokenKind::Sequence(options)));
    }
    mapping.into_token()
}

fn call_input(input: &CallInput) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("description", input.description.as_deref());
    mapping.put("type", type_of_input(input.kind));
    mapping.put_true("required", input.required);
    mapping.put_some("default", input.default.as_ref());
    mapping.into_token()
}

fn call_secret(secret: &CallSecret) -> Token {
    if secret.is_bare {
        return token(TokenKind::Null);
    }
    let mut mapping = Mapping::default();
    mapping.put_text("description", secret.description.as_deref());
    mapping.put_true("required", secret.required);
    mapping.into_token()
}

fn call_output(output: &CallOutput) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("description", output.description.as_deref());
    mapping.put("value", output.value.clone());
    mapping.into_token()
}
