//! All events that may start a workflow: their activity types, the ones that count where a workflow names none, and
//! where their runs are.
//!
//! Names and types are those of GitHub's published schema, by which `on` is read; what the schema does not say stands in
//! [`ROWS`]. An event without a row starts workflows for all of its types, and runs on the default branch.

use crate::read::suggest::nearest;
use crate::schema::workflow::{ROOT_STRICT, SCHEMA};
use crate::schema::{DefinitionId, Kind, Property};

/// Which ref and commit a run of an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The last commit of the default branch.
    DefaultBranch,
    /// What was pushed.
    Pushed,
    /// The merge of a pull request into its base.
    Merge,
    /// The branch or tag that was created.
    Created,
    /// The tag of the release.
    Released,
    /// The branch of the merge group.
    MergeGroup,
    /// The ref that the run was asked for.
    Dispatched,
    /// The commit that is deployed, and its branch or tag where it has one.
    Deployed,
    /// The commit of the package, and its branch or tag.
    Packaged,
    /// That of the workflow that calls.
    Caller,
}

/// What the schema does not say of an event.
struct Row {
    event: &'static str,
    place: Place,
    /// The types that count where a workflow names none; all of them without this.
    default_types: Option<&'static [&'static str]>,
}

const CHANGED: Option<&[&str]> = Some(&["opened", "synchronize", "reopened"]);

const fn row(event: &'static str, place: Place) -> Row {
    Row { event, place, default_types: None }
}

const ROWS: [Row; 13] = [
    row("create", Place::Created),
    row("deployment", Place::Deployed),
    row("deployment_status", Place::Deployed),
    row("merge_group", Place::MergeGroup),
    Row { event: "pull_request", place: Place::Merge, default_types: CHANGED },
    row("pull_request_review", Place::Merge),
    row("pull_request_review_comment", Place::Merge),
    Row { event: "pull_request_target", place: Place::DefaultBranch, default_types: CHANGED },
    row("push", Place::Pushed),
    row("registry_package", Place::Packaged),
    row("release", Place::Released),
    row("workflow_call", Place::Caller),
    row("workflow_dispatch", Place::Dispatched),
];

/// One event of GitHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name, such as `push`.
    pub name: &'static str,
    /// Its activity types; empty where it has none, or they are free as those of `repository_dispatch`.
    pub types: &'static [&'static str],
    /// The types that start a workflow that names none; the same as `types` for most events.
    pub default_types: &'static [&'static str],
    /// Where its runs are.
    pub place: Place,
}

/// All events, in the order of GitHub's schema.
pub fn all() -> impl Iterator<Item = Known> {
    properties().iter().map(known)
}

/// The event with this name.
#[must_use]
pub fn find(name: &str) -> Option<Known> {
    properties().iter().find(|property| property.name == name).map(known)
}

/// The event that is meant by a name that none has.
#[must_use]
pub fn meant(name: &str) -> Option<&'static str> {
    nearest(name, properties().iter().map(|property| property.name))
}

fn known(property: &'static Property) -> Known {
    let row = ROWS.iter().find(|row| row.event == property.name);
    let types = types(property.definition);
    Known {
        name: property.name,
        types,
        default_types: row.and_then(|row| row.default_types).unwrap_or(types),
        place: row.map_or(Place::DefaultBranch, |row| row.place),
    }
}

/// The keys that `on` may have.
fn properties() -> &'static [Property] {
    property(ROOT_STRICT, "on")
        .and_then(|on| SCHEMA.mappings(on).left().first().copied())
        .map_or(&[], |on| on.properties)
}

fn property(of: DefinitionId, name: &str) -> Option<DefinitionId> {
    SCHEMA
        .mappings(of)
        .left()
        .iter()
        .find_map(|mapping| mapping.property(name))
        .map(|property| property.definition)
}

/// The texts that `types` of an event may have.
fn types(event: DefinitionId) -> &'static [&'static str] {
    property(event, "types").and_then(allowed_values).unwrap_or_default()
}

fn allowed_values(id: DefinitionId) -> Option<&'static [&'static str]> {
    match &SCHEMA.definition(id).kind {
        Kind::AllowedValues(values) => Some(values),
        Kind::OneOf(choices) => choices.iter().find_map(|choice| allowed_values(*choice)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, ROWS, all, find, meant};

    #[test]
    fn events_have_their_types() {
        assert_eq!(find("label").map(|event| event.types), Some(&["created", "edited", "deleted"][..]));
        let push = find("push").expect("it is an event");
        assert_eq!((push.types, push.place), (&[][..], Place::Pushed));
        assert_eq!(find("repository_dispatch").map(|event| event.types), Some(&[][..]));
        let request = find("pull_request").expect("it is an event");
        assert_eq!(request.default_types, ["opened", "synchronize", "reopened"]);
        assert!(request.types.contains(&"closed"));
        assert_eq!(find("issues").map(|event| event.types == event.default_types), Some(true));
        assert_eq!(find("Push"), None);
    }

    #[test]
    fn each_row_is_of_an_event_and_its_types() {
        for row in &ROWS {
            let event = find(row.event).unwrap_or_else(|| panic!("{} is no event", row.event));
            assert!(event.default_types.iter().all(|name| event.types.contains(name)), "{}", row.event);
        }
        assert_eq!(all().count(), 37);
    }

    #[test]
    fn misspelt_names() {
        assert_eq!(meant("pul_request"), Some("pull_request"));
        assert_eq!(meant("Push"), Some("push"));
        assert_eq!(meant("coffee_break"), None);
    }
}
