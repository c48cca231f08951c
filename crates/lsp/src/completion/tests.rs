//! Proposals in texts in which `¦` marks the place, in a repository with an action and a workflow that can be called.

use std::path::Path;

use super::{Proposal, at};
use crate::cursor::Cursor;
use crate::repository::{Documents, Kind, Repository};

const JOB: &str = "on: push\njobs:\n  build:\n    name: Build it\n    runs-on: ubuntu-latest\n";
const ACTION: &str = "name: Setup\ndescription: Sets up\ninputs:\n  version:\n    description: Which one\n    required: true\n  cache:\n    description: Whether\n    default: 'true'\noutputs:\n  path:\n    description: Where\n    value: x\nruns:\n  using: composite\n  steps: []\n";
const CALLED: &str = "name: Deploy\non:\n  workflow_call:\n    inputs:\n      target:\n        type: string\n        required: true\n      dry:\n        type: boolean\n    secrets:\n      key:\n        required: true\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n";

fn proposals_in(marked: &str, kind: Kind) -> Vec<Proposal> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(".github/actions/setup/action.yml", ACTION);
    write(".github/workflows/deploy.yml", CALLED);
    write(
        ".github/workflows/other.yml",
        "name: Other\non: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n",
    );
    proposals(marked, kind, folder.path())
}

fn proposals(marked: &str, kind: Kind, root: &Path) -> Vec<Proposal> {
    let offset = marked.find('¦').expect("a place");
    let text = marked.replacen('¦', "", 1);
    let cursor = Cursor::at(&text, offset, kind);
    let documents = Documents::new();
    let repository = Repository::new(Some(root), &documents);
    at(&cursor, None, repository).map(|(_, proposals)| proposals).unwrap_or_default()
}

/// What is written for each proposal.
fn inserts(marked: &str) -> Vec<String> {
    proposals_in(marked, Kind::Workflow).into_iter().map(|proposal| proposal.insert).collect()
}

fn check(marked: &str, expected: &[&str]) {
    assert_eq!(inserts(marked), expected, "{marked}");
}

fn check_has(marked: &str, has: &[&str], lacks: &[&str]) {
    let found = inserts(marked);
    for text in has {
        assert!(found.iter().any(|insert| insert == text), "{text} in {found:?} of {marked}");
    }
    for text in lacks {
        assert!(!found.iter().any(|insert| insert == text), "{text} in {found:?} of {marked}");
    }
}

#[test]
fn keys_that_are_not_there_yet() {
    check_has("¦", &["on: ", "jobs:", "name: "], &["runs-on: "]);
    check_has("on: push\njo¦\n", &["jobs:"], &["on: "]);
    check_has(&format!("{JOB}    ¦\n"), &["steps:", "if: ", "needs: "], &["runs-on: ", "uses: ", "name: "]);
    check_has("jobs:\n  a:\n    uses: x\n    ¦\n", &["with:", "secrets: "], &["steps:"]);
    check_has(&format!("{JOB}    steps:\n      - ¦\n"), &["run: ", "uses: "], &["background: "]);
    check_has(
        &format!("{JOB}    steps:\n      - run: x\n        ¦\n"),
        &["shell: ", "env:"],
        &["with:", "run: "],
    );
    check_has(&format!("{JOB}    steps:\n      ¦\n"), &["- run: ", "- uses: "], &["run: "]);
    check_has("on:\n  push:\n    ¦\n", &["branches: ", "paths-ignore: "], &["types: "]);
    check_has(&format!("{JOB}    r¦uns: x\n"), &["steps"], &["steps:", "runs-on"]);
    check_has("permissions: {¦}\n", &["contents: ", "id-token: "], &[]);
    check(&format!("{JOB}    env:\n      ¦\n"), &[]);
}

#[test]
fn values_of_the_schema() {
    check_has("on: ¦\n", &["push", "pull_request", "workflow_dispatch"], &[]);
    check_has("on: [push, ¦]\n", &["pull_request"], &["push"]);
    check_has("on:\n  ¦\n", &["push:", "- push", "push"], &[]);
    check("permissions:\n  contents: ¦\n", &["read", "write", "none"]);
    check_has("on:\n  issues:\n    types: [opened, cl¦]\n", &["closed"], &["opened"]);
    check_has("on:\n  issues:\n    types:\n      - ¦\n", &["opened"], &[]);
    check(&format!("{JOB}    strategy:\n      fail-fast: ¦\n"), &["true", "false"]);
    check("name: ¦\n", &[]);
}

#[test]
fn jobs_that_may_be_needed() {
    let jobs = "jobs:\n  a:\n    name: First\n  b:\n    runs-on: x\n  c:\n";
    check(&format!("{jobs}    needs: ¦\n"), &["a", "b"]);
    check(&format!("{jobs}    needs: [b, ¦]\n"), &["a"]);
    check(&format!("{jobs}    needs:\n      - ¦\n      - a\n"), &["b"]);
    check(&format!("{jobs}    needs:\n      ¦\n"), &["- a", "- b", "a", "b"]);
    let found = proposals_in(&format!("{jobs}    needs: ¦\n"), Kind::Workflow);
    assert_eq!(found[0].detail.as_deref(), Some("First"));
}

#[test]
fn runners_shells_and_runtimes() {
    check_has("jobs:\n  a:\n    runs-on: ¦\n", &["ubuntu-latest", "self-hosted"], &[]);
    check_has("jobs:\n  a:\n    runs-on: [self-hosted, ¦]\n", &["ubuntu-latest"], &["self-hosted"]);
    check_has(&format!("{JOB}    steps:\n      - run: x\n        shell: ¦\n"), &["bash", "pwsh"], &[]);
    check_has("defaults:\n  run:\n    shell: b¦\n", &["bash"], &[]);
    let action = proposals_in("runs:\n  using: ¦\n", Kind::Action);
    assert!(action.iter().any(|proposal| proposal.insert == "composite"), "{action:?}");
}

#[test]
fn actions_and_workflows_of_the_repository() {
    let uses = |rest: &str| format!("{JOB}    steps:\n      - uses: {rest}");
    check(&uses("¦\n"), &["./.github/actions/setup"]);
    check(&uses("./.github/actions/setup\n        with:\n          ¦\n"), &["version: ", "cache: "]);
    check(
        &uses("./.github/actions/setup\n        with:\n          version: 1\n          c¦\n"),
        &["cache: "],
    );
    check(&uses("./.github/actions/setup\n        with: {¦}\n"), &["version: ", "cache: "]);
    check(&uses("./missing\n        with:\n          ¦\n"), &[]);
    check("jobs:\n  a:\n    uses: ¦\n", &["./.github/workflows/deploy.yml"]);
    let call = "jobs:\n  a:\n    uses: ./.github/workflows/deploy.yml\n";
    check(&format!("{call}    with:\n      ¦\n"), &["target: ", "dry: "]);
    check(&format!("{call}    with:\n      dry: ¦\n"), &["true", "false"]);
    check_has(&format!("{call}    secrets:\n      ¦\n"), &["key: "], &[]);
    check("on:\n  workflow_run:\n    workflows: [¦]\n", &["Deploy", "Other"]);
    let found = proposals_in(&uses("./.github/actions/setup\n        with:\n          ¦\n"), Kind::Workflow);
    assert_eq!((found[0].detail.as_deref(), &*found[0].documentation), (Some("required"), "Which one"));
}

#[test]
fn contexts_and_functions_that_the_place_admits() {
    let run = format!("{JOB}    steps:\n      - run: echo ${{{{ ¦ }}}}\n");
    check_has(&run, &["github", "steps", "secrets", "hashFiles", "toJSON"], &["success()"]);
    check_has(&format!("{JOB}    if: ¦\n"), &["needs", "success()", "always()"], &["steps", "hashFiles"]);
    check_has(
        &format!("{JOB}    steps:\n      - if: fai¦\n"),
        &["failure()", "hashFiles", "env"],
        &["secrets"],
    );
    check(&format!("{JOB}    steps:\n      - run: echo ¦\n"), &[]);
    check("name: ${{ ¦ }}\n", &[]);
}

#[test]
fn properties_of_contexts() {
    let run = |text: &str| {
        format!(
            "{JOB}    steps:\n      - id: first\n        uses: ./.github/actions/setup\n      - run: echo ${{{{ {text} }}}}\n"
        )
    };
    check_has(&run("github.¦"), &["ref", "event", "sha"], &["steps"]);
    check(&run("steps.¦"), &["first"]);
    check_has(&run("steps.first.¦"), &["outputs", "outcome"], &[]);
    check(&run("steps.first.outputs.¦"), &["path"]);
    check(&run("steps['¦']"), &["first"]);
    check_has(&format!("{JOB}    steps:\n      - run: echo ${{{{ runner.¦\n"), &["os", "temp"], &[]);
    check(&format!("{JOB}  next:\n    needs: build\n    if: needs.¦\n"), &["build"]);
    check_has(
        &format!("{JOB}  next:\n    needs: build\n    if: needs.build.¦\n"),
        &["result", "outputs"],
        &[],
    );
    let matrix = format!(
        "{JOB}    strategy:\n      matrix:\n        os: [a]\n        v: [1]\n    env:\n      X: ${{{{ matrix.¦ }}}}\n"
    );
    check(&matrix, &["os", "v"]);
    let env = format!(
        "env:\n  A: 1\n{JOB}    env:\n      B: 2\n    steps:\n      - env: {{C: 3}}\n        run: ${{{{ env.¦ }}}}\n"
    );
    check(&env, &["A", "B", "C"]);
    check_has(&run("secrets.¦ || secrets.KEY"), &["GITHUB_TOKEN", "KEY"], &[]);
}

#[test]
fn types_come_from_the_last_whole_text_where_nothing_else_tells() {
    let text = format!("{JOB}    if: needs.\n  next: [\n  {{\n");
    let whole = format!("{JOB}    needs: first\n  first:\n    runs-on: x\n    steps:\n      - run: x\n");
    let offset = text.find("needs.").expect("a place") + "needs.".len();
    let cursor = Cursor::at(&text, offset, Kind::Workflow);
    let documents = Documents::new();
    let repository = Repository::new(None, &documents);
    let labels = |last_whole| {
        let (_, found) = at(&cursor, last_whole, repository).expect("an expression");
        found.into_iter().map(|proposal| proposal.label).collect::<Vec<_>>()
    };
    assert_eq!(labels(Some(&whole)), ["first"]);
    assert_eq!(labels(None), Vec::<String>::new());
}

#[test]
fn inputs_of_public_actions() {
    let with = format!("{JOB}    steps:\n      - uses: actions/checkout@v4\n        with:\n          ¦\n");
    check_has(&with, &["fetch-depth: ", "ref: "], &[]);
}
