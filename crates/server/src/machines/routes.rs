//! The HTTP interface to machines.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::SnapshotRow;

use super::body::{JsonBody, Names};
use super::error::ApiError;
use super::model::{NewExecution, NewMachine, NewSnapshot, SnapshotAnswer, time};
use super::registry::Machines;
use super::{openapi, processes, stream};
use crate::jwt::Key;

/// What answers without a token.
const HEALTH: &str = "/health";

/// The content type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";

/// Who may call.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever shows a token that this key signed.
    Token(Arc<Key>),
    /// Whoever can reach the socket: it lies in a folder of its user's.
    Socket,
}

/// Every address with its methods; the OpenAPI document describes the same.
fn table() -> Vec<(&'static str, MethodRouter<Machines>)> {
    vec![
        (HEALTH, get(health)),
        ("/openapi.json", get(async || Json(openapi::document()))),
        ("/api/vms", get(list).post(create)),
        ("/api/vms/{id}", get(describe).delete(remove)),
        ("/api/vms/{id}/snapshots", get(snapshots).post(keep)),
        ("/api/vms/{id}/rollback/{snapshot_id}", post(roll_back)),
        ("/api/vms/{id}/processes", post(attach)),
        ("/api/llm/execute", post(execute)),
        ("/api/llm/execute/stream", post(execute_as_stream)),
    ]
}

/// Every address, with its names in braces.
pub fn paths() -> impl Iterator<Item = &'static str> {
    table().into_iter().map(|(path, _)| path)
}

/// The interface to these machines.
pub fn router(machines: Machines, access: Access) -> Router {
    let mut router = Router::new();
    for (path, methods) in table() {
        router = router.route(path, methods);
    }
    router
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async |method: Method| ApiError::Method { method })
        .layer(middleware::from_fn_with_state(access, check_access))
        .with_state(machines)
}

async fn check_access(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Access::Token(key) = &access
        && request.uri().path() != HEALTH
    {
        let token = bearer(request.headers()).ok_or(ApiError::Token { reason: None })?;
        let now = Timestamp::now().as_duration().as_secs_f64();
        key.verify(token, now).map_err(|reason| ApiError::Token { reason: Some(reason) })?;
    }
    Ok(next.run(request).await)
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn health() -> Json<Value> {
    Json(json!({ "service": "firedog", "status": "healthy", "timestamp": Timestamp::now().to_string() }))
}

async fn list(State(machines): State<Machines>) -> Json<Value> {
    Json(json!({ "vms": machines.list() }))
}

async fn create(
    State(machines): State<Machines>,
    JsonBody(new): JsonBody<NewMachine>,
) -> Result<Response, ApiError> {
    let wanted = new.check(machines.inner.settings.size)?;
    let made = machines.create(wanted, None).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn describe(State(machines): State<Machines>, Names(id): Names<String>) -> Result<Response, ApiError> {
    Ok(Json(machines.get(&id)?.describe()).into_response())
}

async fn remove(State(machines): State<Machines>, Names(id): Names<String>) -> Result<StatusCode, ApiError> {
    machines.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn snapshots(
    State(machines): State<Machines>,
    Names(id): Names<String>,
) -> Result<Json<Value>, ApiError> {
    machines.get(&id)?;
    let snapshots = machines.snapshots_of(&id).await?;
    let snapshots: Vec<SnapshotAnswer> = snapshots.into_iter().map(snapshot_answer).collect();
    Ok(Json(json!({ "snapshots": snapshots })))
}

fn snapshot_answer(row: SnapshotRow) -> SnapshotAnswer {
    SnapshotAnswer {
        snapshot_id: row.id,
        name: row.name,
        description: row.description,
        created_at: time(row.created),
        bytes: row.bytes,
    }
}

async fn keep(
    State(machines): State<Machines>,
    Names(id): Names<String>,
    JsonBody(new): JsonBody<NewSnapshot>,
) -> Result<Response, ApiError> {
    let (name, description) = new.check()?;
    let row = machines.snapshot(&id, name, description).await?;
    Ok((StatusCode::CREATED, Json(snapshot_answer(row))).into_response())
}

async fn roll_back(
    State(machines): State<Machines>,
    Names((id, snapshot)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(Json(machines.rollback(&id, &snapshot).await?.describe()).into_response())
}

async fn attach(
    State(machines): State<Machines>,
    Names(id): Names<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let used = machines.get(&id)?.begin()?;
    processes::upgrade(request, used)
}

async fn execute(
    State(machines): State<Machines>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewExecution>,
) -> Result<Response, ApiError> {
    let execution = machines.execute(new.check()?).await?;
    if wants_stream(&headers) {
        return Ok(stream::respond(execution));
    }
    Ok(Json(execution.finish().await?).into_response())
}

async fn execute_as_stream(
    State(machines): State<Machines>,
    JsonBody(new): JsonBody<NewExecution>,
) -> Result<Response, ApiError> {
    Ok(stream::respond(machines.execute(new.check()?).await?))
}

/// Whether the caller names a stream of events among what it accepts.
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}
