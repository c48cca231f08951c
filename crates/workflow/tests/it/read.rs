//! Workflow and action files as authors write them, and what is found in them.

use std::collections::HashMap;

use proptest::prelude::{Strategy, any, prop, proptest};
use workflow::diagnostic::Diagnostic;
use workflow::expr::Value;
use workflow::model::{CallSecrets, JobKind, StepKind, Workflow};
use workflow::permissions::PermissionsPolicy;
use workflow::read::{ReadOptions, Strictness, parse, parse_action};
use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;

/// What was found, each as `line:column code`.
fn found(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|finding| format!("{}:{} {}", finding.line, finding.column, finding.code))
        .collect()
}

fn check_with(text: &str, options: &ReadOptions<'_>, expected: &[&str]) -> Vec<Diagnostic> {
    let parsed = parse(&SourceFile::new("ci.yml", text), options);
    assert_eq!(found(&parsed.diagnostics), expected, "{text}\n{:#?}", parsed.diagnostics);
    parsed.diagnostics
}

fn check(text: &str, expected: &[&str]) -> Vec<Diagnostic> {
    check_with(text, &ReadOptions::default(), expected)
}

/// Findings in a job, whose first line is the fourth one of the file.
fn check_job(job: &str, expected: &[&str]) -> Vec<Diagnostic> {
    let mut text = String::from("on: push\njobs:\n  a:\n");
    job.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    check(&text, expected)
}

/// Findings in the steps of a job, the first one of which is on the sixth line.
fn check_steps(steps: &str, expected: &[&str]) -> Vec<Diagnostic> {
    check_job(&format!("runs-on: x\nsteps:\n{steps}"), expected)
}

fn check_action(text: &str, expected: &[&str]) {
    let parsed = parse_action(&SourceFile::new("action.yml", text), &ReadOptions::default());
    assert_eq!(found(&parsed.diagnostics), expected, "{text}\n{:#?}", parsed.diagnostics);
}

fn workflow(text: &str) -> Workflow {
    let parsed = parse(&SourceFile::new("ci.yml", text), &ReadOptions::default());
    assert!(parsed.diagnostics.is_empty(), "{:#?}", parsed.diagnostics);
    parsed.value.expect("a workflow without errors")
}

fn help(findings: &[Diagnostic]) -> &str {
    findings[0].help.as_deref().expect("a way out")
}

#[test]
fn a_whole_workflow_becomes_the_model() {
    let workflow = workflow(
        "name: CI\non:\n  push:\n    branches: main\n    paths: ['a/**', '!b']\n  schedule:\n    - cron: '0 4 * * 1-5'\n      timezone: Europe/Berlin\n\
         env:\n  A: 1.50\njobs:\n  one:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix: {os: [x, y]}\n    steps:\n\
         \x20     - uses: actions/checkout@v4\n        with: {fetch-depth: 0}\n      - run: echo ${{ matrix.os }}\n        if: github.ref == 'x'\n\
         \x20 two:\n    needs: [one]\n    uses: a/b/.github/workflows/c.yml@v1\n    secrets: inherit\n",
    );
    assert_eq!(workflow.name.as_ref().map(|name| name.value.as_str()), Some("CI"));
    let push = &workflow.on.events["push"];
    let texts = |list: &Option<Vec<workflow::source::Spanned<String>>>| {
        list.iter().flatten().map(|item| item.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (texts(&push.branches), texts(&push.paths)),
        (vec!["main".into()], vec!["a/**".into(), "!b".into()])
    );
    assert_eq!(push.tags, None);
    assert_eq!(workflow.on.events["schedule"].schedule[0].cron.value, "0 4 * * 1-5");
    let env = workflow.env.as_ref().and_then(|env| env.entry("A")).and_then(|entry| entry.value.as_str());
    assert_eq!(env, Some("1.5"), "numbers become text as GitHub writes them");
    let JobKind::Steps(steps) = &workflow.jobs[0].kind else { panic!("a job with steps") };
    assert_eq!(steps.steps[0].id, "__actions_checkout");
    assert!(matches!(&steps.steps[1].kind, StepKind::Run { run, .. } if run.is_expression()));
    assert_eq!(steps.steps[1].condition.source(), "success() && (github.ref == 'x')");
    let JobKind::Call(call) = &workflow.jobs[1].kind else { panic!("a job that calls") };
    assert!(matches!(call.secrets, CallSecrets::Inherit));
    assert_eq!(workflow.jobs[1].needs[0].value, "one");
    assert!(workflow.job("ONE").is_some());
}

#[test]
fn unknown_keys_and_values_have_suggestions() {
    let findings = check_job("run-on: x\nsteps: []", &["4:5 unexpected-key", "4:5 missing-key"]);
    assert_eq!(findings[0].help.as_deref(), Some("did you mean `runs-on`?"));
    assert_eq!(
        help(&check("on: psuh\njobs: {a: {runs-on: x}}", &["1:5 unexpected-value"])),
        "did you mean `push`?"
    );
    let findings =
        check("on: push\npermissions: {contents: reed}\njobs: {a: {runs-on: x}}", &["2:25 unexpected-value"]);
    assert_eq!(help(&findings), "did you mean `read`?");
    let findings = check_job("runs-on: x\ntimeout-minutes: ten\nsteps: []", &["5:22 unexpected-value"]);
    assert_eq!(help(&findings), "expected a number");
}

#[test]
fn structure_is_checked() {
    check("on: push\n", &["1:1 missing-key"]);
    check("on: push\njobs: {}\n", &["2:7 job-needs"]);
    check("on: push\njobs: [a]\n", &["2:7 unexpected-sequence"]);
    check("on: push\njobs: {a: {runs-on: x}, A: {runs-on: x}}\n", &["2:25 duplicate-key"]);
    check_job("steps: []\ncontainer: x\n", &["4:5 missing-key"]);
    check_steps("  - name: nothing", &["6:9 ambiguous-mapping"]);
    check_steps("  - run: x\n    uses: a/b@c", &["7:9 unexpected-key"]);
    check(
        "on: push\nenv: &e {A: 1}\njobs: {a: {runs-on: x, env: {<<: *e}}}\n",
        &["2:9 unexpected-mapping", "3:30 unexpected-key"],
    );
}

#[test]
fn several_mistakes_are_found_at_once() {
    check(
        "on: {push: {branch: main}}\njobs:\n  a:\n    runs-on: x\n    needs: b\n    steps:\n      - run: ${{ gihub.ref }}\n      - uses: checkout\n",
        &["1:13 unexpected-key", "3:3 job-needs", "5:12 unknown-job", "7:14 expression", "8:15 uses-format"],
    );
}

#[test]
fn expressions_are_checked_in_their_place() {
    check_steps("  - run: ${{ secrets.A }} ${{ hashFiles('a') }}", &[]);
    check_steps("  - run: x\n    if: secrets.A", &["7:13 expression"]);
    check_job("runs-on: ${{ steps.a }}\nsteps: []", &["4:14 expression"]);
    check_job("runs-on: x\nif: ${{ success( }}\nsteps: []", &["5:9 expression"]);
    check("on: push\nname: ${{ github.ref }}\njobs: {a: {runs-on: x}}", &["2:7 expression-not-allowed"]);
    check_steps("  - run: echo ${{ github.ref", &["6:14 expression"]);
    check_steps("  - run: ${{ format('{1}', 1) }}", &["6:14 format"]);
    check_steps("  - run: x\n    if: ${{ github.ref }} == 'x'", &["7:13 literal-text-in-condition"]);
    let findings = check_steps("  - run: echo ${{ gihub.ref }}", &["6:14 expression"]);
    let label = &findings[0].labels[0];
    assert_eq!(label.span.start, 68, "the very name is marked");
}

#[test]
fn needs_form_a_graph() {
    let job = |id: &str, needs: &str| format!("  {id}: {{runs-on: x, needs: [{needs}]}}\n");
    let text = |jobs: &[(&str, &str)]| {
        let jobs: String = jobs.iter().map(|(id, needs)| job(id, needs)).collect();
        format!("on: push\njobs:\n{jobs}")
    };
    check(&text(&[("a", ""), ("b", "A"), ("c", "a, b")]), &[]);
    let findings = check(
        &text(&[("a", ""), ("b", "d"), ("c", "b"), ("d", "c"), ("e", "b")]),
        &["4:27 job-cycle", "5:27 job-cycle", "6:27 job-cycle"],
    );
    assert_eq!(help(&findings), "the cycle is b -> d -> c -> b");
    let findings = check(&text(&[("a", "b"), ("b", "a")]), &["3:3 job-needs"]);
    assert_eq!(help(&findings), "the cycle is a -> b -> a");
    assert_eq!(
        help(&check(&text(&[("build", ""), ("b", "biuld")]), &["4:27 unknown-job"])),
        "did you mean `build`?"
    );
    check(&text(&[("a", ""), ("b", "b")]), &["4:27 job-cycle"]);
}

#[test]
fn ids_are_checked() {
    check("on: push\njobs: {1a: {runs-on: x}}", &["2:8 job-id"]);
    check_steps("  - {id: a, run: x}\n  - {id: A, run: x}", &["7:14 step-id"]);
    check_steps("  - {id: __a, run: x}", &["6:14 step-id"]);
}

#[test]
fn matrices_are_checked() {
    let check_matrix = |matrix: &str, expected: &[&str]| {
        check_job(&format!("runs-on: x\nsteps: []\nstrategy:\n  matrix: {matrix}"), expected);
    };
    check_matrix("${{ fromJSON('{}') }}", &[]);
    check_matrix("{a: [1, 2], exclude: [{a: 1}], include: [{b: 2}]}", &[]);
    check_matrix("{}", &["7:15 empty-matrix"]);
    check_matrix("{a: []}", &["7:19 empty-matrix"]);
    check_matrix("{a: 1}", &["7:19 unexpected-value"]);
    check_matrix("{a: [1], exclude: [{b: 1}]}", &["7:35 matrix-exclude-key"]);
    let values: Vec<String> = (0..17).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    check_matrix(&format!("{{a: [{values}], b: [{values}]}}"), &["7:15 matrix-too-large"]);
}

#[test]
fn triggers_are_checked() {
    let check_on = |on: &str, expected: &[&str]| {
        check(&format!("on: {on}\njobs: {{a: {{runs-on: x}}}}"), expected);
    };
    check_on("{schedule: [{cron: '* * * *'}]}", &["1:24 cron"]);
    check_on("{schedule: [{cron: '0 * * * *', timezone: 'a b'}]}", &["1:47 time-zone"]);
    check_on("{push: {branches: [a], branches-ignore: [b]}}", &["1:28 event-filters"]);
    check_on("{workflow_dispatch: {inputs: {a: {type: choice}}}}", &["1:38 dispatch-inputs"]);
    check_on("{workflow_dispatch: {inputs: {a: {type: boolean, default: 7}}}}", &["1:63 dispatch-inputs"]);
    check_on("{workflow_call: {inputs: {a: {}}}}", &["1:34 missing-key"]);
    check_on("[push, pull_request]", &[]);
    check_on("repository_dispatch", &[]);
    let runner = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
    check_with("on: {whatever: {x: y}}\njobs: {a: {runs-on: x}}", &runner, &[]);
}

#[test]
fn further_parts_of_jobs_are_checked() {
    check_job("runs-on: {group: a/b}\nsteps: []", &["4:22 runner-group"]);
    check_job("runs-on: x\ncontainer: docker://\nsteps: []", &["5:16 container-image"]);
    check_job("runs-on: x\nservices: {a: ''}\nsteps: []", &["5:19 unexpected-value"]);
    check_job("runs-on: x\nsnapshot: {image-name: a, version: 1}\nsteps: []", &["5:15 snapshot-version"]);
    check_job(
        "runs-on: x\nconcurrency: {group: a, queue: max, cancel-in-progress: true}\nsteps: []",
        &["5:29 concurrency"],
    );
    check("on: push\nconcurrency: g\njobs: {a: {runs-on: x, concurrency: g}}", &["3:37 concurrency"]);
    check_steps("  - uses: docker://alpine\n  - uses: ./a\n  - uses: $/a\n  - uses: a/b/c@d", &[]);
    check_steps("  - uses: a/b/.github/workflows/c.yml@d", &["6:15 uses-format"]);
}

#[test]
fn background_steps_are_a_feature() {
    let steps = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {id: s, run: x, background: true}\n      - wait: s\n      - wait-all:\n";
    check(
        steps,
        &[
            "6:25 unexpected-key",
            "7:9 unexpected-key",
            "7:9 ambiguous-mapping",
            "8:9 unexpected-key",
            "8:9 ambiguous-mapping",
        ],
    );
    let options = ReadOptions { background_steps: true, ..ReadOptions::default() };
    check_with(steps, &options, &[]);
    check_with(
        &steps.replace("wait: s", "wait: [t, __u]"),
        &options,
        &["7:16 unknown-step", "7:19 unknown-step"],
    );
    check_with(&steps.replace("wait-all:", "wait-all: false"), &options, &["8:19 unexpected-value"]);
}

#[test]
fn parallel_steps_are_background_steps_and_a_wait() {
    let parsed = workflow(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - parallel:\n          - run: x\n          - {id: t, run: y}\n",
    );
    let JobKind::Steps(steps) = &parsed.jobs[0].kind else { panic!("a job with steps") };
    let ids: Vec<&str> = steps.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["__run", "t", "__parallel"]);
    assert!(steps.steps[..2].iter().all(|step| step.background.is_some()));
    let StepKind::Wait { steps: targets } = &steps.steps[2].kind else { panic!("a wait") };
    assert_eq!(targets.iter().map(|target| target.value.as_str()).collect::<Vec<_>>(), ["__run", "t"]);
}

/// Called workflows by reference.
struct Called(HashMap<String, String>);

impl Called {
    fn one(text: &str) -> Self {
        Self(HashMap::from([("./.github/workflows/c.yml".to_owned(), text.to_owned())]))
    }
}

impl ResolveWorkflow for Called {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        let name = reference.to_string();
        match self.0.get(name.as_str()) {
            Some(text) => Resolution::Found(SourceFile::new(name, text.as_str())),
            None if reference.repository.is_none() => Resolution::Missing,
            None => Resolution::Unknown,
        }
    }
}

fn check_call(job: &str, called: &str, expected: &[&str]) -> Vec<Diagnostic> {
    let resolver = Called::one(called);
    let options = ReadOptions { resolver: &resolver, max_jobs: Some(5), ..ReadOptions::default() };
    check_with(
        &format!("on: push\njobs:\n  a:\n    uses: ./.github/workflows/c.yml\n{job}"),
        &options,
        expected,
    )
}

const CALLED: &str = "on: {workflow_call: {inputs: {n: {type: number, required: true}, s: {type: string}}, secrets: {t: {required: true}}}}\n\
                      jobs: {x: {runs-on: y}}\n";

#[test]
fn called_workflows_are_held_against_their_calls() {
    check_call("    with: {n: 1, s: 2}\n    secrets: {T: x}\n", CALLED, &[]);
    check_call(
        "    with: {n: one, z: 2}\n    secrets: inherit\n",
        CALLED,
        &["5:15 call-inputs", "5:23 call-inputs"],
    );
    check_call("", CALLED, &["4:11 call-inputs", "4:11 call-secrets"]);
    check_call("", "on: push\njobs: {x: {runs-on: y}}", &["4:11 not-callable"]);
    check_call(
        "",
        "on: workflow_call\njobs: {x: {run-on: y}}",
        &["4:11 ambiguous-mapping", "4:11 unexpected-key"],
    );
    check_call(
        "",
        "on: workflow_call\njobs: {b: {runs-on: y}, c: {runs-on: y}, d: {runs-on: y}, e: {runs-on: y}, f: {runs-on: y}}",
        &["4:11 max-job-limit"],
    );
    check_call(
        "    permissions: {contents: read}\n",
        "on: workflow_call\npermissions: write-all\njobs: {x: {runs-on: y}}",
        &["3:3 called-workflow-permissions"],
    );
}

#[test]
fn calls_end() {
    let nothing = Called(HashMap::new());
    let text = "on: push\njobs:\n  a:\n    uses: ./.github/workflows/c.yml\n";
    let options = ReadOptions { resolver: &nothing, ..ReadOptions::default() };
    check_with(text, &options, &["4:11 called-workflow-missing"]);
    let itself = "on: workflow_call\njobs: {a: {uses: ./.github/workflows/c.yml}, b: {uses: ./.github/workflows/c.yml}, c: {uses: ./.github/workflows/c.yml}}";
    let resolver = Called::one(itself);
    let options = ReadOptions { resolver: &resolver, ..ReadOptions::default() };
    let parsed = parse(&SourceFile::new("ci.yml", text), &options);
    assert_eq!(found(&parsed.diagnostics), ["2:18 max-nested-reusable-workflows-depth"]);
    let files = (0..8).map(|level| {
        let jobs: Vec<String> =
            (0..4).map(|job| format!("j{job}: {{uses: ./.github/workflows/c{}.yml}}", level + 1)).collect();
        (
            format!("./.github/workflows/c{level}.yml"),
            format!("on: workflow_call\njobs: {{{}}}", jobs.join(", ")),
        )
    });
    let last =
        ("./.github/workflows/c8.yml".to_owned(), "on: workflow_call\njobs: {a: {runs-on: x}}".to_owned());
    let resolver = Called(files.chain([last]).collect());
    let options = ReadOptions { resolver: &resolver, ..ReadOptions::default() };
    let parsed = parse(&SourceFile::new("ci.yml", text.replace("c.yml", "c0.yml")), &options);
    assert_eq!(parsed.diagnostics.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["max-calls"]);
}

#[test]
fn a_policy_bounds_what_called_workflows_ask_for() {
    let called = "on: workflow_call\njobs: {x: {runs-on: y, permissions: {issues: write}}}";
    let resolver = Called::one(called);
    let text = "on: push\njobs:\n  a:\n    uses: ./.github/workflows/c.yml\n";
    for (policy, expected) in [
        (None, &[][..]),
        (Some(PermissionsPolicy::Write), &[]),
        (Some(PermissionsPolicy::LimitedRead), &["3:3 called-workflow-permissions"]),
    ] {
        let options =
            ReadOptions { resolver: &resolver, permissions_policy: policy, ..ReadOptions::default() };
        check_with(text, &options, expected);
    }
}

#[test]
fn actions_are_checked() {
    check_action(
        "name: a\ndescription: b\nruns: {using: node20, main: a.js, post: b.js, post-if: success()}",
        &[],
    );
    check_action(
        "name: a\ndescription: b\nruns: {using: composite, steps: [{run: x, shell: bash}, {uses: ./b}]}",
        &[],
    );
    check_action(
        "name: a\ndescription: b\nruns: {using: docker, image: Dockerfile, args: ['${{ inputs.a }}']}",
        &[],
    );
    check_action("description: b\nruns: {using: node20, main: a.js}", &["1:1 missing-key"]);
    check_action(
        "name: a\ndescription: b\nruns: {using: composite, steps: [{run: x}]}",
        &["3:34 missing-key"],
    );
    check_action("name: a\ndescription: b\nruns: {using: node21, main: a.js}", &["3:15 unexpected-value"]);
    check_action(
        "name: a\ndescription: b\nruns: {using: node20, main: a.js, pre-if: '${{ true }}'}",
        &["3:43 explicit-expression"],
    );
    check_action(
        "name: a\ndescription: b\nruns: {using: node20, main: a.js, pre-if: secrets.a}",
        &["3:43 expression"],
    );
    let runner = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
    let parsed = parse_action(&SourceFile::new("action.yml", "runs: {using: node20, main: a.js}"), &runner);
    assert!(parsed.diagnostics.is_empty() && parsed.value.is_some(), "{:?}", parsed.diagnostics);
}

#[test]
fn hostile_files_are_refused() {
    let bytes = |bytes: &[u8]| {
        found(&parse(&SourceFile::from_bytes("f", bytes), &ReadOptions::default()).diagnostics)
    };
    assert_eq!(bytes(b"on: push\nname: B\xE4r"), ["2:8 not-utf8"]);
    assert_eq!(bytes(&b"[".repeat(100_000)), ["1:51 max-depth"]);
    assert_eq!(bytes(&b"a: ".repeat(100_000)).len(), 1);
    assert_eq!(bytes(&vec![b'x'; 2 * 1024 * 1024]), ["1:1 max-file-size"]);
    assert_eq!(bytes(b"\xEF\xBB\xBFon: push\r\njobs: {a: {runs-on: x}}\r\n"), Vec::<String>::new());
    let mut many = String::from("on: push\njobs: {a: {runs-on: x}}\n");
    (0..5000).for_each(|key| many.push_str(&format!("k{key}: 1\n")));
    assert_eq!(bytes(many.as_bytes()).len(), 500);
}

#[test]
fn literal_values_of_tokens_are_values() {
    let workflow = workflow("on: push\nenv: {A: 0x1F, B: true, C: ~}\njobs: {a: {runs-on: x}}");
    let env = workflow.env.expect("env");
    let got = workflow::template::evaluate(&env, &workflow::expr::Contexts::new(), &workflow::expr::NoHost)
        .expect("values");
    let texts: Vec<_> = got.as_object().expect("an object").values().map(Value::to_text).collect();
    assert_eq!(texts, ["31", "true", ""]);
}

/// Text of the words and signs that workflows are made of.
fn workflow_like() -> impl Strategy<Value = String> {
    let words = [
        "on",
        "push",
        "jobs",
        "a",
        "runs-on",
        "steps",
        "run",
        "uses",
        "needs",
        "strategy",
        "matrix",
        "include",
        "exclude",
        "env",
        "if",
        "with",
        "workflow_call",
        "inputs",
        "schedule",
        "cron",
        "concurrency",
        "container",
        "services",
        "permissions",
        "parallel",
        "wait",
        "outputs",
        "secrets",
        "${{ github.ref }}",
        "${{ insert }}",
        "${{ matrix.a",
        "format('{0}'",
        "&x",
        "*x",
        "<<",
        ": ",
        ":\n",
        "\n  ",
        "\n    ",
        "\n      - ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        "\"",
        "|\n",
        "#",
        "true",
        "1",
        "~",
        "!!str ",
        "\t",
        "\u{e4}",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let file = SourceFile::from_bytes("f", &bytes);
        let _ = parse(&file, &ReadOptions::default());
        let _ = parse_action(&file, &ReadOptions::default());
    }

    #[test]
    fn no_workflow_like_text_panics(text in workflow_like()) {
        for strictness in [Strictness::Author, Strictness::Runner] {
            let options = ReadOptions { strictness, background_steps: true, ..ReadOptions::default() };
            let file = SourceFile::new("f", format!("on: push\njobs:\n  a:\n    {text}"));
            for parsed in [parse(&file, &options).diagnostics, parse(&SourceFile::new("f", text.as_str()), &options).diagnostics] {
                for finding in parsed {
                    let end = finding.primary.map_or(0, |span| span.end);
                    assert!(end as usize <= file.text().len(), "{finding:?}");
                }
            }
            let _ = parse_action(&file, &options);
        }
    }
}
