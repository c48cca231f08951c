//! `uses` steps: composite and JavaScript actions, local ones and those of other repositories, and checkouts.

use run::status::Conclusion;

use crate::fixture::{Job, steps};

const GREETER: &str = "
name: greeter
description: greets
inputs:
  who: { description: who, default: nobody }
outputs:
  said: { description: what, value: '${{ steps.say.outputs.said }}' }
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      run: |
        echo \"hello ${{ inputs.who }} in $(basename ${{ github.action_path }}) $LEVEL\"
        echo said=${{ inputs.who }} >> $GITHUB_OUTPUT
        echo FROM_ACTION=yes >> $GITHUB_ENV
";

pub(crate) fn local_composites_have_inputs_and_outputs() {
    let job = steps(
        "
        - uses: ./greeter
          id: a
          with: { who: you }
          env: { LEVEL: '1' }
        - run: echo ${{ steps.a.outputs.said }} $FROM_ACTION $LEVEL ${{ steps.say }}
        ",
    );
    job.file("greeter/action.yml", GREETER).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert_eq!(ended.log(), "hello you in greeter 1\nyou yes\n");
        assert_eq!(ended.steps()[0], "Run ./greeter: success/success");
    });
}

/// A composite action that uses the greeter, then fails, then cleans up.
const OUTER: &str = "
name: outer
description: outer
runs:
  using: composite
  steps:
    - uses: ./greeter
      with: { who: inner }
    - run: exit 4
      shell: bash
    - run: echo not reached
      shell: bash
    - run: echo status ${{ github.action_status }}
      shell: bash
      if: failure()
";

pub(crate) fn composites_nest_and_fail() {
    let job = steps(
        "
        - uses: ./outer
        - run: echo not reached
        ",
    );
    job.file("greeter/action.yml", GREETER).file("outer/action.yml", OUTER).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert_eq!(ended.log(), "hello inner in greeter \nstatus failure\n");
        assert_eq!(ended.errors(), "Process completed with exit code 4.\n");
    });
}

pub(crate) fn composites_that_use_themselves_end() {
    let text = "{name: n, description: d, runs: {using: composite, steps: [{uses: ./self}]}}";
    steps("- uses: ./self").file("self/action.yml", text).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(
            ended.errors().contains("Composite action depth exceeded max depth 10"),
            "{}",
            ended.errors()
        );
    });
}

/// The files of a JavaScript action that says what it sees in each phase.
fn phases(name: &str) -> Vec<(&'static str, String)> {
    let action = format!(
        "{{name: {name}, description: d, inputs: {{my input: {{default: '${{{{ github.ref_name }}}}'}}}},
          runs: {{using: node20, pre: pre.js, main: main.js, post: post.js}}}}"
    );
    let script = |phase: &str| {
        format!(
            "const fs = require('fs');
             console.log('{name} {phase}', process.env['INPUT_MY INPUT'], process.env.INPUT_MY_INPUT, process.env.STATE_seen || '');
             fs.appendFileSync(process.env.GITHUB_STATE, `seen=${{process.env.STATE_seen || ''}}{phase}\\n`);"
        )
    };
    vec![
        ("action.yml", action),
        ("pre.js", script("pre")),
        ("main.js", script("main")),
        ("post.js", script("post")),
    ]
}

fn with_phases(job: Job, reference: &str, name: &str) -> Job {
    let files = phases(name);
    let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    job.action(reference, &files)
}

pub(crate) fn javascript_actions_have_three_phases() {
    let job = steps(
        "
        - run: echo first
        - uses: octo/one@v1
          id: one
        - uses: octo/two@v1
          with: { my input: given }
        ",
    );
    let job = with_phases(with_phases(job, "octo/one@v1", "one"), "octo/two@v1", "two");
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        let expected = "one pre undefined main \ntwo pre undefined given \nfirst\none main undefined main pre\n\
                        two main undefined given pre\ntwo post undefined given premain\none post undefined main premain\n";
        assert_eq!(ended.log(), expected);
        let phases = ended.steps();
        assert_eq!(phases[0], "pre Pre Run octo/one@v1: success/success");
        assert_eq!(phases[6], "post Post Run octo/one@v1: success/success");
    });
}

pub(crate) fn a_pre_has_its_post_even_without_main() {
    let job = steps(
        "
        - run: exit 1
        - uses: octo/one@v1
        ",
    );
    with_phases(job, "octo/one@v1", "one").check(|ended| {
        assert_eq!(ended.log(), "one pre undefined main \none post undefined main pre\n");
        assert_eq!(
            ended.steps().last().map(String::as_str),
            Some("post Post Run octo/one@v1: success/success")
        );
    });
}

pub(crate) fn posts_of_nested_actions_run_in_reverse() {
    let outer = "{name: o, description: d, runs: {using: composite, steps: [{uses: octo/one@v1}, {uses: octo/two@v1}]}}";
    let job = steps("- uses: ./outer").file("outer/action.yml", outer);
    let job = with_phases(with_phases(job, "octo/one@v1", "one"), "octo/two@v1", "two");
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        let lines: Vec<String> =
            ended.log().lines().map(|line| line.split(" undefined").next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["one main", "two main", "two post", "one post"]);
        assert_eq!(ended.steps(), ["Run ./outer: success/success", "post Post Run ./outer: success/success"]);
    });
}

pub(crate) fn missing_actions_are_named() {
    let job = steps(
        "
        - uses: octo/nowhere@v9
        ",
    );
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(ended.errors().contains("--action octo/nowhere@v9=FOLDER"), "{}", ended.errors());
        assert_eq!(ended.missing_capability(), None);
    });
    steps("- uses: ./nowhere").check(|ended| {
        assert!(ended.errors().contains("Can't find 'action.yml'"), "{}", ended.errors());
    });
    steps("- uses: docker://alpine:3").check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(ended.missing_capability().is_some_and(|missing| missing.contains("docker://alpine:3")));
    });
}

pub(crate) fn actions_stay_in_their_repositories() {
    let action =
        "{name: n, description: d, runs: {using: composite, steps: [{shell: bash, run: echo not reached}]}}";
    let job = steps("- uses: octo/one/../action-1@v1");
    let job =
        job.action("octo/one@v1", &[("action.yml", action)]).action("octo/two@v1", &[("action.yml", action)]);
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert_eq!(ended.errors(), "the action `octo/one/../action-1@v1` leads out of its repository\n");
    });
}

pub(crate) fn checkouts_are_repositories() {
    let job = steps(
        "
        - run: echo changed > first; echo more > made
        - uses: actions/checkout@v4
          id: one
        - run: |
            cat first
            git log --format=%s
            git status --short
            git rev-parse --abbrev-ref HEAD
            test ${{ steps.one.outputs.commit }} = $(git rev-parse HEAD)
        - uses: actions/checkout@v4
          with: { path: sub/tree }
        - run: cat sub/tree/second && git -C sub/tree log --oneline | wc -l
        - uses: actions/checkout@v4
          with: { ref: v1, path: old }
        - run: test ! -e old/second && git -C old log --format=%s
        - uses: actions/checkout@v4
          with: { ref: nowhere }
        ",
    );
    job.file("first", "1\n").in_repository().check(|ended| {
        assert_eq!(ended.log(), "1\nsecond\nfirst\n?? made\nmain\n22\nfirst\n");
        assert!(ended.errors().starts_with("cannot check out `nowhere`"), "{}", ended.errors());
    });
}

pub(crate) fn steps_may_name_their_own_repository() {
    let job = steps(
        "
        - run: rm -r greeter
        - uses: $/greeter
          with: { who: you }
        - uses: octo/other/outer@v2
        - run: echo ${{ hashFiles('greeter/*', 'other') }}.
        ",
    );
    let outer =
        "{name: o, description: d, runs: {using: composite, steps: [{uses: $/greeter, with: {who: inner}}]}}";
    let job = job.action("octo/other@v2", &[("outer/action.yml", outer), ("greeter/action.yml", GREETER)]);
    job.file("greeter/action.yml", GREETER).file("other", "x").check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        // The hash of the digest of `x`.
        let hash = "4c2d5cb62f3ed7d1ba3aa2bd11a8d6e7b9c1b7a0dfc0ee8a3b7a1dca6d94bd9a";
        let log = ended.log();
        assert!(log.starts_with("hello you in greeter \nhello inner in greeter \n"), "{log}");
        assert_eq!(log.lines().last().map(str::len), Some(hash.len() + 1), "{log}");
    });
}

pub(crate) fn checkouts_of_other_repositories_are_actions() {
    let job = steps(
        "
        - uses: actions/checkout@v4
          with: { repository: other/place }
        ",
    );
    job.check(|ended| {
        assert!(ended.errors().contains("--action actions/checkout@v4=FOLDER"), "{}", ended.errors());
    });
}
