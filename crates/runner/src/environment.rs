//! The environment of a job and of its processes.
//!
//! What comes later wins: the machine's own variables, the workflow's `env`, the job's, what steps wrote to
//! `GITHUB_ENV`, the step's `env`, then inputs and state of an action; last what the runner itself says
//! (`GITHUB_*`, `RUNNER_*`), which nobody can change.

use indexmap::IndexMap;
use workflow::expr::{Object, Value};

/// The properties of the `github` context that processes see as `GITHUB_*`.
const GITHUB_VARIABLES: [&str; 40] = [
    "action_path",
    "action_ref",
    "action_repository",
    "action",
    "actor",
    "actor_id",
    "api_url",
    "artifacts",
    "artifacts_list",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "output",
    "path",
    "ref_name",
    "ref_protected",
    "ref_type",
    "ref",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
    "secret_source",
];

/// What steps of a job hand on to later ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globals {
    /// `env` of workflow and job, and what steps set since.
    env: IndexMap<String, String>,
    /// What steps added to the search path, the oldest first.
    paths: Vec<String>,
    /// What was set since [`Globals::fork`]; only a copy keeps it.
    changes: Option<Vec<Change>>,
}

#[derive(Clone, Debug)]
enum Change {
    Env(String, String),
    Path(String),
}

impl Globals {
    /// With these variables and folders, the oldest first.
    pub(crate) fn new(env: IndexMap<String, String>, paths: Vec<String>) -> Self {
        Self { env, paths, changes: None }
    }

    pub(crate) fn env(&self) -> &IndexMap<String, String> {
        &self.env
    }

    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// A copy for a step that runs beside others.
    pub(crate) fn fork(&self) -> Self {
        Self { changes: Some(Vec::new()), env: self.env.clone(), paths: self.paths.clone() }
    }

    /// Takes over what a copy has set.
    pub(crate) fn join(&mut self, copy: Self) {
        for change in copy.changes.into_iter().flatten() {
            match change {
                Change::Env(name, value) => self.set_env(name, value),
                Change::Path(path) => self.add_path(path),
            }
        }
    }

    pub(crate) fn set_env(&mut self, name: String, value: String) {
        if let Some(changes) = &mut self.changes {
            changes.push(Change::Env(name.clone(), value.clone()));
        }
        self.env.insert(name, value);
    }

    /// Puts a folder in front of the search path, also where it was there before.
    pub(crate) fn add_path(&mut self, path: String) {
        self.paths.retain(|known| *known != path);
        if let Some(changes) = &mut self.changes {
            changes.push(Change::Path(path.clone()));
        }
        self.paths.push(path);
    }

    /// The `env` context, with variables of the step on top.
    pub(crate) fn context(&self, step: &IndexMap<String, String>) -> Value {
        let mut object = Object::case_sensitive();
        for (name, value) in self.env.iter().chain(step) {
            object.insert(name.as_str(), value.as_str());
        }
        object.into()
    }

    /// The search path of a step with these own variables in a machine with this environment.
    pub(crate) fn search_path(
        &self,
        step: &IndexMap<String, String>,
        machine: &[(String, String)],
    ) -> String {
        let machine = || machine.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
        search_path(&self.paths, self.variable(step, "PATH").or_else(machine)).unwrap_or_default()
    }

    /// One variable as a step with these own variables sees it in `env`.
    pub(crate) fn variable<'a>(&'a self, step: &'a IndexMap<String, String>, name: &str) -> Option<&'a str> {
        step.get(name).or_else(|| self.env.get(name)).map(String::as_str)
    }
}

/// The parts of a process's environment, in the order in which they win.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// By what the process's orphans are known; a step that sets the variable itself keeps them.
    pub(crate) tracking: String,
    /// What the machine says.
    pub(crate) machine: &'a [(String, String)],
    /// What the job has set.
    pub(crate) globals: &'a Globals,
    /// `env` of the step, and of the composite actions around it.
    pub(crate) step: &'a IndexMap<String, String>,
    /// Inputs, state and services of an action.
    pub(crate) action: Vec<(String, String)>,
    /// The `github` context.
    pub(crate) github: &'a Value,
    /// The `runner` context.
    pub(crate) runner: &'a Value,
}

impl Parts<'_> {
    /// The whole environment.
    pub(crate) fn assemble(self) -> Vec<(String, String)> {
        let mut all: IndexMap<&str, std::borrow::Cow<'_, str>> = IndexMap::new();
        all.insert("CI", "true".into());
        all.insert("RUNNER_TRACKING_ID", self.tracking.into());
        for (name, value) in self.machine {
            all.insert(name, value.into());
        }
        for (name, value) in self.globals.env.iter().chain(self.step) {
            all.insert(name, value.into());
        }
        for (name, value) in &self.action {
            all.insert(name, value.into());
        }
        let path = search_path(&self.globals.paths, all.get("PATH").map(AsRef::as_ref));
        if let Some(path) = path {
            all.insert("PATH", path.into());
        }
        all.insert("GITHUB_ACTIONS", "true".into());
        let mut variables: Vec<(String, String)> =
            all.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        for (name, value) in context_variables(self.github, self.runner) {
            match variables.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => variables.push((name, value)),
            }
        }
        // A process cannot be given such names or values at all.
        variables
            .retain(|(name, value)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
        variables
    }
}

/// `PATH` with what steps added in front, the newest first; `None` where there is nothing at all.
fn search_path(added: &[String], original: Option<&str>) -> Option<String> {
    let parts = added.iter().rev().map(String::as_str).chain(original.filter(|path| !path.is_empty()));
    let joined = parts.collect::<Vec<_>>().join(":");
    (!joined.is_empty()).then_some(joined)
}

fn context_variables(github: &Value, runner: &Value) -> impl Iterator<Item = (String, String)> {
    let entries = |value: &Value, prefix: &'static str, known: Option<&'static [&'static str]>| {
        let object = value.as_object();
        let entries = object.into_iter().flat_map(Object::iter);
        entries
            .filter(|(name, value)| value.is_primitive() && known.is_none_or(|known| known.contains(name)))
            .filter(|(_, value)| !matches!(value, Value::Null))
            .map(|(name, value)| (format!("{prefix}_{}", name.to_uppercase()), value.to_text().into_owned()))
            .collect::<Vec<_>>()
    };
    let mut all = entries(github, "GITHUB", Some(&GITHUB_VARIABLES));
    all.extend(entries(runner, "RUNNER", None));
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use workflow::expr::{Object, Value};

    use super::{Globals, Parts};

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn object(entries: &[(&str, &str)]) -> Value {
        entries.iter().copied().collect::<Object>().into()
    }

    fn check(globals: &Globals, step: &[(&str, &str)], name: &str, expected: Option<&str>) {
        let step: IndexMap<String, String> = pairs(step).into_iter().collect();
        let parts = Parts {
            tracking: "github_1".to_owned(),
            machine: &pairs(&[("PATH", "/bin"), ("HOME", "/h"), ("X", "machine")]),
            globals,
            step: &step,
            action: pairs(&[("INPUT_A", "1")]),
            github: &object(&[("sha", "abc"), ("token", "secret")]),
            runner: &object(&[("os", "Linux")]),
        };
        let all = parts.assemble();
        let found: Vec<&str> =
            all.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }

    #[test]
    fn later_parts_win() {
        let mut globals = Globals::default();
        check(&globals, &[], "X", Some("machine"));
        globals.set_env("X".into(), "job".into());
        check(&globals, &[], "X", Some("job"));
        check(&globals, &[("X", "step")], "X", Some("step"));
        check(&globals, &[("INPUT_A", "step")], "INPUT_A", Some("1"));
    }

    #[test]
    fn the_runner_has_the_last_word() {
        let mut globals = Globals::default();
        globals.set_env("GITHUB_SHA".into(), "forged".into());
        globals.set_env("GITHUB_OTHER".into(), "kept".into());
        check(&globals, &[("RUNNER_OS", "forged")], "GITHUB_SHA", Some("abc"));
        check(&globals, &[("RUNNER_OS", "forged")], "RUNNER_OS", Some("Linux"));
        check(&globals, &[], "GITHUB_OTHER", Some("kept"));
        check(&globals, &[], "GITHUB_TOKEN", None);
        check(&globals, &[("CI", "false")], "CI", Some("false"));
        check(&globals, &[], "GITHUB_ACTIONS", Some("true"));
        check(&globals, &[], "RUNNER_TRACKING_ID", Some("github_1"));
        check(&globals, &[("RUNNER_TRACKING_ID", "")], "RUNNER_TRACKING_ID", Some(""));
    }

    #[test]
    fn the_newest_folder_is_the_first_of_the_path() {
        let mut globals = Globals::default();
        for path in ["/a", "/b", "/a"] {
            globals.add_path(path.into());
        }
        check(&globals, &[], "PATH", Some("/a:/b:/bin"));
        check(&globals, &[("PATH", "/own")], "PATH", Some("/a:/b:/own"));
    }

    #[test]
    fn copies_are_joined_by_what_they_changed() {
        let mut globals = Globals::default();
        globals.set_env("A".into(), "1".into());
        let mut copy = globals.fork();
        copy.set_env("B".into(), "2".into());
        globals.set_env("A".into(), "3".into());
        globals.join(copy);
        check(&globals, &[], "A", Some("3"));
        check(&globals, &[], "B", Some("2"));
        assert!(globals.changes.is_none(), "what a job sets again and again is kept once");
    }
}
