//! The contexts whose properties GitHub fixes: `github`, `runner`, `strategy`, `job`.

use std::sync::LazyLock;

use super::ty::{ObjectType, Rest, Type};
use crate::template::{Token, TokenKind};

/// Properties of `github` that are texts.
const TEXTS: [&str; 42] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "repositoryUrl",
    "run_attempt",
    "run_id",
    "run_number",
    "secret_source",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "token",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
    "retention_days",
    "artifact_cache_size_limit",
];

static RUNNER: LazyLock<Type> = LazyLock::new(|| {
    Type::texts_named(["name", "os", "arch", "temp", "tool_cache", "debug", "environment", "workspace"])
});

static STRATEGY: LazyLock<Type> = LazyLock::new(|| {
    Type::strict([
        ("fail-fast", Type::Bool),
        ("job-index", Type::Number),
        ("job-total", Type::Number),
        ("max-parallel", Type::Number),
    ])
});

static CONTAINER: LazyLock<Type> = LazyLock::new(|| Type::texts_named(["id", "network"]));

static GITHUB: LazyLock<ObjectType> = LazyLock::new(|| {
    let texts = TEXTS.into_iter().map(|name| match name {
        "retention_days" | "artifact_cache_size_limit" => (name, Type::Any),
        _ => (name, Type::String),
    });
    ObjectType::new(texts.chain([("ref_protected", Type::Bool), ("event", Type::Any)]), Rest::Nothing)
});

/// `github`, with this type of `github.event`.
pub(super) fn context(event: Type) -> Type {
    Type::Object(GITHUB.with("event", event))
}

/// `github`, without a type of `github.event`.
pub(super) fn without_event() -> &'static ObjectType {
    &GITHUB
}

/// `runner`
pub(super) fn runner() -> Type {
    RUNNER.clone()
}

/// `strategy`, which is there with defaults where a job has none.
pub(super) fn strategy() -> Type {
    STRATEGY.clone()
}

/// `job`, with these services.
pub(super) fn job(services: Type) -> Type {
    let texts = ["status", "workflow_file_path", "workflow_ref", "workflow_repository", "workflow_sha"];
    let texts = texts.into_iter().map(|name| (name, Type::String));
    let others = [("check_run_id", Type::Any), ("container", CONTAINER.clone()), ("services", services)];
    Type::strict(texts.chain(others))
}

/// An entry of `job.services`, for a service as it is written.
pub(super) fn service(service: &Token) -> Type {
    let ports = match service.entry("ports").map(|entry| &entry.value.kind) {
        Some(TokenKind::Sequence(_) | TokenKind::Expression(_)) => Type::texts(),
        None if matches!(service.kind, TokenKind::Expression(_)) => Type::texts(),
        _ => Type::texts_named::<&str>([]),
    };
    Type::strict([("id", Type::String), ("network", Type::String), ("ports", ports)])
}
