//! Moves values, notation by notation.

use std::collections::HashMap;

use proptest::prelude::{prop, proptest};

use super::{is_read_again, name_of};
use crate::lint::{ActionResolution, ResolveAction, Settings, check_workflow};
use crate::read::ReadOptions;
use crate::source::SourceFile;

struct NoActions;

impl ResolveAction for NoActions {
    fn resolve(&self, _uses: &str) -> ActionResolution {
        ActionResolution::Unknown
    }
}

/// A workflow whose one job has these keys.
fn workflow(job: &str) -> String {
    format!("on: [pull_request, workflow_dispatch]\njobs:\n  a:\n{job}")
}

/// The text after the first fix, and how many findings of injections are left.
fn fixed(text: &str) -> (String, usize) {
    let levels = HashMap::new();
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &NoActions };
    let found = |text: &str| {
        let file = SourceFile::new("f.yml", text);
        let found = check_workflow(&file, &ReadOptions::default(), &settings).diagnostics;
        assert!(found.iter().all(|finding| !finding.is_error()), "{text}: {found:#?}");
        found.into_iter().filter(|finding| finding.code == "script-injection").collect::<Vec<_>>()
    };
    let fix = found(text).into_iter().find_map(|finding| finding.fix);
    let mut text = text.to_owned();
    for edit in fix.into_iter().flat_map(|fix| fix.edits).rev() {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    let left = found(&text).len();
    (text, left)
}

/// The one fix of a job makes it that job, which has no finding any more.
fn check(job: &str, expected: &str) {
    assert_eq!(fixed(&workflow(job)), (workflow(expected), 0));
}

/// There is a finding, but no fix.
fn check_none(job: &str) {
    let (text, left) = fixed(&workflow(job));
    assert_eq!(text, workflow(job));
    assert!(left > 0, "{job}");
}

#[test]
fn shells_have_their_own_variables() {
    check(
        "    runs-on: windows-latest\n    steps:\n      - run: echo ${{ github.head_ref }} \"a${{ github.head_ref }}.b\"\n",
        "    runs-on: windows-latest\n    steps:\n      - env:\n          HEAD_REF: ${{ github.head_ref }}\n        run: echo $env:HEAD_REF \"a${env:HEAD_REF}.b\"\n",
    );
    check(
        "    runs-on: windows-latest\n    defaults: {run: {shell: bash}}\n    steps:\n      - name: x\n        run: |\n          echo ${{ github.head_ref }}\n",
        "    runs-on: windows-latest\n    defaults: {run: {shell: bash}}\n    steps:\n      - name: x\n        env:\n          HEAD_REF: ${{ github.head_ref }}\n        run: |\n          echo \"$HEAD_REF\"\n",
    );
    check(
        "    strategy: {matrix: {os: [ubuntu-24.04, macos-15]}}\n    runs-on: ${{ matrix.os }}\n    steps:\n      - run: echo ${{ github.head_ref }}",
        "    strategy: {matrix: {os: [ubuntu-24.04, macos-15]}}\n    runs-on: ${{ matrix.os }}\n    steps:\n      - env:\n          HEAD_REF: ${{ github.head_ref }}\n        run: echo \"$HEAD_REF\"",
    );
    check_none(
        "    strategy: {matrix: {os: [ubuntu-24.04, windows-2025]}}\n    runs-on: ${{ matrix.os }}\n    steps:\n      - run: echo ${{ github.head_ref }}\n",
    );
    check_none("    runs-on: own\n    steps:\n      - run: echo ${{ github.head_ref }}\n");
    check_none(
        "    runs-on: ubuntu-latest\n    steps:\n      - run: print('${{ github.head_ref }}')\n        shell: python\n",
    );
}

#[test]
fn variables_that_are_there_are_used() {
    check(
        "    runs-on: ubuntu-latest\n    env:\n      B: ${{ github.head_ref }}\n    steps:\n      - run: echo ${{ env.B }}\n",
        "    runs-on: ubuntu-latest\n    env:\n      B: ${{ github.head_ref }}\n    steps:\n      - run: echo \"$B\"\n",
    );
    check(
        "    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.head_ref }}\n        env:\n          # which\n          B: ${{ github.head_ref }}\n",
        "    runs-on: ubuntu-latest\n    steps:\n      - run: echo \"$B\"\n        env:\n          # which\n          B: ${{ github.head_ref }}\n",
    );
    check(
        "    runs-on: ubuntu-latest\n    steps:\n      - run: echo $HEAD_REF ${{ github.head_ref }}\n        env:\n          HEAD_REF: 1\n",
        "    runs-on: ubuntu-latest\n    steps:\n      - run: echo $HEAD_REF \"$HEAD_REF_2\"\n        env:\n          HEAD_REF_2: ${{ github.head_ref }}\n          HEAD_REF: 1\n",
    );
}

#[test]
fn the_rest_of_the_file_stays_as_it_is() {
    let job = "    runs-on: ubuntu-latest\r\n    steps:\r\n      - run: echo '${{ github.run_id }}' ${{ github.head_ref }} # x\r\n";
    let expected = "    runs-on: ubuntu-latest\r\n    steps:\r\n      - env:\r\n          HEAD_REF: ${{ github.head_ref }}\r\n        run: echo '${{ github.run_id }}' \"$HEAD_REF\" # x\r\n";
    let (text, left) = fixed(&workflow(job).replace("jobs:\n", "jobs:\r\n"));
    assert_eq!((text, left), (workflow(expected).replace("jobs:\n", "jobs:\r\n"), 0));
    check(
        "    runs-on: ubuntu-latest\n    steps:\n    - run: 'echo \"${{ github.head_ref }}\"'\n",
        "    runs-on: ubuntu-latest\n    steps:\n    - env:\n        HEAD_REF: ${{ github.head_ref }}\n      run: 'echo \"$HEAD_REF\"'\n",
    );
}

#[test]
fn notations_that_change_the_script_are_left_alone() {
    for run in [
        "\"echo ${{ github.head_ref }}\"",
        ">\n          echo ${{ github.head_ref }}",
        "${{ github.head_ref }}",
        "echo '${{ github.head_ref }}'",
        "'echo ''x'' ${{ github.head_ref }}'",
        "|\n          # ${{ github.head_ref }}",
        "bash -c \"echo ${{ github.head_ref }}\"",
        "echo $((1 + ${{ github.head_ref }}))",
        "&x echo ${{ github.head_ref }}",
    ] {
        check_none(&format!("    runs-on: ubuntu-latest\n    steps:\n      - run: {run}\n"));
    }
    check_none("    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ github.head_ref }}'}]\n");
    check_none(
        "    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.head_ref }}\n        env: {A: b}\n",
    );
    // What is wanted as several words is not quoted.
    check_none("    runs-on: ubuntu-latest\n    steps:\n      - run: make ${{ github.ref_name }}\n");
}

#[test]
fn texts_in_java_script() {
    let step = |script: &str, env: &str| {
        format!(
            "    runs-on: ubuntu-latest\n    steps:\n      - {env}uses: actions/github-script@v7\n        with:\n          script: |\n            {script}\n"
        )
    };
    let env = "env:\n          HEAD_REF: ${{ github.head_ref }}\n        ";
    check(&step("log(\"${{ github.head_ref }}\")", ""), &step("log(process.env.HEAD_REF)", env));
    check_none(&step("log('branch ${{ github.head_ref }}')", ""));
    check_none(&step("log(`'${{ github.head_ref }}'`)", ""));
}

#[test]
fn names_of_variables() {
    let check = |source: &str, expected: &str| assert_eq!(name_of(source), expected, "{source}");
    check("github.head_ref", "HEAD_REF");
    check("github.event.issue.title", "ISSUE_TITLE");
    check("github.event.pull_request.head.ref", "HEAD_REF");
    check("github.event.pull_request.title", "TITLE");
    check("github.ref", "REF");
    check("env.PATH", "ENV_PATH");
    check("github.event.commits[0].message", "COMMITS_0_MESSAGE");
    check("inputs.dry-run", "INPUT_DRY_RUN");
    check("steps.find.outputs.branch", "FIND_BRANCH");
    check("secrets.TOKEN", "SECRET_TOKEN");
    check("toJSON(github)", "TOJSON_GITHUB");
}

#[test]
fn words_that_are_read_again() {
    let check = |script: &str, expected: bool| {
        assert_eq!(is_read_again(script, script.len()), expected, "{script}");
    };
    check("bash -c \"echo ", true);
    check("echo \"$(eval ", true);
    check("ssh host \\\n  \"echo ", true);
    check("ssh host\necho ", false);
    check("git checkout ", false);
}

/// Parts of scripts: quotes, interpreters, words, values.
const PARTS: [&str; 24] = [
    "'",
    "\"",
    "`",
    "$(",
    ")",
    "${A:-",
    "}",
    "echo ",
    "bash -c ",
    "# ",
    "\n          ",
    "\n          EOF\n          ",
    "<<EOF",
    " ",
    "\\",
    "é",
    "$((",
    "))",
    "; ",
    "| ",
    "${{ github.head_ref }}",
    "${{ github.event.issue.title }}",
    "HEAD_REF",
    "for a in ",
];

proptest! {
    #[test]
    fn a_fixed_file_is_a_file_with_fewer_findings(
        parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..20),
        own: bool,
    ) {
        let env = if own { "\n        env:\n          A: b" } else { "" };
        let script = parts.concat();
        let text = workflow(&format!(
            "    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo {script}${{{{ github.head_ref }}}}{env}\n"
        ));
        let (once, left) = fixed(&text);
        let (twice, still) = fixed(&once);
        assert_eq!(twice, once, "what is safe is done at once");
        assert_eq!(still, left);
    }
}
