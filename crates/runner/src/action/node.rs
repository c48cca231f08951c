//! JavaScript actions: `node` of the machine runs `pre`, `main` and `post`.

use std::sync::PoisonError;

use indexmap::IndexMap;
use run::event::Phase;

use super::resolve::Loaded;
use crate::environment::Globals;
use crate::job::{Fatal, Job};
use crate::process::{self, Around, Command};
use crate::step::End;

/// Runs one script of an action.
pub(crate) async fn run(
    around: &Around<'_>,
    loaded: &Loaded,
    script: &str,
    inputs: &IndexMap<String, String>,
    globals: &mut Globals,
) -> Result<End, Fatal> {
    let job = around.job;
    let path = process::search_path_of(around, globals);
    let Some(node) = job.which("node", &path).await? else {
        let message = "this machine has no `node`, which JavaScript actions need";
        job.lacks(message);
        return Ok(End::failed(message));
    };
    let variables = variables(job, &around.frame.path, inputs);
    let argv = vec![node, format!("{}/{script}", loaded.folder)];
    let command = Command { argv, folder: job.workspace.clone(), files: Vec::new(), variables };
    process::run(around, command, globals).await
}

/// The file of a phase, where the action has one.
pub(crate) fn script(runs: &workflow::model::ActionRuns, phase: Phase) -> Option<&str> {
    let workflow::model::ActionRuns::Node { main, pre, post, .. } = runs else { return None };
    match phase {
        Phase::Pre => pre.as_deref(),
        Phase::Main => Some(main.as_str()),
        Phase::Post => post.as_deref(),
    }
    .filter(|script| !script.is_empty())
}

fn variables(job: &Job, path: &str, inputs: &IndexMap<String, String>) -> Vec<(String, String)> {
    let states = job.states.lock().unwrap_or_else(PoisonError::into_inner);
    let states =
        states.get(path).into_iter().flatten().map(|(name, value)| (format!("STATE_{name}"), value.clone()));
    let inputs = inputs.iter().map(|(name, value)| (input_variable(name), value.clone()));
    states.chain(inputs).chain(job.options.services.iter().cloned()).collect()
}

/// The variable that an action finds an input in.
fn input_variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::input_variable;

    #[test]
    fn inputs_are_upper_case() {
        assert_eq!(input_variable("my Input-name"), "INPUT_MY_INPUT-NAME");
    }
}
