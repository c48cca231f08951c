//! Writes the table of `lint::known_actions` from a folder of action files named `OWNER+NAME[+PATH]@VERSION.yml`, `+`
//! standing for `/`. A file `OPEN` in it names, one a line, the repositories that may have newer versions than the
//! folder. Only the facts that rules need are written: names, and what is required or deprecated.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use workflow::model::{Action, ActionRuns};
use workflow::read::{ReadOptions, Strictness, parse_action};
use workflow::source::SourceFile;

/// Actions whose outputs depend on their inputs, or on scripts that they run.
const OPEN_OUTPUTS: [&str; 8] = [
    "actions/github-script",
    "aws-actions/amazon-ecr-login",
    "dorny/paths-filter",
    "google-github-actions/deploy-cloudrun",
    "googleapis/release-please-action",
    "nick-fields/retry",
    "slackapi/slack-github-action",
    "tj-actions/changed-files",
];

/// Actions whose branches set defaults of their own.
const BRANCHES_WITH_DEFAULTS: [&str; 1] = ["dtolnay/rust-toolchain"];

/// The versions of one major version of an action, the one that its tag names last.
type Versions = BTreeMap<(bool, Vec<u64>), Action>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: known_actions FOLDER")?;
    let open = std::fs::read_to_string(Path::new(&folder).join("OPEN")).unwrap_or_default();
    let mut actions: BTreeMap<String, BTreeMap<String, Versions>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some((name, version)) = named(&path) else { continue };
        let Some(action) = read(&path)? else { continue };
        let (major, order) = major_of(&version);
        actions.entry(name).or_default().entry(major).or_default().insert(order, action);
    }
    for (name, majors) in &actions {
        let newest = majors.keys().filter_map(|major| major.parse::<u64>().ok()).max();
        let may_be_newer = open.lines().any(|repository| is_in(name, repository));
        let mut lines: Vec<(Vec<String>, String)> = Vec::new();
        for (major, versions) in majors {
            let is_newest = major == "HEAD" || major.parse().ok() == newest;
            let facts = facts(name, versions, may_be_newer && is_newest);
            let known = with_minor(major, versions);
            match lines.iter_mut().find(|(_, other)| *other == facts) {
                Some((majors, _)) => majors.push(known),
                None => lines.push((vec![known], facts)),
            }
        }
        for (majors, facts) in lines {
            println!("{name}\t{}\t{facts}", majors.join(","));
        }
    }
    Ok(())
}

/// The action's name in lower case and its version.
fn named(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".yml")?.replace('+', "/");
    let (name, version) = name.split_once('@')?;
    Some((name.to_lowercase(), version.to_owned()))
}

fn read(path: &Path) -> std::io::Result<Option<Action>> {
    let file = SourceFile::from_bytes(path.display().to_string(), &std::fs::read(path)?);
    let options = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
    Ok(parse_action(&file, &options).value)
}

/// The major version, `HEAD` for none, and what orders the versions within it.
fn major_of(version: &str) -> (String, (bool, Vec<u64>)) {
    let numbers: Vec<u64> = version
        .rsplit('/')
        .next()
        .unwrap_or(version)
        .trim_start_matches('v')
        .split('.')
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers.first() {
        Some(major) => (major.to_string(), (numbers.len() == 1, numbers)),
        None => ("HEAD".to_owned(), (false, numbers)),
    }
}

/// Whether the action is one of the repository.
fn is_in(action: &str, repository: &str) -> bool {
    action.strip_prefix(repository).is_some_and(|path| path.is_empty() || path.starts_with('/'))
}

/// The major version with the newest minor version that is known of it.
fn with_minor(major: &str, versions: &Versions) -> String {
    match versions.keys().filter_map(|(_, numbers)| numbers.get(1)).max() {
        Some(minor) => format!("{major}.{minor}"),
        None => major.to_owned(),
    }
}

fn facts(name: &str, versions: &Versions, is_open: bool) -> String {
    let newest = versions.values().next_back().expect("a major version has a version");
    let mut inputs: BTreeSet<String> = BTreeSet::new();
    for action in versions.values() {
        inputs.extend(action.inputs.keys().map(|input| input.to_lowercase()));
    }
    let inputs: Vec<String> = inputs
        .iter()
        .map(|input| {
            let marked = marked(input, versions, newest);
            match BRANCHES_WITH_DEFAULTS.contains(&name) {
                true => marked.trim_start_matches('!').to_owned(),
                false => marked,
            }
        })
        .collect();
    let inputs = inputs.into_iter().chain(is_open.then(|| "*".to_owned())).collect::<Vec<_>>();
    let mut outputs: BTreeSet<String> = BTreeSet::new();
    for action in versions.values() {
        outputs.extend(action.outputs.keys().map(|output| output.to_lowercase()));
    }
    let mut outputs: Vec<String> = outputs.into_iter().collect();
    if OPEN_OUTPUTS.contains(&name) {
        outputs.insert(0, "*".to_owned());
    }
    format!("{}\t{}\t{}", runtime(newest), inputs.join(" "), outputs.join(" "))
}

/// An input with `!` where every version wants it, and `~` where the newest one deprecates it.
fn marked(name: &str, versions: &Versions, newest: &Action) -> String {
    let find = |action: &Action| {
        action
            .inputs
            .iter()
            .find(|(input, _)| input.eq_ignore_ascii_case(name))
            .map(|(_, input)| input.clone())
    };
    let required = versions
        .values()
        .all(|action| find(action).is_some_and(|input| input.required && input.default.is_none()));
    let deprecated = find(newest).is_some_and(|input| input.deprecation_message.is_some());
    format!("{}{}{name}", if required { "!" } else { "" }, if deprecated { "~" } else { "" })
}

fn runtime(action: &Action) -> &str {
    match &action.runs {
        ActionRuns::Node { using, .. } => using,
        ActionRuns::Composite { .. } => "composite",
        ActionRuns::Docker { .. } => "docker",
        ActionRuns::Plugin { .. } => "plugin",
    }
}
