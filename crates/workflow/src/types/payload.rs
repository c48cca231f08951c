//! The type of `github.event`: the payloads of the events that start a workflow.
//!
//! An event's own properties are all known. Of the objects in it only those are known that GitHub documents: others may
//! be there, and only a name that is nearly one of the known is taken for a slip.

use std::sync::{LazyLock, OnceLock};

use super::ty::{Name, ObjectType, Rest, Type};
use crate::model::{Trigger, Triggers};

const PAYLOADS: &str = include_str!("payloads.txt");

/// What every event has.
const COMMON: &str =
    "enterprise:object installation:object organization:organization repository:repository sender:user";

/// An event or object of the list.
struct Block {
    heading: &'static str,
    properties: Vec<&'static str>,
    ty: OnceLock<Type>,
}

/// The blocks in the order of their headings.
static BLOCKS: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let mut blocks: Vec<(&str, Vec<&'static str>)> = Vec::new();
    for line in PAYLOADS.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(' ') {
            Some(names) => {
                let (_, properties) = blocks.last_mut().expect("names stand below a heading");
                properties.extend(names.split_ascii_whitespace());
            }
            None => blocks.push((line, Vec::new())),
        }
    }
    let block = |(heading, properties)| Block { heading, properties, ty: OnceLock::new() };
    blocks.into_iter().map(block).collect()
});

fn block(kind: &str, name: &str) -> Option<&'static Block> {
    let is_it = |block: &&Block| {
        block.heading.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')) == Some(name)
    };
    BLOCKS.iter().find(is_it)
}

/// The type of `github.event` in a workflow that these events start.
pub(super) fn event(on: &Triggers) -> Type {
    // A called workflow has the event of its caller.
    if on.events.contains_key("workflow_call") {
        return Type::loose::<&str>([]);
    }
    let types = on.events.iter().map(|(name, trigger)| payload(name, trigger));
    types.reduce(|one, two| one.or(&two)).unwrap_or_else(|| Type::loose::<&str>([]))
}

fn payload(event: &str, trigger: &Trigger) -> Type {
    let event = match event {
        "pull_request_target" => "pull_request",
        "pull_request_comment" => "issue_comment",
        other => other,
    };
    let Some(block) = block("event", event) else { return Type::loose::<&str>([]) };
    let known = block.ty.get_or_init(|| {
        let common = COMMON.split(' ');
        Type::Object(ObjectType::new(
            block.properties.iter().copied().chain(common).map(property),
            Rest::Nothing,
        ))
    });
    match (event, known) {
        ("workflow_dispatch", Type::Object(object)) => {
            let inputs = Type::texts_named(trigger.dispatch_inputs.keys().map(String::as_str));
            Type::Object(object.with("inputs", inputs))
        }
        _ => known.clone(),
    }
}

/// A property as the list writes it.
fn property(written: &'static str) -> (Name, Type) {
    let (name, ty) = match written.split_once("[]") {
        Some((name, item)) => (name, Type::array(type_named(item))),
        None => match written.split_once(':') {
            Some((name, ty)) => (name, type_named(ty)),
            None => (written, Type::String),
        },
    };
    (Name::constant(name), ty)
}

fn type_named(name: &str) -> Type {
    match name {
        "string" => Type::String,
        "boolean" => Type::Bool,
        "number" => Type::Number,
        "object" => Type::loose::<&str>([]),
        _ => match block("object", name) {
            Some(block) => block
                .ty
                .get_or_init(|| {
                    let properties = block.properties.iter().copied().map(property);
                    Type::Object(ObjectType::new(properties, Rest::Any))
                })
                .clone(),
            None => Type::Any,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS, Type, event, property, type_named};
    use crate::model::{DispatchInput, InputType, Trigger, Triggers};

    fn on(events: &[&str]) -> Triggers {
        Triggers { events: events.iter().map(|name| ((*name).to_owned(), Trigger::default())).collect() }
    }

    /// Each path of properties from `github.event`, and what it is.
    fn check(on: &Triggers, expected: &[(&str, Option<Type>)]) {
        for (path, expected) in expected {
            let found = path.split('.').try_fold(event(on), |ty, name| match &ty {
                Type::Object(object) => object.property(name),
                Type::Array(item) => Some(Type::clone(item)),
                _ => Some(Type::Any),
            });
            assert_eq!(&found, expected, "{path}");
        }
    }

    #[test]
    fn every_block_names_types_that_there_are() {
        for block in &*BLOCKS {
            for written in &block.properties {
                let (name, ty) = property(written);
                let says_any = written.ends_with(":any") || written.ends_with("[]");
                assert!(says_any || !matches!(ty, Type::Any), "{}: {name}", block.heading);
            }
        }
        assert_eq!(
            type_named("user").as_object().and_then(|user| user.property("login")),
            Some(Type::String)
        );
    }

    #[test]
    fn events_have_their_payloads() {
        check(
            &on(&["push"]),
            &[
                ("forced", Some(Type::Bool)),
                ("head_commit.author.email", Some(Type::String)),
                ("commits.*.modified.*", Some(Type::String)),
                ("repository.owner.login", Some(Type::String)),
                ("pull_request", None),
                ("head_commit.new_property", Some(Type::Any)),
            ],
        );
        check(
            &on(&["push", "pull_request_target", "schedule"]),
            &[
                ("pull_request.head.repo.full_name", Some(Type::String)),
                ("pull_request.labels.*.name", Some(Type::String)),
                ("forced", Some(Type::Bool)),
                ("schedule", Some(Type::String)),
                ("issue", None),
            ],
        );
    }

    #[test]
    fn what_others_send_is_not_known() {
        check(&on(&["push", "workflow_call"]), &[("anything", Some(Type::Any))]);
        check(&on(&["push", "some_new_event"]), &[("anything", Some(Type::Any))]);
        check(&on(&["repository_dispatch"]), &[("client_payload.x.y", Some(Type::Any)), ("other", None)]);
    }

    #[test]
    fn dispatched_inputs_are_texts() {
        let mut on = on(&["workflow_dispatch"]);
        let input = DispatchInput {
            kind: InputType::Boolean,
            description: None,
            required: false,
            default: None,
            options: Vec::new(),
        };
        on.events[0].dispatch_inputs.insert("Flag".into(), input);
        check(&on, &[("inputs.flag", Some(Type::String)), ("inputs.other", None)]);
    }
}
