//! Which secrets a job gets: the run's, or what the calls on the way to the job hand down.
//!
//! Secrets are in no event and no plan; they are worked out when a job is leased.

use workflow::expr::{Contexts, Object, Value};
use workflow::model::{CallSecrets, JobKind};
use workflow::plan::{EvaluationError, Plan};

use crate::id::JobId;
use crate::scope::path;
use crate::state::RunState;

/// The secret that every job has.
pub const TOKEN: &str = "GITHUB_TOKEN";

/// The `secrets` context of a leg that is known, from the run's secrets.
///
/// # Errors
/// When the `secrets` of a calling job cannot be evaluated.
pub fn secrets_of(
    plan: &Plan,
    state: &RunState,
    job: &JobId,
    secrets: &[(String, String)],
) -> Result<Vec<(String, String)>, EvaluationError> {
    let mut secrets = secrets.to_vec();
    let places = path(plan, state, job);
    let callers = places.len().saturating_sub(1);
    for place in &places[..callers] {
        let JobKind::Call(call) = &place.job.kind else { continue };
        let token = secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN)).cloned();
        let mut given = match &call.secrets {
            CallSecrets::Inherit => continue,
            CallSecrets::None => Vec::new(),
            CallSecrets::Map(map) => {
                let contexts = with_secrets(&place.contexts, &secrets);
                texts(&place.scope.planned.evaluate(map, &contexts)?)
            }
        };
        given.retain(|(name, _)| !name.eq_ignore_ascii_case(TOKEN));
        given.extend(token);
        secrets = given;
    }
    Ok(secrets)
}

fn with_secrets(contexts: &Contexts, secrets: &[(String, String)]) -> Contexts {
    let secrets = secrets.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    contexts.clone().with("secrets", secrets.collect::<Object>())
}

fn texts(map: &Value) -> Vec<(String, String)> {
    let entries = map.as_object().into_iter().flat_map(Object::iter);
    entries.map(|(name, value)| (name.to_owned(), value.to_text().into_owned())).collect()
}
