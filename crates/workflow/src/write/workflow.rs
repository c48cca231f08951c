//! Workflows and jobs.

use super::{Mapping, one_or_more, steps, text, trigger};
use crate::expr::Expr;
use crate::model::{Call, CallSecrets, Job, JobKind, Steps, Workflow};
use crate::template::Token;

/// A condition that is the same as none.
const SUCCESS: &str = "success()";

/// A workflow as the mapping of a file.
pub(super) fn token(workflow: &Workflow) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_text("name", workflow.name.as_ref().map(|name| name.value.as_str()));
    mapping.put_some("run-name", workflow.run_name.as_ref());
    mapping.put("on", trigger::triggers(&workflow.on));
    mapping.put_some("permissions", workflow.permissions.as_ref());
    mapping.put_some("env", workflow.env.as_ref());
    mapping.put_some("defaults", workflow.defaults.as_ref());
    mapping.put_some("concurrency", workflow.concurrency.as_ref());
    let mut jobs = Mapping::default();
    workflow.jobs.iter().for_each(|each| jobs.put(&each.id.value, job(each)));
    mapping.put("jobs", jobs.into_token());
    mapping.into_token()
}

/// `if`: as it is written, or what the model says.
pub(super) fn put_condition(mapping: &mut Mapping, condition: &Expr, written: Option<&Token>) {
    match written {
        Some(written) => mapping.put("if", written.clone()),
        None if condition.source() == SUCCESS => {}
        None => mapping.put("if", text(condition.source())),
    }
}

fn job(job: &Job) -> Token {
    let mut mapping = Mapping::default();
    mapping.put_some("name", job.name.as_ref());
    if !job.needs.is_empty() {
        mapping.put("needs", one_or_more(&job.needs));
    }
    put_condition(&mut mapping, &job.condition, job.written_condition.as_ref());
    mapping.put_some("permissions", job.permissions.as_ref());
    mapping.put_some("concurrency", job.concurrency.as_ref());
    mapping.put_some("strategy", job.strategy.as_ref());
    match &job.kind {
        JobKind::Steps(steps) => put_steps(&mut mapping, steps),
        JobKind::Call(call) => put_call(&mut mapping, call),
    }
    mapping.into_token()
}

fn put_steps(mapping: &mut Mapping, job: &Steps) {
    mapping.put_some("runs-on", job.runs_on.as_ref());
    mapping.put_some("environment", job.environment.as_ref());
    mapping.put_some("snapshot", job.snapshot.as_ref());
    mapping.put_some("container", job.container.as_ref());
    mapping.put_some("services", job.services.as_ref());
    mapping.put_some("outputs", job.outputs.as_ref());
    mapping.put_some("env", job.env.as_ref());
    mapping.put_some("defaults", job.defaults.as_ref());
    mapping.put_some("timeout-minutes", job.timeout_minutes.as_ref());
    mapping.put_some("cancel-timeout-minutes", job.cancel_timeout_minutes.as_ref());
    mapping.put_some("continue-on-error", job.continue_on_error.as_ref());
    if !job.steps.is_empty() {
        mapping.put("steps", steps::steps(&job.steps));
    }
}

fn put_call(mapping: &mut Mapping, call: &Call) {
    mapping.put("uses", text(&call.uses.value));
    mapping.put_some("with", call.with.as_ref());
    match &call.secrets {
        CallSecrets::None => {}
        CallSecrets::Inherit => mapping.put("secrets", text("inherit")),
        CallSecrets::Map(secrets) => mapping.put("secrets", secrets.clone()),
    }
}
