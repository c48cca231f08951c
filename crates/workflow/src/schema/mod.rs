//! GitHub's schemas of workflow and action files as constant tables: what each key admits, and which contexts and
//! functions an expression there may use.
//!
//! [`workflow`] and [`action`] are written by `script/schema` from the published schemas. Nothing is built at start.

pub(crate) mod action;
mod place;
pub(crate) mod workflow;

pub use place::{KnownKey, KnownValue, Place, Shape};

use crate::expr::{Names, StatusFunctions};

/// The index of a definition in its schema.
pub(crate) type DefinitionId = u16;

/// One schema.
#[derive(Debug)]
pub(crate) struct Schema {
    definitions: &'static [Definition],
}

/// One definition; the tables give GitHub's name of it in a comment.
#[derive(Debug)]
pub(crate) struct Definition {
    /// What expressions may use, beside what the place around allows.
    pub(crate) allowed: Allowed,
    /// What it admits.
    pub(crate) kind: Kind,
    /// GitHub's words on it, in Markdown; may be empty.
    pub(crate) description: &'static str,
}

/// What a definition admits.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    NonEmptyString,
    /// Exactly this text.
    Constant(&'static str),
    /// One of these texts.
    AllowedValues(&'static [&'static str]),
    /// A sequence of such items.
    Sequence(DefinitionId),
    Mapping(Mapping),
    /// Any of these.
    OneOf(&'static [DefinitionId]),
}

/// The keys of a mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Keys with a meaning.
    pub(crate) properties: &'static [Property],
    /// What other keys and their values must be, where there may be others.
    pub(crate) loose: Option<(DefinitionId, DefinitionId)>,
}

/// One key with a meaning.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) definition: DefinitionId,
    pub(crate) required: bool,
    /// GitHub's words on it, in Markdown; empty where those of the definition hold.
    pub(crate) description: &'static str,
}

impl Property {
    const fn optional(name: &'static str, definition: DefinitionId) -> Self {
        Self { name, definition, required: false, description: "" }
    }

    const fn required(name: &'static str, definition: DefinitionId) -> Self {
        Self { name, definition, required: true, description: "" }
    }

    const fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }
}

impl Mapping {
    /// The property with this name; names are compared with regard to case.
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

impl Schema {
    pub(crate) fn definition(&self, id: DefinitionId) -> &'static Definition {
        &self.definitions[usize::from(id)]
    }

    /// The item definition of the sequence that `id` admits.
    pub(crate) fn sequence_item(&self, id: DefinitionId) -> Option<DefinitionId> {
        match &self.definition(id).kind {
            Kind::Sequence(item) => Some(*item),
            Kind::OneOf(choices) => choices.iter().find_map(|choice| match self.definition(*choice).kind {
                Kind::Sequence(item) => Some(item),
                _ => None,
            }),
            _ => None,
        }
    }

    /// The mappings that `id` admits.
    pub(crate) fn mappings(&self, id: DefinitionId) -> Choices {
        let mut choices = Choices { mappings: [&NO_MAPPING; MAX_CHOICES], count: 0 };
        match &self.definition(id).kind {
            Kind::Mapping(mapping) => choices.add(mapping),
            Kind::OneOf(ids) => {
                for id in *ids {
                    if let Kind::Mapping(mapping) = &self.definition(*id).kind {
                        choices.add(mapping);
                    }
                }
            }
            _ => {}
        }
        choices
    }

    /// Whether some scalar definition within `id` satisfies the test, choices inside of choices included.
    pub(crate) fn any_scalar(&self, id: DefinitionId, test: &impl Fn(&Kind) -> bool) -> bool {
        match &self.definition(id).kind {
            Kind::OneOf(choices) => choices.iter().any(|choice| self.any_scalar(*choice, test)),
            Kind::Sequence(_) | Kind::Mapping(_) => false,
            kind => test(kind),
        }
    }
}

/// The most mappings that one definition admits.
const MAX_CHOICES: usize = 8;

static NO_MAPPING: Mapping = Mapping { properties: &[], loose: None };

/// Mappings that are possible at a place, in the order of the schema.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    mappings: [&'static Mapping; MAX_CHOICES],
    count: usize,
}

impl Choices {
    fn add(&mut self, mapping: &'static Mapping) {
        self.mappings[self.count] = mapping;
        self.count += 1;
    }

    /// Those that are left.
    pub(crate) fn left(&self) -> &[&'static Mapping] {
        &self.mappings[..self.count]
    }

    /// The property of this name, of the last mapping that has it. Those that do not have it are dropped when another
    /// does.
    pub(crate) fn narrow(&mut self, name: &str) -> Option<&'static Property> {
        let (mut found, mut with) = (None, 0);
        for index in 0..self.count {
            let mapping = self.mappings[index];
            if let Some(property) = mapping.property(name) {
                found = Some(property);
                self.mappings[with] = mapping;
                with += 1;
            }
        }
        if with > 0 {
            self.count = with;
        }
        found
    }
}

/// The status functions of a step's condition, and `hashFiles`.
pub(crate) const STATUS_OF_STEPS: Allowed = Allowed::of(&[
    Allowed::ALWAYS,
    Allowed::CANCELLED,
    Allowed::FAILURE,
    Allowed::SUCCESS,
    Allowed::HASH_FILES,
]);

/// A set of contexts and functions that expressions may use at a place, beside the functions that are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Allowed(u32);

impl Allowed {
    pub(crate) const NOTHING: Self = Self(0);
    pub(crate) const GITHUB: Self = Self(1);
    pub(crate) const INPUTS: Self = Self(1 << 1);
    pub(crate) const VARS: Self = Self(1 << 2);
    pub(crate) const NEEDS: Self = Self(1 << 3);
    pub(crate) const STRATEGY: Self = Self(1 << 4);
    pub(crate) const MATRIX: Self = Self(1 << 5);
    pub(crate) const SECRETS: Self = Self(1 << 6);
    pub(crate) const STEPS: Self = Self(1 << 7);
    pub(crate) const JOB: Self = Self(1 << 8);
    pub(crate) const RUNNER: Self = Self(1 << 9);
    pub(crate) const ENV: Self = Self(1 << 10);
    pub(crate) const JOBS: Self = Self(1 << 11);
    /// `always()`.
    pub(crate) const ALWAYS: Self = Self(1 << 12);
    /// `cancelled()`.
    pub(crate) const CANCELLED: Self = Self(1 << 13);
    /// `failure()` of a step.
    pub(crate) const FAILURE: Self = Self(1 << 14);
    /// `success()` of a step.
    pub(crate) const SUCCESS: Self = Self(1 << 15);
    /// `failure(…)` of a job, which takes the ids of needed jobs.
    pub(crate) const FAILURE_OF: Self = Self(1 << 16);
    /// `success(…)` of a job, which takes the ids of needed jobs.
    pub(crate) const SUCCESS_OF: Self = Self(1 << 17);
    /// `hashFiles(…)`.
    pub(crate) const HASH_FILES: Self = Self(1 << 18);

    /// The contexts, each at the place of its bit.
    const CONTEXTS: [&'static str; 12] = [
        "github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner",
        "env", "jobs",
    ];

    const fn of(parts: &[Self]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < parts.len() {
            bits |= parts[index].0;
            index += 1;
        }
        Self(bits)
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether expressions are allowed at all.
    pub(crate) const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// The names of the contexts.
    pub(crate) fn contexts(self) -> impl Iterator<Item = &'static str> {
        let has = move |(place, _): &(usize, &str)| self.0 & (1 << place) != 0;
        Self::CONTEXTS.into_iter().enumerate().filter(has).map(|(_, name)| name)
    }

    /// The names that expressions may use.
    pub(crate) fn names(self) -> Names {
        let status = if self.has(Self::SUCCESS_OF) {
            StatusFunctions::Job
        } else if self.has(Self::SUCCESS) {
            StatusFunctions::Step
        } else {
            StatusFunctions::None
        };
        let contexts = self.0 & ((1 << Self::CONTEXTS.len()) - 1);
        let names = Names::chosen(&Self::CONTEXTS, contexts).with_status(status);
        if self.has(Self::HASH_FILES) { names.with_hash_files() } else { names }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{Kind, MAX_CHOICES, Schema, action, workflow};

    /// Every index is inside the table, and choices hold at most one kind of sequence, as the lookups rely on.
    fn check(schema: &Schema) {
        let within = |id: u16| assert!(usize::from(id) < schema.definitions.len(), "{id}");
        for (id, definition) in schema.definitions.iter().enumerate() {
            let fits = u16::try_from(id).expect("few definitions");
            assert!(schema.mappings(fits).left().len() <= MAX_CHOICES, "{id}");
            match &definition.kind {
                Kind::Sequence(item) => within(*item),
                Kind::OneOf(choices) => {
                    choices.iter().for_each(|choice| within(*choice));
                    let sequences = choices
                        .iter()
                        .filter(|choice| matches!(schema.definition(**choice).kind, Kind::Sequence(_)));
                    assert!(sequences.count() <= 1, "{id}");
                }
                Kind::Mapping(mapping) => {
                    mapping.properties.iter().for_each(|property| within(property.definition));
                    mapping.loose.iter().for_each(|(key, value)| {
                        within(*key);
                        within(*value);
                    });
                }
                _ => {}
            }
        }
    }

    #[test]
    fn tables_are_consistent() {
        check(&workflow::SCHEMA);
        check(&action::SCHEMA);
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn tables_are_those_of_the_published_schemas() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let specs = repository.join("../shared/specs");
        if !specs.join("workflow-v1.0.json").is_file() {
            println!("skipped: no published schemas at {}", specs.display());
            return;
        }
        let out = std::env::temp_dir().join(format!("workflow-schema-{}", std::process::id()));
        std::fs::create_dir_all(&out).expect("a temporary folder");
        let status =
            Command::new("python3").arg(repository.join("script/schema")).arg(&specs).arg(&out).status();
        if status.is_err() {
            println!("skipped: no python3");
            return;
        }
        for name in ["workflow.rs", "action.rs"] {
            let fresh = std::fs::read_to_string(out.join(name)).expect("the script writes both tables");
            let checked_in =
                std::fs::read_to_string(repository.join("crates/workflow/src/schema").join(name))
                    .expect("the table of the repository");
            assert_eq!(fresh, checked_in, "run script/schema");
        }
        std::fs::remove_dir_all(&out).expect("the folder can be removed");
    }
}
