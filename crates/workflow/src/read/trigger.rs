//! `on`.

use indexmap::IndexMap;

use super::report::{Report, quoted};
use super::suggest::nearest;
use super::{is_true, text_of, texts_of};
use crate::model::{
    CallInput, CallOutput, CallSecret, DispatchInput, InputType, ScheduleEntry, Trigger, Triggers,
};
use crate::schedule::{Cron, time_zone, time_zone_names};
use crate::source::Spanned;
use crate::template::{Entry, Token, TokenKind};

/// Inputs of one `workflow_dispatch`.
const MAX_DISPATCH_INPUTS: usize = 25;

/// Reads the value of `on`.
pub(crate) fn read(on: &Token, report: &mut Report<'_>) -> Triggers {
    let mut reader = Reader { report };
    let mut events = IndexMap::new();
    match &on.kind {
        TokenKind::Mapping(entries) => {
            for entry in entries.iter() {
                if let Some(name) = entry.name() {
                    events.insert(name.to_owned(), reader.trigger(name, entry));
                }
            }
        }
        _ => {
            for name in texts_of(on) {
                events.insert(name.value, Trigger { span: name.span, ..Trigger::default() });
            }
        }
    }
    Triggers { events }
}

struct Reader<'r, 'f> {
    report: &'r mut Report<'f>,
}

impl Reader<'_, '_> {
    fn trigger(&mut self, name: &str, entry: &Entry) -> Trigger {
        let value = &entry.value;
        let list = |name| value.entry(name).map(|entry| texts_of(&entry.value));
        let mut trigger = Trigger {
            span: entry.key_span,
            types: list("types"),
            branches: list("branches"),
            branches_ignore: list("branches-ignore"),
            tags: list("tags"),
            tags_ignore: list("tags-ignore"),
            paths: list("paths"),
            paths_ignore: list("paths-ignore"),
            workflows: list("workflows"),
            versions: list("versions"),
            names: list("names"),
            ..Trigger::default()
        };
        if self.report.is_for_author() {
            self.check_filters(value);
        }
        match name {
            "schedule" => {
                trigger.schedule = value.items().iter().filter_map(|item| self.schedule(item)).collect()
            }
            "workflow_dispatch" => trigger.dispatch_inputs = self.dispatch_inputs(value),
            "workflow_call" => {
                trigger.call_inputs = self.named(value, "inputs", Self::call_input);
                trigger.declares_secrets =
                    value.entry("secrets").is_some() || self.is_refused_in(value, "secrets:");
                trigger.call_secrets = self.named(value, "secrets", |_, token| Some(call_secret(token)));
                trigger.call_outputs = self.named(value, "outputs", |_, token| call_output(token));
            }
            _ => {}
        }
        trigger
    }

    /// Whether something in the value is refused, and a line in it begins with this text.
    fn is_refused_in(&self, value: &Token, key: &str) -> bool {
        let text = self.report.file().slice(value.span);
        self.report.has_errors_in(value.span) && text.lines().any(|line| line.trim_start().starts_with(key))
    }

    fn check_filters(&mut self, value: &Token) {
        for name in ["branches", "tags", "paths"] {
            let ignoring = format!("{name}-ignore");
            if let (Some(first), Some(second)) = (value.entry(name), value.entry(&ignoring)) {
                let later = if first.key_span.start > second.key_span.start { first } else { second };
                let message = format!("`{name}` and `{ignoring}` cannot both be set for one event");
                let diagnostic = self.report.describe(later.key_span, "event-filters", message);
                self.report.push(
                    diagnostic.with_help(format!("use `{name}` alone, with patterns that begin with `!`")),
                );
            }
        }
    }

    fn schedule(&mut self, item: &Token) -> Option<ScheduleEntry> {
        let text = |name| item.entry(name).and_then(|entry| text_of(&entry.value));
        let (cron, timezone): (Spanned<String>, _) = (text("cron")?, text("timezone"));
        if self.report.is_for_author() {
            self.check_cron(&cron);
            if let Some(zone) = timezone.as_ref().filter(|zone| time_zone(&zone.value).is_none()) {
                let message = format!("Invalid time zone {}", quoted(&zone.value));
                let diagnostic = self.report.describe(zone.span, "time-zone", message);
                self.report.push(diagnostic.with_help(match nearest(&zone.value, time_zone_names()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "use a name of the IANA database, such as `Europe/Berlin`".to_owned(),
                }));
            }
        }
        Some(ScheduleEntry { cron, timezone })
    }

    fn check_cron(&mut self, cron: &Spanned<String>) {
        if let Err(error) = Cron::parse(&cron.value) {
            let message =
                "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)";
            let diagnostic = self.report.describe(cron.span, "cron", message);
            self.report.push(diagnostic.with_help(error.to_string()));
        }
    }

    /// The entries of the mapping under `key`, read one by one.
    fn named<T>(
        &mut self,
        value: &Token,
        key: &str,
        read: impl Fn(&mut Self, &Token) -> Option<T>,
    ) -> IndexMap<String, T> {
        let entries = value.entry(key).map(|entry| entry.value.entries()).unwrap_or_default();
        entries
            .iter()
            .filter_map(|entry| Some((entry.name()?.to_owned(), read(self, &entry.value)?)))
            .collect()
    }

    fn dispatch_inputs(&mut self, value: &Token) -> IndexMap<String, DispatchInput> {
        let inputs = self.named(value, "inputs", |reader, token| Some(reader.dispatch_input(token)));
        if inputs.len() > MAX_DISPATCH_INPUTS && self.report.is_for_author() {
            let message = format!(
                "you may only define up to {MAX_DISPATCH_INPUTS} `inputs` for a `workflow_dispatch` event"
            );
            self.report.error(value.span, "dispatch-inputs", message);
        }
        inputs
    }

    fn dispatch_input(&mut self, token: &Token) -> DispatchInput {
        let kind = input_type(token).unwrap_or(InputType::String);
        let options = token.entry("options").map(|entry| texts_of(&entry.value));
        let default = token.entry("default").map(|entry| entry.value.clone());
        if self.report.is_for_author() {
            match (kind, &options) {
                (InputType::Choice, None) => self.choice_without_options(token),
                (InputType::Choice, Some(options)) if options.is_empty() => {
                    self.choice_without_options(token)
                }
                (InputType::Choice, _) | (_, None) => {}
                (_, Some(_)) => {
                    let message = "Input type is not 'choice', but 'options' is defined";
                    self.report.error(token.span, "dispatch-inputs", message);
                }
            }
            self.check_default(kind, default.as_ref());
        }
        DispatchInput {
            kind,
            description: token
                .entry("description")
                .and_then(|entry| text_of(&entry.value))
                .map(|text| text.value),
            required: token.entry("required").is_some_and(|entry| is_true(&entry.value)),
            default,
            options: options.unwrap_or_default().into_iter().map(|option| option.value).collect(),
        }
    }

    fn choice_without_options(&mut self, token: &Token) {
        self.report.error(token.span, "dispatch-inputs", "Missing 'options' for choice input");
    }

    /// A default that no value of the type can be. Text is made of every literal.
    fn check_default(&mut self, kind: InputType, default: Option<&Token>) {
        let Some(default) = default else { return };
        let fits = match (kind, &default.kind) {
            (InputType::Boolean, TokenKind::Bool(_)) | (InputType::Number, TokenKind::Number(_)) => true,
            (InputType::Boolean, TokenKind::String(text)) => matches!(&**text, "true" | "false" | ""),
            (InputType::Boolean, _) => false,
            (InputType::Number, TokenKind::String(text)) => {
                text.trim().is_empty() || text.trim().parse::<f64>().is_ok()
            }
            (InputType::Number, _) => false,
            _ => true,
        };
        if !fits && !default.is_expression() {
            let expected = if kind == InputType::Boolean { "boolean" } else { "number" };
            let message = format!("the default value is no {expected}, which is the type of the input");
            self.report.error(default.span, "dispatch-inputs", message);
        }
    }

    fn call_input(&mut self, token: &Token) -> Option<CallInput> {
        Some(CallInput {
            kind: input_type(token).unwrap_or(InputType::String),
            description: token
                .entry("description")
                .and_then(|entry| text_of(&entry.value))
                .map(|text| text.value),
            required: token.entry("required").is_some_and(|entry| is_true(&entry.value)),
            default: token.entry("default").map(|entry| entry.value.clone()),
        })
    }
}

fn call_secret(token: &Token) -> CallSecret {
    CallSecret {
        is_bare: matches!(token.kind, TokenKind::Null),
        description: token
            .entry("description")
            .and_then(|entry| text_of(&entry.value))
            .map(|text| text.value),
        required: token.entry("required").is_some_and(|entry| is_true(&entry.value)),
    }
}

fn call_output(token: &Token) -> Option<CallOutput> {
    Some(CallOutput {
        description: token
            .entry("description")
            .and_then(|entry| text_of(&entry.value))
            .map(|text| text.value),
        value: match token.entry("value") {
            Some(entry) => entry.value.clone(),
            None => Token { kind: TokenKind::Null, span: token.span },
        },
    })
}

fn input_type(token: &Token) -> Option<InputType> {
    match token.entry("type")?.value.as_str()? {
        "string" => Some(InputType::String),
        "boolean" => Some(InputType::Boolean),
        "number" => Some(InputType::Number),
        "choice" => Some(InputType::Choice),
        "environment" => Some(InputType::Environment),
        _ => None,
    }
}
