//! Plans: called workflows, inputs and the jobs that are known before a run.

use workflow::event::{Event, Facts};
use workflow::expr::Value;
use workflow::plan::{Outline, Plan, Request, RunFacts, Selection, outline, plan};
use workflow::read::{ReadOptions, parse};
use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;

/// Workflows of the repository by file name.
struct Files(&'static [(&'static str, &'static str)]);

impl ResolveWorkflow for Files {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        match self.0.iter().find(|(name, _)| reference.path.ends_with(name)) {
            Some((_, text)) => Resolution::Found(SourceFile::new(reference.path.as_str(), *text)),
            None if reference.repository.is_some() => Resolution::Unknown,
            None => Resolution::Missing,
        }
    }
}

/// The plan of a workflow, read by itself, or what is wrong: `line:column code message`.
fn planned(text: &str, files: &Files, payload: &str, inputs: &[(&str, &str)]) -> Result<Plan, Vec<String>> {
    let file = SourceFile::new("main.yml", text);
    let parsed = parse(&file, &ReadOptions::default());
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let workflow = parsed.value.expect("a workflow without errors");
    let name = workflow.on.events.keys().next().expect("a workflow has an event").clone();
    let payload = Value::from_json(&serde_json::from_str(payload).expect("a test's payload is JSON"));
    let pairs = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let request = Request {
        file: &file,
        workflow,
        event: Event::new(&name, &payload, &Facts::default()),
        inputs: inputs.iter().map(pairs).collect(),
        vars: Value::Null,
        env: Vec::new(),
        selection: Selection::default(),
        run: RunFacts { run_id: "7".to_owned(), ..RunFacts::default() },
    };
    let options = ReadOptions { resolver: files, ..ReadOptions::default() };
    plan(request, &options).map_err(|errors| {
        let shown =
            errors.iter().map(|one| format!("{}:{} {} {}", one.line, one.column, one.code, one.message));
        shown.collect()
    })
}

/// `id name [labels] stage`, jobs of called workflows indented below their caller.
fn shown(outline: &Outline) -> Vec<String> {
    fn push(lines: &mut Vec<String>, jobs: &[workflow::plan::JobOutline], indent: &str) {
        for job in jobs {
            lines.push(format!("{indent}{} '{}' {:?} {}", job.id, job.name, job.runs_on, job.stage));
            push(lines, &job.jobs, &format!("{indent}  "));
        }
    }
    let mut lines = Vec::new();
    push(&mut lines, &outline.jobs, "");
    lines
}

fn check(text: &str, files: &Files, expected: &[&str]) {
    let plan = planned(text, files, "{}", &[]).expect("the plan is good");
    assert_eq!(shown(&outline(&plan)), expected);
}

fn check_errors(text: &str, files: &Files, expected: &[&str]) {
    let errors = planned(text, files, "{}", &[]).map(|plan| shown(&outline(&plan)));
    assert_eq!(errors, Err(expected.iter().map(|error| (*error).to_owned()).collect()));
}

#[test]
fn legs_names_labels_and_stages() {
    check(
        "
on: push
jobs:
  last: {needs: [test, dynamic], runs-on: [self-hosted, x], steps: [{run: x}]}
  test:
    name: Test ${{ matrix.os }}
    strategy: {matrix: {os: [a, b]}}
    runs-on: ${{ matrix.os }}
    steps: [{run: x}]
  dynamic:
    needs: test
    strategy: {matrix: {v: '${{ fromJSON(needs.test.outputs.v) }}'}}
    runs-on: {group: g, labels: l}
    steps: [{run: x}]
",
        &Files(&[]),
        &[
            r#"last 'last' ["self-hosted", "x"] 2"#,
            r#"test 'Test a' ["a"] 0"#,
            r#"test 'Test b' ["b"] 0"#,
            r#"dynamic 'dynamic' ["l"] 1"#,
        ],
    );
}

const CALLED: &str = "
on:
  workflow_call:
    inputs: {os: {type: string, default: d}}
jobs:
  inner: {name: 'on ${{ inputs.os }}', runs-on: '${{ inputs.os }}', steps: [{run: x}]}
";

#[test]
fn called_workflows_are_below_their_caller() {
    check(
        "
on: push
jobs:
  call:
    strategy: {matrix: {os: [a, b]}}
    uses: ./.github/workflows/called.yml
    with: {os: '${{ matrix.os }}'}
  plain: {uses: ./.github/workflows/called.yml}
  far: {uses: octo/far/.github/workflows/far.yml@v1}
",
        &Files(&[("called.yml", CALLED)]),
        &[
            "call 'call (a)' [] 0",
            r#"  inner 'on a' ["a"] 0"#,
            "call 'call (b)' [] 0",
            r#"  inner 'on b' ["b"] 0"#,
            "plain 'plain' [] 0",
            r#"  inner 'on d' ["d"] 0"#,
            "far 'far' [] 0",
        ],
    );
}

const NOT_CALLABLE: &str = "on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}";
const ITSELF: &str = "on: workflow_call\njobs: {again: {uses: ./.github/workflows/called.yml}}";

#[test]
fn calls_that_lead_nowhere_are_errors() {
    let call = "on: push\njobs: {call: {uses: ./.github/workflows/called.yml}}";
    check_errors(
        call,
        &Files(&[]),
        &[
            "2:21 workflow-call job 'call' calls the workflow ./.github/workflows/called.yml, which does not exist",
        ],
    );
    check_errors(
        call,
        &Files(&[("called.yml", NOT_CALLABLE)]),
        &["2:21 workflow-call the workflow ./.github/workflows/called.yml cannot be called: \
         it has no `on.workflow_call`"],
    );
    check_errors(
        call,
        &Files(&[("called.yml", ITSELF)]),
        &["2:22 workflow-call the workflow ./.github/workflows/called.yml calls itself"],
    );
}

const DISPATCH: &str = "
run-name: Deploy ${{ inputs.where }} of ${{ github.event.inputs.where }}
on:
  workflow_dispatch:
    inputs:
      where: {type: choice, options: [here, there]}
      sure: {type: boolean, required: true}
jobs:
  a: {runs-on: x, steps: [{run: x}]}
";

#[test]
fn dispatch_inputs_are_texts_in_the_event_and_values_in_inputs() {
    let payload = r#"{"inputs":{"Where":"here","sure":"false"}}"#;
    let plan = planned(DISPATCH, &Files(&[]), payload, &[("WHERE", "there")]).expect("the plan is good");
    assert_eq!(plan.inputs.get("sure"), Some(&Value::from(false)));
    assert_eq!(plan.github.at(&["event", "inputs", "sure"]), Some(&Value::from("false")));
    assert_eq!(plan.run_name().as_deref(), Some("Deploy there of there"));
    assert_eq!(plan.github.get("run_id"), Some(&Value::from("7")));
}

#[test]
fn wrong_inputs_refuse_the_run() {
    let errors = planned(DISPATCH, &Files(&[]), "{}", &[("other", "1"), ("where", "nowhere")]);
    assert_eq!(
        errors.map(|_| ()),
        Err(vec![
            "4:3 workflow-inputs unexpected input 'other': the workflow does not declare it".to_owned(),
            "4:3 workflow-inputs input 'where' must be one of the options of the choice, not 'nowhere'"
                .to_owned(),
            "4:3 workflow-inputs required input 'sure' is not provided".to_owned(),
        ])
    );
}

#[test]
fn a_plan_survives_storage() {
    let text = "on: push\njobs: {call: {if: \"!cancelled()\", uses: ./.github/workflows/called.yml}}";
    let plan = planned(text, &Files(&[("called.yml", CALLED)]), "{}", &[]).expect("the plan is good");
    let stored = serde_json::to_string(&plan).expect("a plan can be written");
    let read: Plan = serde_json::from_str(&stored).expect("a plan can be read");
    assert_eq!(shown(&outline(&read)), shown(&outline(&plan)));
    assert_eq!(read.root.workflow.jobs[0].condition, plan.root.workflow.jobs[0].condition);
}

#[test]
fn an_outline_is_text_for_people() {
    let text = "
on: push
jobs:
  a: {runs-on: x, steps: [{run: x}]}
  b: {needs: a, name: Second, runs-on: x, steps: [{run: x}]}
  call: {uses: ./.github/workflows/called.yml}
";
    let plan = planned(text, &Files(&[("called.yml", CALLED)]), "{}", &[]).expect("the plan is good");
    let expected = "\
stage 1
  a  on x
  call  calls ./.github/workflows/called.yml
    stage 1
      on d [inner]  on d
stage 2
  Second [b]  on x  needs a
";
    assert_eq!(outline(&plan).to_text(), expected);
}
