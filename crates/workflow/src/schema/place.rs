//! What may be written at a place of a file: the schema as an editor asks for it.
//!
//! A [`Place`] is reached from the root of a file by keys and items. Where a place admits several forms, it has all that
//! any of them has, until the keys that are there already rule some out ([`Place::beside`]).

use super::{Allowed, Definition, DefinitionId, Kind, Mapping, Schema, action, workflow};
use crate::expr::{Function, Names};

/// Keys that exist only with a feature that GitHub does not offer to everybody.
const HIDDEN_KEYS: [&str; 4] = ["background", "wait", "wait-all", "cancel"];

/// What may be written at one place.
#[derive(Clone, Debug)]
pub struct Place {
    schema: &'static Schema,
    /// The definition as its key names it, before its choices are taken apart.
    definition: DefinitionId,
    /// The forms; none of them is a choice itself.
    forms: Vec<DefinitionId>,
    allowed: Allowed,
    description: &'static str,
}

/// A key with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// As it is written.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// GitHub's words on it, in Markdown; may be empty.
    pub description: &'static str,
    /// The simplest form of its value.
    pub shape: Shape,
}

/// A text with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownValue {
    /// As it is written.
    pub text: &'static str,
    /// GitHub's words on it, in Markdown; may be empty.
    pub description: &'static str,
}

/// Forms of values, the simplest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Text, a number, a boolean or nothing.
    Scalar,
    /// A sequence.
    Sequence,
    /// A mapping.
    Mapping,
}

impl Place {
    /// A whole workflow.
    #[must_use]
    pub fn workflow() -> Self {
        Self::at(&workflow::SCHEMA, workflow::ROOT_STRICT, Allowed::NOTHING, "")
    }

    /// The metadata of an action.
    #[must_use]
    pub fn action() -> Self {
        Self::at(&action::SCHEMA, action::ROOT_STRICT, Allowed::NOTHING, "")
    }

    fn at(
        schema: &'static Schema,
        definition: DefinitionId,
        around: Allowed,
        description: &'static str,
    ) -> Self {
        let (mut forms, mut seen) = (Vec::new(), Vec::new());
        let mut open = vec![definition];
        while let Some(id) = open.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            match &schema.definition(id).kind {
                Kind::OneOf(choices) => open.extend(choices.iter().rev()),
                _ => forms.push(id),
            }
        }
        let own = schema.definition(definition);
        let description = if description.is_empty() { own.description } else { description };
        Self { schema, definition, forms, allowed: around.with(own.allowed), description }
    }

    fn definitions(&self) -> impl Iterator<Item = &'static Definition> {
        let schema = self.schema;
        self.forms.iter().map(move |form| schema.definition(*form))
    }

    fn mappings(&self) -> impl Iterator<Item = &'static Mapping> {
        self.definitions().filter_map(|definition| match &definition.kind {
            Kind::Mapping(mapping) => Some(mapping),
            _ => None,
        })
    }

    /// The place of the value of a key.
    #[must_use]
    pub fn child(&self, key: &str) -> Option<Self> {
        let named: Vec<_> = self.mappings().filter_map(|mapping| mapping.property(key)).collect();
        if let Some(last) = named.last() {
            return Some(Self::at(self.schema, last.definition, self.allowed, last.description));
        }
        let (_, value) = self.mappings().find_map(|mapping| mapping.loose)?;
        Some(Self::at(self.schema, value, self.allowed, ""))
    }

    /// The place of an item of a sequence.
    #[must_use]
    pub fn item(&self) -> Option<Self> {
        let item = self.definitions().find_map(|definition| match definition.kind {
            Kind::Sequence(item) => Some(item),
            _ => None,
        })?;
        Some(Self::at(self.schema, item, self.allowed, ""))
    }

    /// The same place, knowing that a mapping there has these keys.
    #[must_use]
    pub fn beside<'k>(mut self, keys: impl IntoIterator<Item = &'k str>) -> Self {
        for key in keys {
            let schema = self.schema;
            let has = |form: &DefinitionId| match &schema.definition(*form).kind {
                Kind::Mapping(mapping) => mapping.property(key).is_some(),
                _ => false,
            };
            if self.forms.iter().any(has) {
                self.forms.retain(has);
            }
        }
        self
    }

    /// The keys with a meaning, in the order of the schema.
    #[must_use]
    pub fn keys(&self) -> Vec<KnownKey> {
        let mut keys: Vec<KnownKey> = Vec::new();
        let is_one_form = self.mappings().count() == 1;
        for property in self.mappings().flat_map(|mapping| mapping.properties) {
            if HIDDEN_KEYS.contains(&property.name) || keys.iter().any(|key| key.name == property.name) {
                continue;
            }
            let value = Self::at(self.schema, property.definition, self.allowed, property.description);
            keys.push(KnownKey {
                name: property.name,
                required: property.required && is_one_form,
                description: value.description,
                shape: value.shapes().into_iter().min().unwrap_or(Shape::Scalar),
            });
        }
        keys
    }

    /// The texts with a meaning, in the order of the schema.
    #[must_use]
    pub fn values(&self) -> Vec<KnownValue> {
        let mut values: Vec<KnownValue> = Vec::new();
        let takes_any_text = self.definitions().any(|definition| matches!(definition.kind, Kind::String));
        for definition in self.definitions() {
            let texts: &[&str] = match &definition.kind {
                Kind::Constant(text) => &[*text],
                Kind::AllowedValues(texts) => texts,
                Kind::Boolean if !takes_any_text => &["true", "false"],
                _ => &[],
            };
            for text in texts.iter().copied() {
                if !values.iter().any(|value| value.text == text) {
                    values.push(KnownValue { text, description: definition.description });
                }
            }
        }
        values
    }

    /// The forms that are admitted.
    #[must_use]
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes: Vec<_> = self
            .definitions()
            .filter_map(|definition| match definition.kind {
                Kind::Mapping(_) => Some(Shape::Mapping),
                Kind::Sequence(_) => Some(Shape::Sequence),
                Kind::Null => None,
                _ => Some(Shape::Scalar),
            })
            .collect();
        shapes.sort_unstable();
        shapes.dedup();
        shapes
    }

    /// GitHub's words on what stands here, in Markdown; may be empty.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Whether the whole text is an expression, also without `${{ }}`.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        let conditions: &[DefinitionId] = if std::ptr::eq(self.schema, &raw const workflow::SCHEMA) {
            &[workflow::JOB_IF, workflow::STEP_IF, workflow::SNAPSHOT_IF]
        } else {
            &[action::RUNS_IF, action::STEP_IF]
        };
        conditions.contains(&self.definition)
    }

    /// The contexts that expressions may use; without any there are no expressions.
    #[must_use]
    pub fn contexts(&self) -> Vec<&'static str> {
        self.allowed.contexts().collect()
    }

    /// The functions that expressions may call.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let has = |flag| self.allowed.has(flag);
        Function::all()
            .filter(|function| match function {
                Function::Always => has(Allowed::ALWAYS),
                Function::Cancelled => has(Allowed::CANCELLED),
                Function::Failure => has(Allowed::FAILURE) || has(Allowed::FAILURE_OF),
                Function::Success => has(Allowed::SUCCESS) || has(Allowed::SUCCESS_OF),
                Function::HashFiles => has(Allowed::HASH_FILES),
                _ => true,
            })
            .collect()
    }

    /// The names that expressions may use.
    #[must_use]
    pub fn names(&self) -> Names {
        self.allowed.names()
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Shape};

    /// The place behind a path; `-` is an item.
    fn place(path: &str) -> Place {
        path.split(' ').filter(|part| !part.is_empty()).fold(Place::workflow(), |place, part| {
            let next = if part == "-" { place.item() } else { place.child(part) };
            next.unwrap_or_else(|| panic!("{part} of {path}"))
        })
    }

    fn names(place: &Place) -> Vec<&'static str> {
        place.keys().into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn keys_of_places() {
        assert!(names(&place("")).contains(&"jobs"));
        assert!(names(&place("jobs x")).contains(&"steps"));
        assert!(names(&place("jobs x steps -")).contains(&"uses"));
        assert!(!names(&place("jobs x steps -")).contains(&"background"));
        assert_eq!(names(&place("jobs x runs-on")), ["group", "labels"]);
        assert!(names(&place("on pull_request")).contains(&"types"));
        assert!(names(&place("jobs x env")).is_empty());
        assert!(Place::workflow().child("unheard").is_none());
        assert!(place("jobs x").child("unheard").is_none());
    }

    #[test]
    fn keys_that_are_there_rule_forms_out() {
        let job = place("jobs x").beside(["uses"]);
        assert!(names(&job).contains(&"secrets") && !names(&job).contains(&"steps"));
        let step = place("jobs x steps -").beside(["name", "run"]);
        assert!(names(&step).contains(&"shell") && !names(&step).contains(&"with"));
        let unknown = place("jobs x steps -").beside(["unheard"]);
        assert!(names(&unknown).contains(&"run"));
    }

    #[test]
    fn keys_say_what_they_take() {
        let shape = |path: &str, name: &str| {
            place(path).keys().into_iter().find(|key| key.name == name).expect("a key").shape
        };
        assert_eq!(shape("", "jobs"), Shape::Mapping);
        assert_eq!(shape("jobs x", "steps"), Shape::Sequence);
        assert_eq!(shape("", "on"), Shape::Scalar);
        let keys = place("").keys();
        let on = keys.iter().find(|key| key.name == "on").expect("a key");
        assert!(on.required && on.description.contains("event"), "{on:?}");
    }

    #[test]
    fn values_of_places() {
        let values =
            |path: &str| place(path).values().into_iter().map(|value| value.text).collect::<Vec<_>>();
        assert!(values("on").contains(&"push"));
        assert!(values("on -").contains(&"workflow_dispatch"));
        assert!(values("on pull_request types -").contains(&"opened"));
        assert_eq!(values("permissions contents"), ["read", "write", "none"]);
        assert_eq!(values("jobs x strategy fail-fast"), ["true", "false"]);
        assert!(values("name").is_empty());
    }

    #[test]
    fn expressions_depend_on_the_place() {
        assert!(place("name").contexts().is_empty());
        let condition = place("jobs x if");
        assert!(condition.is_condition() && !place("jobs x name").is_condition());
        assert!(condition.contexts().contains(&"needs") && !condition.contexts().contains(&"steps"));
        let run = place("jobs x steps - run");
        assert!(run.contexts().contains(&"secrets"));
        let functions: Vec<_> = run.functions().into_iter().map(|function| function.name()).collect();
        assert!(functions.contains(&"hashFiles") && !functions.contains(&"success"));
        assert!(run.names().admits_context("steps") && !condition.names().admits_context("steps"));
    }

    #[test]
    fn actions_have_places_too() {
        let runs = Place::action().child("runs").expect("a key");
        assert!(names(&runs).contains(&"using"));
        assert!(names(&runs.clone().beside(["steps"])).contains(&"using"));
        assert!(runs.child("steps").and_then(|steps| steps.item()).is_some());
    }
}
