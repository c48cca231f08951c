//! Models written as files and read again.

use std::path::{Path, PathBuf};

use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop, prop_oneof};
use proptest::{prop_assert_eq, prop_assume, proptest};
use serde_json::{Map, Value, json};
use workflow::model::{Action, Workflow};
use workflow::read::{ReadOptions, parse, parse_action};
use workflow::source::SourceFile;
use workflow::write;

fn options() -> ReadOptions<'static> {
    ReadOptions { background_steps: true, ..ReadOptions::default() }
}

/// The model of a workflow, if GitHub takes the file.
fn read(text: &str) -> Option<Workflow> {
    let parsed = parse(&SourceFile::new("ci.yml", text), &options());
    parsed.value.filter(|_| parsed.diagnostics.iter().all(|finding| !finding.is_error()))
}

fn read_action(text: &str) -> Option<Action> {
    let parsed = parse_action(&SourceFile::new("action.yml", text), &options());
    parsed.value.filter(|_| parsed.diagnostics.iter().all(|finding| !finding.is_error()))
}

/// A model without the places in its file.
fn without_spans(model: &impl serde::Serialize) -> Value {
    fn strip(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(strip).collect(),
            Value::Object(entries) => {
                let is_place = |key: &str| matches!(key, "span" | "key_span");
                let kept = entries.into_iter().filter(|(key, _)| !is_place(key));
                kept.map(|(key, value)| (key, strip(value))).collect()
            }
            scalar => scalar,
        }
    }
    strip(serde_json::to_value(model).expect("a model is written as JSON"))
}

/// Conditions as they are written; they are no part of a model's JSON.
fn conditions(workflow: &Workflow) -> Vec<Option<Value>> {
    let written = |condition: &Option<workflow::template::Token>| condition.as_ref().map(without_spans);
    let mut conditions = Vec::new();
    for job in &workflow.jobs {
        conditions.push(written(&job.written_condition));
        if let workflow::model::JobKind::Steps(steps) = &job.kind {
            conditions.extend(steps.steps.iter().map(|step| written(&step.written_condition)));
        }
    }
    conditions
}

/// Writes the workflow of a text, if it is one, and reads it again.
fn check(text: &str) -> bool {
    let Some(model) = read(text) else { return false };
    let written = write::workflow(&model);
    let again = read(&written).unwrap_or_else(|| {
        let found = parse(&SourceFile::new("ci.yml", written.as_str()), &options()).diagnostics;
        panic!("what is written is no workflow: {found:#?}\n{written}\nof\n{text}")
    });
    assert_eq!(without_spans(&again), without_spans(&model), "{written}\nof\n{text}");
    assert_eq!(conditions(&again), conditions(&model), "{written}\nof\n{text}");
    assert_eq!(write::workflow(&again), written, "written again it is another text");
    true
}

fn check_action(text: &str) -> bool {
    let Some(model) = read_action(text) else { return false };
    let written = write::action(&model);
    let again = read_action(&written).unwrap_or_else(|| panic!("what is written is no action:\n{written}"));
    assert_eq!(without_spans(&again), without_spans(&model), "{written}\nof\n{text}");
    true
}

/// The blocks of YAML in the files below a folder.
fn blocks_below(folder: &Path, blocks: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            blocks_below(&path, blocks);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the file is text");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yml" | "yaml") => blocks.push(text),
            Some("md") => {
                let mut lines = text.lines();
                while let Some(line) = lines.next() {
                    if line.starts_with("```yaml") {
                        let block = lines.by_ref().take_while(|line| *line != "```");
                        blocks.push(block.fold(String::new(), |block, line| block + line + "\n"));
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn workflows_and_actions_of_the_documents() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut blocks = Vec::new();
    for folder in ["../../spec", "../../examples", "src/lint/rules", "src/read/rules"] {
        blocks_below(&root.join(folder), &mut blocks);
    }
    let workflows = blocks.iter().filter(|block| check(block)).count();
    let actions = blocks.iter().filter(|block| check_action(block)).count();
    assert!(workflows > 100 && actions > 5, "{workflows} workflows and {actions} actions were found");
}

#[test]
fn a_workflow_is_written_as_people_write_it() {
    let text = "on:\n  push: { branches: [main, 'release/**'] }\n  pull_request:\nenv: { A: '1', B: 2 }\njobs:\n  a:\n    \
                runs-on: x\n    steps:\n      - uses: a/b@v1\n        with: { x: \"${{ github.ref }}\" }\n      - run: \
                \"one\\ntwo\\n\"\n        if: github.ref == 'x'\n  b: { needs: [a], uses: ./.github/workflows/c.yml }\n";
    let expected = "on:
  push:
    branches:
      - main
      - release/**
  pull_request:

env:
  A: '1'
  B: '2'

jobs:
  a:
    runs-on: x
    steps:
      - uses: a/b@v1
        with:
          x: ${{ github.ref }}
      - if: github.ref == 'x'
        run: |
          one
          two

  b:
    needs: a
    uses: ./.github/workflows/c.yml
";
    let model = read(text).expect("a workflow");
    assert_eq!(write::workflow(&model), expected);
}

/// Text that is hard to write: symbols of YAML, what looks like another type, white space, expressions.
fn awkward_text() -> BoxedStrategy<String> {
    let expressions = prop_oneof![
        Just("${{ github.ref }}"),
        Just("a ${{ github.sha == 'it''s {0}' }} {b} ${{ format('{0}', github.ref) }}"),
        Just("${{ 'a: b' }}"),
        Just("${{ '${{' }}"),
        Just("${{ github['a, b'] }}${{ true }}\nx"),
    ];
    let words = prop_oneof![
        Just("true"),
        Just("null"),
        Just("~"),
        Just("1.0"),
        Just("0x1F"),
        Just("- a"),
        Just("a: b"),
        Just("# c"),
        Just("a #b"),
        Just("'"),
        Just("\""),
        Just("|"),
        Just("---"),
        Just("*x"),
        Just("&x"),
        Just("<<"),
        Just("?"),
        Just("{a}"),
        Just("[a, b]"),
        Just("@x"),
        Just("%x"),
        Just("a\n\nb\n"),
        Just(" a\nb"),
        Just("a\n b "),
        Just("a\tb"),
        Just("\u{feff}"),
        Just("a\r\nb"),
        Just("ü😀"),
        Just(""),
        Just("a:"),
    ];
    prop_oneof![
        2 => words.prop_map(str::to_owned),
        2 => expressions.prop_map(str::to_owned),
        3 => "[ -#%-~\nü\t]{0,12}",
        1 => "[a-z]{1,8}",
    ]
    .boxed()
}

/// A text without expressions.
fn literal_text() -> BoxedStrategy<String> {
    awkward_text().prop_map(|text| text.replace("${{", "")).boxed()
}

fn mapping(values: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let entries = prop::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,6}", values), 0..4);
    entries
        .prop_map(|entries| {
            let mut seen = Vec::new();
            let first = entries.into_iter().filter(|(name, _)| {
                let lower = name.to_lowercase();
                let is_new = !seen.contains(&lower);
                seen.push(lower);
                is_new
            });
            Value::Object(first.collect())
        })
        .boxed()
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        4 => awkward_text().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-1000_i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
    ]
    .boxed()
}

/// Any value, as in a matrix.
fn tree() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![3 => scalar(), 1 => Just(Value::Null)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            mapping(inner.boxed()),
        ]
    })
    .boxed()
}

/// An object with some of these keys.
fn some_of(keys: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Map<String, Value>> {
    let each: Vec<_> = keys
        .into_iter()
        .map(|(key, value)| prop::option::weighted(0.4, value).prop_map(move |value| (key, value)))
        .collect();
    each.prop_map(|entries| {
        let given = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        given.collect()
    })
    .boxed()
}

fn condition() -> BoxedStrategy<Value> {
    prop_oneof![
        Just("github.ref == 'x'"),
        Just("${{ always() && github.ref }}"),
        Just("!cancelled()"),
        Just("true"),
        Just("'a: b' == github.ref"),
        Just("success() ||\nfailure()"),
    ]
    .prop_map(Value::from)
    .boxed()
}

fn step() -> BoxedStrategy<Value> {
    let kind = prop_oneof![
        (awkward_text(), prop::option::of(awkward_text())).prop_map(|(run, shell)| match shell {
            Some(shell) => json!({"run": run, "shell": shell.replace("${{", "")}),
            None => json!({"run": run}),
        }),
        mapping(scalar()).prop_map(|with| json!({"uses": "actions/checkout@v4", "with": with})),
        awkward_text().prop_map(|run| json!({"parallel": [{"run": run}, {"run": "x", "name": "y"}]})),
    ];
    let keys = vec![
        ("name", awkward_text().prop_map(Value::from).boxed()),
        ("if", condition()),
        ("env", mapping(scalar())),
        ("continue-on-error", any::<bool>().prop_map(Value::from).boxed()),
        ("timeout-minutes", (1..60).prop_map(Value::from).boxed()),
        ("background", any::<bool>().prop_map(Value::from).boxed()),
    ];
    (kind, some_of(keys))
        .prop_map(|(kind, keys)| {
            let mut step = kind.as_object().cloned().expect("a step is an object");
            if !step.contains_key("parallel") {
                step.extend(keys);
            }
            Value::Object(step)
        })
        .boxed()
}

fn job() -> BoxedStrategy<Value> {
    let matrix = mapping(prop::collection::vec(tree(), 1..3).prop_map(Value::Array).boxed());
    let keys = vec![
        ("name", awkward_text().prop_map(Value::from).boxed()),
        ("if", condition()),
        ("strategy", matrix.prop_map(|matrix| json!({"matrix": matrix, "fail-fast": false})).boxed()),
        ("env", mapping(scalar())),
        ("outputs", mapping(awkward_text().prop_map(Value::from).boxed())),
        ("concurrency", literal_text().prop_map(Value::from).boxed()),
        ("timeout-minutes", (1..60).prop_map(Value::from).boxed()),
        ("permissions", Just(json!({"contents": "read"})).boxed()),
    ];
    (some_of(keys), prop::collection::vec(step(), 1..4))
        .prop_map(|(mut job, steps)| {
            job.insert("runs-on".into(), "ubuntu-latest".into());
            job.insert("steps".into(), steps.into());
            Value::Object(job)
        })
        .boxed()
}

fn triggers() -> BoxedStrategy<Value> {
    let input = (literal_text(), any::<bool>(), literal_text()).prop_map(|(description, required, default)| {
        json!({"description": description, "required": required, "type": "string", "default": default})
    });
    prop_oneof![
        Just(json!("push")),
        Just(json!(["push", "pull_request"])),
        "[a-z*/!]{1,8}".prop_map(|branch| json!({"push": {"branches": [branch, "x"]}, "pull_request": null})),
        mapping(input.boxed()).prop_map(|inputs| json!({"workflow_dispatch": {"inputs": inputs}})),
        Just(json!({"schedule": [{"cron": "0 1 * * *"}]})),
        Just(json!({"workflow_call": {"secrets": {"a": null, "b": {"required": true}}}})),
    ]
    .boxed()
}

/// A workflow as JSON, which is YAML, too.
fn random_workflow() -> impl Strategy<Value = String> {
    let jobs = prop::collection::vec(job(), 1..3);
    let keys = vec![
        ("name", literal_text().prop_map(Value::from).boxed()),
        ("run-name", Just(json!("x ${{ github.ref }}")).boxed()),
        ("env", mapping(scalar())),
    ];
    (triggers(), some_of(keys), jobs).prop_map(|(on, mut workflow, jobs)| {
        let jobs = jobs.into_iter().enumerate().map(|(place, job)| (format!("job-{place}"), job));
        workflow.insert("on".into(), on);
        workflow.insert("jobs".into(), Value::Object(jobs.collect()));
        Value::Object(workflow).to_string()
    })
}

proptest! {
    #[test]
    fn random_workflows_are_read_again(text in random_workflow()) {
        prop_assume!(check(&text));
    }

    #[test]
    fn texts_are_read_again(text in awkward_text()) {
        let document = json!({"on": "push", "jobs": {"a": {"runs-on": "x", "steps": [{"run": text}]}}});
        let model = read(&document.to_string());
        if let Some(model) = model {
            let again = read(&write::workflow(&model));
            prop_assert_eq!(again.as_ref().map(without_spans), Some(without_spans(&model)));
        }
    }
}
