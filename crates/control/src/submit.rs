//! What a run is made of.

use std::fmt;

use run::event::{EventKind, Timestamp};
use store::NewRun;
use workflow::plan::Plan;

/// A run to be.
pub struct Submission {
    /// What runs.
    pub plan: Plan,
    /// The repository's root folder, or its name where it has no folder here.
    pub root: String,
    /// The `secrets` of the run. They stay in memory.
    pub secrets: Vec<(String, String)>,
    /// What the run takes over from another one, as [`run::resume`] says.
    pub taken_over: Vec<EventKind>,
}

impl fmt::Debug for Submission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Submission")
            .field("file", &self.plan.root.workflow.file)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// The workflow's name, or its file where it has none.
fn name(plan: &Plan) -> String {
    let workflow = &plan.root.workflow;
    workflow.name.as_ref().map_or_else(|| workflow.file.to_string(), |name| name.value.clone())
}

/// A run's first event.
pub(crate) fn first_event(plan: &Plan) -> EventKind {
    EventKind::RunQueued {
        workflow: name(plan),
        file: plan.root.workflow.file.to_string(),
        event: plan.event.name.to_string(),
    }
}

/// What the store keeps of a run beside its events.
pub(crate) fn row(plan: &Plan, root: &str, created: Timestamp) -> Result<NewRun, serde_json::Error> {
    let github =
        |key: &str| plan.github.get(key).map(|value| value.to_text().into_owned()).unwrap_or_default();
    Ok(NewRun {
        root: root.to_owned(),
        workflow: name(plan),
        file: plan.root.workflow.file.to_string(),
        event: plan.event.name.to_string(),
        reference: github("ref"),
        sha: github("sha"),
        plan: serde_json::to_vec(plan)?,
        created,
    })
}
