//! Caches in jobs that publish.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::memrchr;

use crate::diagnostic::Severity;
use crate::lint::uses::Remote;
use crate::lint::{Check, Findings, JobUnit};
use crate::model::{JobKind, Step, StepKind, Workflow};
use crate::rule::{Group, Rule};
use crate::source::{SourceFile, Span};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "cache-in-release",
    severity: Severity::Info,
    group: Group::Security,
    summary: "a job that publishes builds with what a cache holds",
    actionlint: None,
    page: include_str!("cache_in_release.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

/// When an action restores a cache.
#[derive(Clone, Copy)]
enum Caches {
    /// Always.
    Always,
    /// Where this input is set, to something else than `false`.
    Where(&'static str),
    /// Unless this input is `false`.
    Unless(&'static str),
    /// Unless this input is `true`.
    UnlessTrue(&'static str),
}

/// Actions that restore caches for what the job builds.
const ACTIONS: [(&str, Caches); 22] = [
    ("actions/cache", Caches::UnlessTrue("lookup-only")),
    ("actions/cache/restore", Caches::UnlessTrue("lookup-only")),
    ("actions/setup-dotnet", Caches::Where("cache")),
    ("actions/setup-go", Caches::Unless("cache")),
    ("actions/setup-java", Caches::Where("cache")),
    ("actions/setup-node", Caches::Where("cache")),
    ("actions/setup-python", Caches::Where("cache")),
    ("actions-rust-lang/setup-rust-toolchain", Caches::Unless("cache")),
    ("astral-sh/setup-uv", Caches::Where("enable-cache")),
    ("awalsh128/cache-apt-pkgs-action", Caches::Always),
    ("docker/build-push-action", Caches::Where("cache-from")),
    ("gradle/actions/setup-gradle", Caches::UnlessTrue("cache-disabled")),
    ("hendrikmuhs/ccache-action", Caches::Always),
    ("jdx/mise-action", Caches::Unless("cache")),
    ("mozilla-actions/sccache-action", Caches::Always),
    ("mlugg/setup-zig", Caches::Unless("use-cache")),
    ("nix-community/cache-nix-action", Caches::Always),
    ("oven-sh/setup-bun", Caches::UnlessTrue("no-cache")),
    ("pyo3/maturin-action", Caches::Where("sccache")),
    ("ramsey/composer-install", Caches::UnlessTrue("ignore-cache")),
    ("ruby/setup-ruby", Caches::Where("bundler-cache")),
    ("swatinem/rust-cache", Caches::UnlessTrue("lookup-only")),
];

/// Actions that publish what the job built.
const PUBLISHERS: [&str; 14] = [
    "actions/attest-build-provenance",
    "actions/create-release",
    "actions/upload-release-asset",
    "cloudflare/wrangler-action",
    "gradle/publish-plugin",
    "goreleaser/goreleaser-action",
    "js-devtools/npm-publish",
    "jreleaser/release-action",
    "ncipollo/release-action",
    "pypa/gh-action-pypi-publish",
    "rubygems/release-gem",
    "softprops/action-gh-release",
    "svenstaro/upload-release-action",
    "changesets/action",
];

/// Commands that publish what the job built.
const COMMANDS: [&str; 13] = [
    "npm publish",
    "pnpm publish",
    "yarn publish",
    "yarn npm publish",
    "cargo publish",
    "twine upload",
    "uv publish",
    "poetry publish",
    "gem push",
    "gh release create",
    "gh release upload",
    "docker push",
    "dotnet nuget push",
];

static FINDERS: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| COMMANDS.iter().map(Finder::new).collect());

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    let mut caches = kind.steps.iter().enumerate();
    let Some((index, cache)) = caches.find_map(|(index, step)| Some((index, restores(step)?))) else {
        return;
    };
    let publishing = kind.steps[index..].iter().find_map(|step| publishes(step, findings.file()));
    let release = publishing.map(|span| (span, "publishes")).or_else(|| {
        let built = kind.steps[index..].iter().find_map(hands_over)?;
        released_by(unit.workflow.workflow).map(|_| (built, "hands over what is released"))
    });
    let Some((span, label)) = release else { return };
    let message = "what is published is built with what a cache holds, which other jobs and branches wrote";
    findings.push(
        findings
            .describe(cache, message)
            .with_label(cache, "restores the cache")
            .with_label(span, label)
            .with_help("build releases without caches"),
    );
}

/// Where a step restores a cache.
fn restores(step: &Step) -> Option<Span> {
    let StepKind::Uses { uses, with } = &step.kind else { return None };
    let remote = Remote::parse(&uses.value)?;
    let (_, caches) = ACTIONS.iter().find(|(action, _)| remote.is(action))?;
    let input = |name: &str| with.as_ref().and_then(|with| with.entry(name)).map(|entry| &entry.value);
    let is = |name: &str, expected: bool| input(name).is_some_and(|value| is_bool(value, expected));
    let restores = match caches {
        Caches::Always => true,
        Caches::Where(name) => input(name).is_some_and(|value| !is_bool(value, false)),
        Caches::Unless(name) => !is(name, false),
        Caches::UnlessTrue(name) => !is(name, true),
    };
    restores.then_some(uses.span)
}

fn is_bool(value: &Token, expected: bool) -> bool {
    match &value.kind {
        TokenKind::Bool(value) => *value == expected,
        TokenKind::String(text) if text.is_empty() => !expected,
        TokenKind::String(text) => text.eq_ignore_ascii_case(if expected { "true" } else { "false" }),
        // What an expression gives may be either: it may well be that releases go without.
        TokenKind::Expression(_) => true,
        _ => false,
    }
}

/// Where a step publishes.
fn publishes(step: &Step, file: &SourceFile) -> Option<Span> {
    match &step.kind {
        StepKind::Uses { uses, with } => {
            let remote = Remote::parse(&uses.value)?;
            let pushes = || {
                with.as_ref()
                    .and_then(|with| with.entry("push"))
                    .is_some_and(|push| is_literally_true(&push.value))
            };
            let is_tried = with.as_ref().and_then(|with| with.entry("args")?.value.as_str());
            if is_tried.is_some_and(|args| args.contains("--snapshot") || args.contains("--skip=publish")) {
                return None;
            }
            let is_image = remote.is("docker/build-push-action") && pushes();
            (is_image || PUBLISHERS.iter().any(|action| remote.is(action))).then_some(uses.span)
        }
        StepKind::Run { run, .. } => {
            let text = file.slice(run.span);
            let is_tried = |at: usize| {
                let start = memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |feed| feed + 1);
                text[start..].lines().next().is_some_and(|line| line.contains("--dry-run"))
            };
            let publishes = |command: &Finder<'_>| command.find_iter(text.as_bytes()).any(|at| !is_tried(at));
            FINDERS.iter().any(publishes).then_some(run.span)
        }
        _ => None,
    }
}

fn is_literally_true(value: &Token) -> bool {
    !value.is_expression() && is_bool(value, true)
}

/// Where a step uploads what the job built.
fn hands_over(step: &Step) -> Option<Span> {
    let StepKind::Uses { uses, .. } = &step.kind else { return None };
    Remote::parse(&uses.value)?.is("actions/upload-artifact").then_some(uses.span)
}

/// The event by which the workflow does nothing but release: all of its events are releases and tags.
fn released_by(workflow: &Workflow) -> Option<Span> {
    let mut release = None;
    for (event, trigger) in &workflow.on.events {
        match event.as_str() {
            "release" => release = Some(trigger.span),
            "push" if trigger.tags.is_some() && trigger.branches.is_none() => release = Some(trigger.span),
            "workflow_dispatch" => {}
            _ => return None,
        }
    }
    release
}
