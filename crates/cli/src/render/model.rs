//! The model of workflows and actions as JSON, in the shape of GitHub's converted workflow template.

use serde_json::{Map, Value, json};
use workflow::expr::Expr;
use workflow::model::{
    Action, ActionRuns, CallSecrets, InputType, Job, JobKind, Step, StepKind, Steps, Trigger, Workflow,
};
use workflow::permissions::Permissions;
use workflow::source::Spanned;
use workflow::template::{Key, Token, TokenKind};

/// A workflow; the jobs of called workflows are inside the jobs that call them.
pub(crate) fn workflow(workflow: &Workflow) -> Value {
    let mut object = Map::new();
    put(&mut object, "env", &workflow.env);
    put(&mut object, "defaults", &workflow.defaults);
    put_permissions(&mut object, workflow.permissions.as_ref());
    put(&mut object, "concurrency", &workflow.concurrency);
    let types: Map<String, Value> = workflow
        .on
        .events
        .get("workflow_dispatch")
        .into_iter()
        .flat_map(|trigger| &trigger.dispatch_inputs)
        .map(|(name, input)| (name.clone(), input_type(input.kind).into()))
        .collect();
    if !types.is_empty() {
        object.insert("input-types".into(), types.into());
    }
    let events: Map<String, Value> =
        workflow.on.events.iter().map(|(name, event)| (name.clone(), trigger(name, event))).collect();
    object.insert("events".into(), events.into());
    object.insert(
        "jobs".into(),
        workflow.jobs.iter().map(|job| self::job(job, &workflow.permissions)).collect(),
    );
    object.into()
}

fn put(object: &mut Map<String, Value>, key: &str, token: &Option<Token>) {
    if let Some(token) = token {
        object.insert(key.into(), self::token(token));
    }
}

/// `read-all` and `write-all` are written as what they stand for.
fn put_permissions(object: &mut Map<String, Value>, permissions: Option<&Token>) {
    let Some(permissions) = permissions else { return };
    let value = match &permissions.kind {
        TokenKind::String(_) => Value::Object(
            Permissions::of(permissions)
                .levels()
                .map(|(scope, level)| (scope.to_owned(), level.name().into()))
                .collect(),
        ),
        _ => token(permissions),
    };
    object.insert("permissions".into(), value);
}

/// A template as plain JSON; an expression is `{"$expr": …}`.
pub(crate) fn token(token: &Token) -> Value {
    match &token.kind {
        TokenKind::Null => Value::Null,
        TokenKind::Bool(value) => (*value).into(),
        TokenKind::Number(value) => number(*value),
        TokenKind::String(text) => (**text).into(),
        TokenKind::Expression(expr) => expression(expr),
        TokenKind::Sequence(items) => items.iter().map(self::token).collect(),
        TokenKind::Mapping(entries) => {
            let key = |key: &Key| match key {
                Key::Literal(name) => name.to_string(),
                Key::Expression(expr) => format!("${{{{ {} }}}}", expr.source()),
                Key::Insert => "${{ insert }}".to_owned(),
            };
            Value::Object(entries.iter().map(|entry| (key(&entry.key), self::token(&entry.value))).collect())
        }
    }
}

/// JSON has no infinities; whole numbers are written without a fraction.
fn number(value: f64) -> Value {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let text =
        if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { value.to_string() };
    serde_json::from_str(&text).unwrap_or_else(|_| json!(value))
}

fn expression(expr: &Expr) -> Value {
    json!({ "$expr": expr.source() })
}

fn texts(list: &[Spanned<String>]) -> Value {
    list.iter().map(|text| Value::from(text.value.as_str())).collect()
}

fn input_type(kind: InputType) -> &'static str {
    match kind {
        InputType::String => "string",
        InputType::Boolean => "boolean",
        InputType::Number => "number",
        InputType::Choice => "choice",
        InputType::Environment => "environment",
    }
}

fn trigger(name: &str, trigger: &Trigger) -> Value {
    if name == "schedule" {
        return trigger
            .schedule
            .iter()
            .map(|entry| {
                let mut object = Map::from_iter([("cron".to_owned(), entry.cron.value.as_str().into())]);
                if let Some(zone) = &entry.timezone {
                    object.insert("timezone".into(), zone.value.as_str().into());
                }
                Value::Object(object)
            })
            .collect();
    }
    let mut object = Map::new();
    for (key, list) in trigger.lists() {
        if let Some(list) = list {
            object.insert(key.into(), texts(list));
        }
    }
    let mut inputs = Map::new();
    for (name, input) in &trigger.dispatch_inputs {
        let mut spec = input_spec(input.kind, &input.description, input.required, &input.default);
        if !input.options.is_empty() {
            spec.insert("options".into(), json!(input.options));
        }
        inputs.insert(name.clone(), spec.into());
    }
    for (name, input) in &trigger.call_inputs {
        let spec = input_spec(input.kind, &input.description, input.required, &input.default);
        inputs.insert(name.clone(), spec.into());
    }
    if !inputs.is_empty() {
        object.insert("inputs".into(), inputs.into());
    }
    if !trigger.call_secrets.is_empty() {
        let secrets: Map<String, Value> = trigger
            .call_secrets
            .iter()
            .map(|(name, secret)| {
                let mut spec = Map::new();
                if let Some(description) = &secret.description {
                    spec.insert("description".into(), description.as_str().into());
                }
                spec.insert("required".into(), secret.required.into());
                (name.clone(), spec.into())
            })
            .collect();
        object.insert("secrets".into(), secrets.into());
    }
    object.into()
}

fn input_spec(
    kind: InputType,
    description: &Option<String>,
    required: bool,
    default: &Option<Token>,
) -> Map<String, Value> {
    let mut spec = Map::from_iter([("type".to_owned(), input_type(kind).into())]);
    if let Some(description) = description {
        spec.insert("description".into(), description.as_str().into());
    }
    if required {
        spec.insert("required".into(), true.into());
    }
    put(&mut spec, "default", default);
    spec
}

/// A job; where it does not say, its permissions are those of the workflow around it.
fn job(job: &Job, around: &Option<Token>) -> Value {
    let mut object = Map::new();
    let kind = if matches!(job.kind, JobKind::Call(_)) { "reusableWorkflowJob" } else { "job" };
    object.insert("type".into(), kind.into());
    object.insert("id".into(), job.id.value.as_str().into());
    object.insert("name".into(), job.name.as_ref().map_or_else(|| job.id.value.as_str().into(), token));
    object.insert("needs".into(), texts(&job.needs));
    object.insert("if".into(), expression(&job.condition));
    put(&mut object, "strategy", &job.strategy);
    let own = if job.permissions.is_some() { &job.permissions } else { around };
    // A called workflow that says what it needs gets that and no more.
    let asked = match &job.kind {
        JobKind::Call(call) => call.workflow.as_ref().and_then(|called| called.permissions.as_ref()),
        JobKind::Steps(_) => None,
    };
    let permissions = asked.or(own.as_ref()).cloned();
    put_permissions(&mut object, permissions.as_ref());
    put(&mut object, "concurrency", &job.concurrency);
    match &job.kind {
        JobKind::Steps(steps) => put_steps(&mut object, steps),
        JobKind::Call(call) => {
            object.insert("ref".into(), call.uses.value.as_str().into());
            put(&mut object, "input-values", &call.with);
            match &call.secrets {
                CallSecrets::None => {}
                CallSecrets::Inherit => drop(object.insert("inherit-secrets".into(), true.into())),
                CallSecrets::Map(map) => drop(object.insert("secret-values".into(), token(map))),
            }
            let called = call.workflow.as_deref();
            if let Some(trigger) = called.and_then(|called| called.on.events.get("workflow_call")) {
                put_definitions(&mut object, trigger);
            }
            let jobs = called.map(|called| called.jobs.as_slice()).unwrap_or_default();
            object.insert("jobs".into(), jobs.iter().map(|job| self::job(job, &permissions)).collect());
        }
    }
    object.into()
}

fn put_definitions(object: &mut Map<String, Value>, trigger: &Trigger) {
    let inputs: Map<String, Value> = trigger
        .call_inputs
        .iter()
        .map(|(name, input)| {
            let spec = input_spec(input.kind, &input.description, input.required, &input.default);
            (name.clone(), spec.into())
        })
        .collect();
    let secrets: Map<String, Value> = trigger
        .call_secrets
        .iter()
        .map(|(name, secret)| {
            let spec = if secret.is_bare { Value::Null } else { json!({ "required": secret.required }) };
            (name.clone(), spec)
        })
        .collect();
    let outputs: Map<String, Value> = trigger
        .call_outputs
        .iter()
        .map(|(name, output)| (name.clone(), json!({ "value": token(&output.value) })))
        .collect();
    for (key, definitions) in
        [("input-definitions", inputs), ("secret-definitions", secrets), ("outputs", outputs)]
    {
        if !definitions.is_empty() {
            object.insert(key.into(), definitions.into());
        }
    }
}

fn put_steps(object: &mut Map<String, Value>, steps: &Steps) {
    let parts = [
        ("runs-on", &steps.runs_on),
        ("env", &steps.env),
        ("environment", &steps.environment),
        ("container", &steps.container),
        ("services", &steps.services),
        ("outputs", &steps.outputs),
        ("defaults", &steps.defaults),
        ("snapshot", &steps.snapshot),
        ("continue-on-error", &steps.continue_on_error),
        ("timeout-minutes", &steps.timeout_minutes),
        ("cancel-timeout-minutes", &steps.cancel_timeout_minutes),
    ];
    for (key, part) in parts {
        put(object, key, part);
    }
    object.insert("steps".into(), steps.steps.iter().map(step).collect());
}

fn step(step: &Step) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), step.id.as_str().into());
    put(&mut object, "name", &step.name);
    let runs = matches!(step.kind, StepKind::Run { .. } | StepKind::Uses { .. });
    if runs {
        object.insert("if".into(), expression(&step.condition));
    }
    match &step.kind {
        StepKind::Run { run, shell, working_directory } => {
            object.insert("run".into(), token(run));
            put(&mut object, "shell", shell);
            put(&mut object, "working-directory", working_directory);
        }
        StepKind::Uses { uses, with } => {
            object.insert("uses".into(), uses.value.as_str().into());
            put(&mut object, "with", with);
        }
        StepKind::Wait { steps } => drop(object.insert("wait".into(), texts(steps))),
        StepKind::WaitAll => drop(object.insert("wait-all".into(), true.into())),
        StepKind::Cancel { steps } => {
            let target = steps.first().map_or("", |step| step.value.as_str());
            object.insert("cancel".into(), target.into());
        }
    }
    put(&mut object, "env", &step.env);
    put(&mut object, "continue-on-error", &step.continue_on_error);
    put(&mut object, "timeout-minutes", &step.timeout_minutes);
    put(&mut object, "background", &step.background);
    object.into()
}

/// An action.
pub(crate) fn action(action: &Action) -> Value {
    let inputs: Map<String, Value> = action
        .inputs
        .iter()
        .map(|(name, input)| {
            let mut spec = Map::new();
            put_text(&mut spec, "description", &input.description);
            spec.insert("required".into(), input.required.into());
            put(&mut spec, "default", &input.default);
            put_text(&mut spec, "deprecationMessage", &input.deprecation_message);
            (name.clone(), spec.into())
        })
        .collect();
    let outputs: Map<String, Value> = action
        .outputs
        .iter()
        .map(|(name, output)| {
            let mut spec = Map::new();
            put_text(&mut spec, "description", &output.description);
            put(&mut spec, "value", &output.value);
            (name.clone(), spec.into())
        })
        .collect();
    json!({
        "name": action.name,
        "description": action.description,
        "inputs": inputs,
        "outputs": outputs,
        "runs": runs(&action.runs),
    })
}

fn put_text(object: &mut Map<String, Value>, key: &str, text: &Option<String>) {
    if let Some(text) = text {
        object.insert(key.into(), text.as_str().into());
    }
}

fn runs(runs: &ActionRuns) -> Value {
    let mut object = Map::new();
    match runs {
        ActionRuns::Node { using, main, pre, pre_if, post, post_if } => {
            object.insert("using".into(), using.as_str().into());
            object.insert("main".into(), main.as_str().into());
            put_text(&mut object, "pre", pre);
            put_text(&mut object, "post", post);
            object.insert("pre-if".into(), pre_if.source().into());
            object.insert("post-if".into(), post_if.source().into());
        }
        ActionRuns::Composite { steps } => {
            object.insert("using".into(), "composite".into());
            object.insert("steps".into(), steps.iter().map(step).collect());
        }
        ActionRuns::Docker {
            image,
            entrypoint,
            pre_entrypoint,
            pre_if,
            post_entrypoint,
            post_if,
            args,
            env,
        } => {
            object.insert("using".into(), "docker".into());
            object.insert("image".into(), image.as_str().into());
            put_text(&mut object, "entrypoint", entrypoint);
            put_text(&mut object, "pre-entrypoint", pre_entrypoint);
            put_text(&mut object, "post-entrypoint", post_entrypoint);
            object.insert("pre-if".into(), pre_if.source().into());
            object.insert("post-if".into(), post_if.source().into());
            object.insert("args".into(), args.iter().map(token).collect());
            put(&mut object, "env", env);
        }
        ActionRuns::Plugin { plugin } => {
            object.insert("plugin".into(), plugin.as_str().into());
        }
    }
    object.into()
}
