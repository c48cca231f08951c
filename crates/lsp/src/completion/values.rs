//! Values: those of the schema, and what the rest of the file and of the repository gives.

use lsp_types::CompletionItemKind;
use workflow::model::InputType;
use workflow::schema::Place;

use super::Proposal;
use crate::cursor::Cursor;
use crate::references;
use crate::repository::Repository;

/// Labels of GitHub's own runners that every repository may use.
const RUNNER_LABELS: [&str; 13] = [
    "ubuntu-latest",
    "ubuntu-26.04",
    "ubuntu-24.04",
    "ubuntu-24.04-arm",
    "ubuntu-slim",
    "windows-latest",
    "windows-2025",
    "windows-2022",
    "windows-11-arm",
    "macos-latest",
    "macos-26",
    "macos-15",
    "self-hosted",
];
/// Shells that GitHub knows by name.
const SHELLS: [&str; 6] = ["bash", "sh", "pwsh", "powershell", "cmd", "python"];
/// What actions may run with.
const RUNTIMES: [&str; 4] = ["node24", "node20", "composite", "docker"];

/// Values in the line of their key: also those of one item, where a sequence may be written as that.
pub(super) fn of_key(cursor: &Cursor<'_>, owner: usize, repository: Repository<'_>) -> Vec<Proposal> {
    let place = cursor.place(Some(owner), None);
    let mut found = place.as_ref().map(of_place).unwrap_or_default();
    found.extend(of_path(cursor, owner, repository));
    found
}

/// Items of the sequence of a key that are not there yet.
pub(super) fn of_item(cursor: &Cursor<'_>, owner: usize, repository: Repository<'_>) -> Vec<Proposal> {
    let item = cursor.place(Some(owner), None).and_then(|place| place.item());
    let Some(item) = item else { return Vec::new() };
    let mut found = of_place(&item);
    found.extend(of_path(cursor, owner, repository));
    let offset = cursor.offset;
    let others = cursor.outline.values(owner, cursor.text).into_iter();
    let is_other =
        |span: workflow::source::Span| (span.end as usize) < offset || offset < span.start as usize;
    let others: Vec<_> = others.filter(|(_, span)| is_other(*span)).map(|(text, _)| text).collect();
    found.retain(|value| !others.contains(&value.insert.as_str()));
    found
}

fn of_place(place: &Place) -> Vec<Proposal> {
    let values = place.values().into_iter().map(|value| {
        Proposal::new(value.text, CompletionItemKind::ENUM_MEMBER).documentation(value.description)
    });
    values.collect()
}

fn listed(values: &[&str]) -> Vec<Proposal> {
    values.iter().map(|value| Proposal::new(*value, CompletionItemKind::VALUE)).collect()
}

/// Values that only the path tells.
fn of_path(cursor: &Cursor<'_>, owner: usize, repository: Repository<'_>) -> Vec<Proposal> {
    let keys = cursor.keys_to(Some(owner));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    match keys[..] {
        ["jobs", job, "needs"] => jobs(cursor, job),
        ["jobs", _, "runs-on"] | ["jobs", _, "runs-on", "labels"] => listed(&RUNNER_LABELS),
        ["jobs", _, "uses"] => workflows(repository),
        ["jobs", _, "with", input] => values_of_input(cursor, owner, input, repository),
        ["on", "workflow_run", "workflows"] => names_of_workflows(repository),
        ["runs", "using"] => listed(&RUNTIMES),
        [.., "steps", "*", "uses"] => actions(repository),
        [.., "steps", "*", "shell"] | [.., "defaults", "run", "shell"] => listed(&SHELLS),
        _ => Vec::new(),
    }
}

fn jobs(cursor: &Cursor<'_>, own: &str) -> Vec<Proposal> {
    let jobs = cursor.outline.at(&["jobs"]);
    let ids = jobs.into_iter().flat_map(|jobs| cursor.outline.children(Some(jobs)));
    let others = ids.filter_map(|number| {
        let id = cursor.outline.name(number)?;
        let name = cursor
            .outline
            .find(Some(number), "name")
            .and_then(|name| cursor.outline.value(name, cursor.text));
        let proposal = Proposal::new(id, CompletionItemKind::REFERENCE).detail(name.unwrap_or_default());
        (!id.eq_ignore_ascii_case(own)).then_some(proposal)
    });
    others.collect()
}

/// The workflows of the repository that may be called.
fn workflows(repository: Repository<'_>) -> Vec<Proposal> {
    let callable = repository.workflows().into_iter().filter_map(|path| {
        let uses = format!("./{path}");
        let workflow = references::workflow(&uses, repository)?;
        references::call(&workflow)?;
        let name = workflow.name.map(|name| name.value).unwrap_or_default();
        Some(Proposal::new(uses, CompletionItemKind::FILE).detail(name))
    });
    callable.collect()
}

fn names_of_workflows(repository: Repository<'_>) -> Vec<Proposal> {
    let names = repository.workflows().into_iter().filter_map(|path| {
        let workflow = references::workflow(&format!("./{path}"), repository)?;
        Some(Proposal::new(workflow.name?.value, CompletionItemKind::VALUE).detail(path))
    });
    names.collect()
}

/// The actions of the repository.
fn actions(repository: Repository<'_>) -> Vec<Proposal> {
    let actions = repository.actions().into_iter().map(|folder| {
        let uses = format!("./{folder}");
        let action = references::action(&uses, repository);
        let (name, description) = action.map(|action| (action.name, action.description)).unwrap_or_default();
        Proposal::new(uses, CompletionItemKind::FOLDER)
            .detail(name.unwrap_or_default())
            .documentation(description.unwrap_or_default())
    });
    actions.collect()
}

/// A boolean input of a called workflow has two values.
fn values_of_input(
    cursor: &Cursor<'_>,
    owner: usize,
    input: &str,
    repository: Repository<'_>,
) -> Vec<Proposal> {
    let outline = &cursor.outline;
    let job = outline.entry(owner).parent.and_then(|with| outline.entry(with).parent);
    let uses = outline.find(job, "uses").and_then(|uses| outline.value(uses, cursor.text));
    let workflow = uses.and_then(|uses| references::workflow(uses, repository));
    let inputs = workflow.as_ref().and_then(references::call).map(|call| &call.call_inputs);
    let is_boolean =
        inputs.and_then(|inputs| inputs.get(input)).is_some_and(|input| input.kind == InputType::Boolean);
    if is_boolean { listed(&["true", "false"]) } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use workflow::lint::check_workflow;
    use workflow::read::ReadOptions;
    use workflow::source::SourceFile;

    use super::{RUNNER_LABELS, SHELLS};
    use crate::repository::{NoSettings, RepositorySettings};

    /// The findings at the value in a workflow.
    fn check(text: &str, value: &str) {
        let file = SourceFile::new("w.yml", text);
        let settings = NoSettings.settings(&NoActions);
        let found = check_workflow(&file, &ReadOptions::default(), &settings).diagnostics;
        let at_value =
            found.iter().filter(|finding| finding.primary.is_some_and(|span| file.slice(span) == value));
        assert_eq!(
            at_value.map(|finding| &finding.message).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{value}"
        );
    }

    struct NoActions;

    impl workflow::lint::ResolveAction for NoActions {
        fn resolve(&self, _: &str) -> workflow::lint::ActionResolution {
            workflow::lint::ActionResolution::Unknown
        }
    }

    #[test]
    fn what_is_proposed_has_no_findings() {
        let workflow = |runner: &str, shell: &str| {
            format!(
                "on: workflow_dispatch\njobs:\n  a:\n    runs-on: {runner}\n    steps:\n      - run: x\n        shell: {shell}\n"
            )
        };
        for label in RUNNER_LABELS.into_iter().filter(|label| *label != "self-hosted") {
            check(&workflow(label, "pwsh"), label);
        }
        for shell in SHELLS {
            let runner =
                if matches!(shell, "cmd" | "powershell") { "windows-latest" } else { "ubuntu-latest" };
            check(&workflow(runner, shell), shell);
        }
    }
}
