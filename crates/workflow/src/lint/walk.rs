//! Takes the rules through a file.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::rules::RULES;
use super::unit::{ActionUnit, ExpressionSite, JobUnit, StepOwner, StepUnit, WorkflowUnit};
use super::{Check, Findings, Settings};
use crate::expr::Expr;
use crate::model::{ActionRuns, CallSecrets, Job, JobKind, Step, StepKind, Steps};
use crate::rule::Rule;
use crate::source::{Span, Spanned};
use crate::template::{Key, Token, TokenKind};

/// Calls the rules for all of a workflow.
pub(crate) fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let rules = Active::with(unit.settings);
    let mut walk = Walk { findings, rules: &rules };
    each(&rules.workflow, walk.findings, |check, findings| check(unit, findings));
    let site = Site { workflow: Some(unit), ..Site::default() };
    let workflow = unit.workflow;
    walk.part("run-name", workflow.run_name.as_ref(), site);
    for trigger in workflow.on.events.values() {
        trigger.call_inputs.values().for_each(|input| walk.part("default", input.default.as_ref(), site));
        trigger.call_outputs.values().for_each(|output| walk.part("value", Some(&output.value), site));
    }
    walk.part("env", workflow.env.as_ref(), site);
    walk.part("defaults", workflow.defaults.as_ref(), site);
    walk.part("concurrency", workflow.concurrency.as_ref(), site);
    for job in &workflow.jobs {
        walk.job(JobUnit { workflow: unit, job }, site);
    }
}

/// Calls the rules for all of an action.
pub(crate) fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    let rules = Active::with(unit.settings);
    let mut walk = Walk { findings, rules: &rules };
    each(&rules.action, walk.findings, |check, findings| check(unit, findings));
    let site = Site { action: Some(unit), ..Site::default() };
    unit.action.inputs.values().for_each(|input| walk.part("default", input.default.as_ref(), site));
    unit.action.outputs.values().for_each(|output| walk.part("value", output.value.as_ref(), site));
    match &unit.action.runs {
        ActionRuns::Composite { steps } => walk.steps(StepOwner::Action(unit), steps, site),
        ActionRuns::Docker { args, env, .. } => {
            args.iter().for_each(|argument| walk.part("args", Some(argument), site));
            walk.part("env", env.as_ref(), site);
        }
        ActionRuns::Node { .. } | ActionRuns::Plugin { .. } => {}
    }
}

/// Calls the rules for a file's text.
pub(crate) fn text(settings: &Settings<'_>, findings: &mut Findings<'_>) {
    each(&Active::with(settings).text, findings, |check, findings| check(findings));
}

/// The functions of rules that are called for one kind of part, each with its rule.
type Calls<F> = Vec<(&'static Rule, F)>;

/// The functions of the rules that are on, by the parts that they look at: most rules look at few.
#[derive(Clone)]
struct Active {
    text: Calls<fn(&mut Findings<'_>)>,
    workflow: Calls<fn(WorkflowUnit<'_>, &mut Findings<'_>)>,
    job: Calls<fn(JobUnit<'_>, &mut Findings<'_>)>,
    step: Calls<fn(StepUnit<'_>, &mut Findings<'_>)>,
    reference: Calls<fn(&Spanned<String>, &mut Findings<'_>)>,
    action: Calls<fn(ActionUnit<'_>, &mut Findings<'_>)>,
    expression: Calls<fn(ExpressionSite<'_>, &mut Findings<'_>)>,
}

/// All rules, for settings that turn none off.
static ALL: LazyLock<Active> = LazyLock::new(|| Active::of(|_| true));

impl Active {
    fn of(is_on: impl Fn(&str) -> bool) -> Self {
        let checks =
            || RULES.iter().filter(|rule| is_on(rule.code)).filter_map(|rule| Some((*rule, rule.check?)));
        fn calls<F>(
            checks: impl Iterator<Item = (&'static Rule, Check)>,
            of: impl Fn(Check) -> Option<F>,
        ) -> Calls<F> {
            checks.filter_map(|(rule, check)| Some((rule, of(check)?))).collect()
        }
        Self {
            text: calls(checks(), |check| check.text),
            workflow: calls(checks(), |check| check.workflow),
            job: calls(checks(), |check| check.job),
            step: calls(checks(), |check| check.step),
            reference: calls(checks(), |check| check.reference),
            action: calls(checks(), |check| check.action),
            expression: calls(checks(), |check| check.expression),
        }
    }

    fn with(settings: &Settings<'_>) -> Cow<'static, Self> {
        if settings.levels.is_empty() {
            Cow::Borrowed(&ALL)
        } else {
            Cow::Owned(Self::of(|code| settings.is_on(code)))
        }
    }
}

/// Where the walk is.
#[derive(Clone, Copy, Default)]
struct Site<'a> {
    workflow: Option<WorkflowUnit<'a>>,
    job: Option<JobUnit<'a>>,
    step: Option<StepUnit<'a>>,
    action: Option<ActionUnit<'a>>,
}

struct Walk<'w, 'f> {
    findings: &'w mut Findings<'f>,
    rules: &'w Active,
}

/// Calls each function with the findings of its rule.
fn each<'f, F: Copy>(calls: &Calls<F>, findings: &mut Findings<'f>, call: impl Fn(F, &mut Findings<'f>)) {
    if findings.is_full() {
        return;
    }
    for (rule, function) in calls {
        call(*function, findings.of(rule));
    }
}

impl Walk<'_, '_> {
    fn job<'a>(&mut self, unit: JobUnit<'a>, around: Site<'a>) {
        each(&self.rules.job, self.findings, |check, findings| check(unit, findings));
        let site = Site { job: Some(unit), ..around };
        let job: &Job = unit.job;
        self.part("name", job.name.as_ref(), site);
        self.condition(&job.condition, job.written_condition.as_ref(), site);
        self.part("strategy", job.strategy.as_ref(), site);
        self.part("concurrency", job.concurrency.as_ref(), site);
        match &job.kind {
            JobKind::Call(call) => {
                each(&self.rules.reference, self.findings, |check, findings| check(&call.uses, findings));
                self.part("with", call.with.as_ref(), site);
                if let CallSecrets::Map(secrets) = &call.secrets {
                    self.part("secrets", Some(secrets), site);
                }
            }
            JobKind::Steps(kind) => {
                self.parts_of_steps(kind, site);
                self.steps(StepOwner::Job(unit, kind), &kind.steps, site);
            }
        }
    }

    fn parts_of_steps<'a>(&mut self, kind: &'a Steps, site: Site<'a>) {
        self.part("runs-on", kind.runs_on.as_ref(), site);
        self.part("env", kind.env.as_ref(), site);
        self.part("defaults", kind.defaults.as_ref(), site);
        self.part("outputs", kind.outputs.as_ref(), site);
        self.part("environment", kind.environment.as_ref(), site);
        self.part("container", kind.container.as_ref(), site);
        self.part("services", kind.services.as_ref(), site);
        self.part("snapshot", kind.snapshot.as_ref(), site);
        self.part("continue-on-error", kind.continue_on_error.as_ref(), site);
        self.part("timeout-minutes", kind.timeout_minutes.as_ref(), site);
        self.part("cancel-timeout-minutes", kind.cancel_timeout_minutes.as_ref(), site);
    }

    fn steps<'a>(&mut self, owner: StepOwner<'a>, steps: &'a [Step], around: Site<'a>) {
        for (index, step) in steps.iter().enumerate() {
            let unit = StepUnit { owner, steps, index };
            each(&self.rules.step, self.findings, |check, findings| check(unit, findings));
            let site = Site { step: Some(unit), ..around };
            self.part("name", step.name.as_ref(), site);
            self.condition(&step.condition, step.written_condition.as_ref(), site);
            self.part("env", step.env.as_ref(), site);
            self.part("continue-on-error", step.continue_on_error.as_ref(), site);
            self.part("timeout-minutes", step.timeout_minutes.as_ref(), site);
            match &step.kind {
                StepKind::Run { run, shell, working_directory } => {
                    self.part("run", Some(run), site);
                    self.part("shell", shell.as_ref(), site);
                    self.part("working-directory", working_directory.as_ref(), site);
                }
                StepKind::Uses { uses, with } => {
                    each(&self.rules.reference, self.findings, |check, findings| check(uses, findings));
                    self.part("with", with.as_ref(), site);
                }
                StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => {}
            }
        }
    }

    fn condition<'a>(&mut self, condition: &'a Expr, written: Option<&'a Token>, site: Site<'a>) {
        if let Some(written) = written {
            self.expression("if", None, condition, written.span, site);
        }
    }

    /// The expressions of a part of the file; the keys on its first level are the names of its entries.
    fn part<'a>(&mut self, key: &'static str, part: Option<&'a Token>, site: Site<'a>) {
        if let Some(part) = part {
            self.tokens(key, None, part, site);
        }
    }

    fn tokens<'a>(&mut self, key: &'static str, entry: Option<&'a str>, token: &'a Token, site: Site<'a>) {
        match &token.kind {
            TokenKind::Expression(expression) => self.expression(key, entry, expression, token.span, site),
            TokenKind::Sequence(items) => items.iter().for_each(|item| self.tokens(key, entry, item, site)),
            TokenKind::Mapping(entries) => {
                for part in entries.iter() {
                    if let Key::Expression(expression) = &part.key {
                        self.expression(key, entry, expression, part.key_span, site);
                    }
                    self.tokens(key, entry.or(part.name()), &part.value, site);
                }
            }
            TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String(_) => {}
        }
    }

    fn expression<'a>(
        &mut self,
        key: &'static str,
        entry: Option<&'a str>,
        expression: &'a Expr,
        span: Span,
        Site { workflow, job, step, action }: Site<'a>,
    ) {
        let site = ExpressionSite { expression, span, key, entry, workflow, job, step, action };
        each(&self.rules.expression, self.findings, |check, findings| check(site, findings));
    }
}
