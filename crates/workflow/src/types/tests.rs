//! Types at places of whole files, and types held against values.

use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, proptest};

use super::{ActionOutputs, FileTypes, KnownActions, NoActions, Scope, Type, check, mistakes_of_workflow};
use crate::expr::{Contexts, Names, NoHost, Value, eval, parse};
use crate::model::Workflow;
use crate::read::{ReadOptions, parse as read};
use crate::source::SourceFile;

const WORKFLOW: &str = "
on:
  workflow_dispatch:
    inputs:
      flag: { type: boolean }
      level: { type: choice, options: [a, b] }
  workflow_call:
    inputs:
      count: { type: number }
    secrets:
      key: {}
jobs:
  first:
    runs-on: x
    outputs: { version: '1' }
    services:
      db: { image: 'x', ports: [80] }
    steps:
      - id: one
        run: x
      - run: x
      - id: two
        uses: ./action
      - id: three
        run: x
  second:
    needs: first
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        os: [a, b]
        version: [1, 2]
        pair: [{ x: 1 }, { x: 2, y: true }]
        list: ${{ fromJSON('[true]') }}
        include:
          - { os: c, extra: 1 }
    steps: [{ run: x }]
";

struct OneAction;

impl KnownActions for OneAction {
    fn outputs(&self, uses: &str) -> Option<ActionOutputs> {
        let names = vec!["result".into()];
        (uses == "./action").then_some(ActionOutputs { names, is_complete: true })
    }
}

fn workflow(text: &str) -> Workflow {
    let parsed = read(&SourceFile::new("ci.yml", text), &ReadOptions::default());
    assert!(!parsed.has_errors(), "{:#?}", parsed.diagnostics);
    parsed.value.expect("a workflow without errors")
}

/// The type of an expression, or what is wrong with it.
fn infer(text: &str, scope: &Scope<'_>) -> String {
    let expr = parse(text, &Names::any()).expect("an expression");
    let checked = check(&expr, scope);
    match checked.mistakes.first() {
        Some(mistake) => format!("! {mistake}"),
        None => checked.ty.to_string(),
    }
}

fn check_all(scope: &Scope<'_>, expected: &[(&str, &str)]) {
    for (text, expected) in expected {
        let found = infer(text, scope);
        let fits = match expected.strip_prefix('!') {
            Some(part) => found.contains(part),
            None => found == *expected,
        };
        assert!(fits, "{text}: {found}, not {expected}");
    }
}

#[test]
fn contexts_of_a_workflow() {
    let workflow = workflow(WORKFLOW);
    let types = FileTypes::of_workflow(&workflow, &OneAction);
    check_all(
        &types.scope(),
        &[
            ("github.actor", "string"),
            ("GitHub.Event", "object"),
            ("inputs", "{flag: boolean; level: string; count: number}"),
            ("inputs.other", "!`other` is no property of `inputs`"),
            ("secrets.anything", "string"),
            ("jobs.first.outputs", "{version: string}"),
            ("runner.os == 'Linux'", "boolean"),
        ],
    );
    assert_eq!(types.scope().context_type("nothing"), None);
}

#[test]
fn contexts_of_jobs_and_steps() {
    let workflow = workflow(WORKFLOW);
    let types = FileTypes::of_workflow(&workflow, &OneAction);
    check_all(
        &types.job_scope(0),
        &[
            ("steps.three.outputs.anything", "string"),
            ("job.services.db.ports['80']", "string"),
            ("job.services.db.ports[80]", "string"),
            ("env[inputs.count]", "!an index of type number finds nothing"),
            ("job.services.other", "!is no property of `job.services`"),
            ("matrix.os", "!is no property of `matrix`"),
        ],
    );
    check_all(
        &types.step_scope(0, 2),
        &[("steps.one.conclusion", "string"), ("steps.two", "!`two` is no property of `steps`")],
    );
    check_all(
        &types.step_scope(0, 3),
        &[
            ("steps.two.outputs", "{result: string}"),
            ("steps.two.outputs.other", "!is no property of `steps.two.outputs`"),
            ("steps.*.outcome", "array<string>"),
        ],
    );
    check_all(
        &types.job_scope(1),
        &[
            ("needs.first.outputs.version", "string"),
            ("needs.*.result", "array<string>"),
            ("matrix.version", "number"),
            ("matrix.pair", "{x: number; y: boolean}"),
            ("matrix.list", "boolean"),
            ("matrix.extra", "any"),
            ("matrix.none", "!is no property of `matrix`"),
        ],
    );
}

#[test]
fn values_of_operators_and_functions() {
    let workflow = workflow(WORKFLOW);
    let types = FileTypes::of_workflow(&workflow, &NoActions);
    check_all(
        &types.step_scope(1, 0),
        &[
            ("inputs.flag && 60 || 20", "number"),
            ("inputs.flag && 'a' || 20", "any"),
            ("inputs.level || 'x'", "string"),
            ("github.event && 'x'", "string"),
            ("case(inputs.flag, 1, 2)", "number"),
            ("case(inputs.level, 1, 2)", "!must be a boolean"),
            ("fromJSON('{\"a\": [1]}').a[0]", "number"),
            ("fromJSON(github.event)", "!must be a text"),
            ("contains(github.event, 'x')", "!must be a list or a text"),
            ("contains(fromJSON('[1]'), github.event)", "boolean"),
            ("hashFiles(needs)", "!must be a text"),
            ("!github.event", "boolean"),
            ("github.event == null", "boolean"),
            ("github.event < 1", "!cannot be compared"),
            ("inputs.flag == '1'", "boolean"),
            ("github.actor.*", "!`.*` takes the properties of objects"),
            ("fromJSON('[1]')[needs]", "!finds nothing"),
        ],
    );
}

#[test]
fn what_reading_takes_for_granted_is_not_reported_twice() {
    let workflow = workflow(WORKFLOW);
    let types = FileTypes::of_workflow(&workflow, &OneAction);
    let mut found = Vec::new();
    mistakes_of_workflow(&workflow, &types, &mut |_, mistake| found.push(mistake.to_string()));
    assert!(found.is_empty(), "{found:?}");
}

/// Whether a value may have the type. What is not there, such as the tenth item of a list of two, is null.
fn fits(value: &Value, ty: &Type) -> bool {
    match (ty, value) {
        (Type::Any, _)
        | (_, Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_)) => true,
        (Type::Array(item) | Type::Filtered(item), Value::Array(items)) => {
            items.iter().all(|value| fits(value, item))
        }
        (Type::Object(object), Value::Object(entries)) => {
            entries.iter().all(|(name, value)| object.property(name).is_some_and(|ty| fits(value, &ty)))
        }
        _ => false,
    }
}

/// Expressions over `inputs` and `needs` of [`WORKFLOW`]'s second job.
fn expression() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("inputs.flag"),
        Just("inputs.count"),
        Just("inputs.level"),
        Just("inputs"),
        Just("needs"),
        Just("needs.first.result"),
        Just("needs.*.outputs"),
        Just("needs.*.outputs.*"),
        Just("needs['first'].outputs.version"),
        Just("null"),
        Just("true"),
        Just("1"),
        Just("''"),
        Just("'x'"),
        Just("fromJSON('[1, 2]')"),
        Just("fromJSON('{\"a\": {\"b\": true}, \"c\": [\"d\"]}')"),
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 20, 3, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                two.clone().prop_map(|(a, b)| format!("({a} && {b})")),
                two.clone().prop_map(|(a, b)| format!("({a} || {b})")),
                two.clone().prop_map(|(a, b)| format!("({a} == {b})")),
                two.clone().prop_map(|(a, b)| format!("({a})[{b}]")),
                inner.clone().prop_map(|a| format!("({a}).a")),
                inner.clone().prop_map(|a| format!("({a}).*")),
                inner.clone().prop_map(|a| format!("!({a})")),
                two.clone().prop_map(|(a, b)| format!("contains({a}, {b})")),
                two.clone().prop_map(|(a, b)| format!("join({a}, {b})")),
                inner.clone().prop_map(|a| format!("toJSON({a})")),
                (any::<bool>(), two).prop_map(|(when, (a, b))| format!("case({when}, {a}, {b})")),
                inner.prop_map(|a| format!("format('{{0}}', {a})")),
            ]
        })
        .boxed()
}

proptest! {
    #[test]
    fn values_have_the_types_that_are_inferred(text in expression()) {
        let workflow = workflow(WORKFLOW);
        let types = FileTypes::of_workflow(&workflow, &NoActions);
        let expr = parse(&text, &Names::any()).unwrap();
        let checked = check(&expr, &types.step_scope(1, 0));
        let json = |text: &str| Value::from_json(&serde_json::from_str(text).unwrap());
        let contexts = Contexts::new()
            .with("inputs", json(r#"{"flag": true, "level": "a", "count": 2}"#))
            .with("needs", json(r#"{"first": {"result": "success", "outputs": {"version": "1"}}}"#));
        if let (true, Ok(value)) = (checked.mistakes.is_empty(), eval(&expr, &contexts, &NoHost)) {
            prop_assert!(fits(&value, &checked.ty), "{text}: {value:?} is no {}", checked.ty);
        }
    }
}
