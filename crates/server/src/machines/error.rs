//! Why a request is refused, with its status and its text.

use axum::Json;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use machine::lifecycle::IllegalMove;
use machine::{BackendName, BootError, MachineError, SnapshotError};
use serde_json::json;
use store::StoreError;

use crate::jwt::TokenError;

/// Seconds after which a caller may ask again for what there is no room for now.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum ApiError {
    /// What was sent is wrong.
    #[error("{what}")]
    Invalid { what: String },
    /// There is no token, or one that is not accepted.
    #[error("a valid bearer token is needed: {}", reason.map_or_else(|| "there is none".to_owned(), |reason| reason.to_string()))]
    Token { reason: Option<TokenError> },
    /// There is no such machine, or no more.
    #[error("there is no machine `{id}`")]
    NoMachine { id: String },
    /// There is no such snapshot of the machine.
    #[error("there is no snapshot `{id}` of this machine")]
    NoSnapshot { id: String },
    /// The address means nothing.
    #[error("there is nothing at this address")]
    NoRoute,
    /// The address does not take the method.
    #[error("this address does not take {method}")]
    Method { method: Method },
    /// The body takes too long.
    #[error("the body did not arrive within {seconds} seconds")]
    SlowBody { seconds: u64 },
    /// The body, or a part of it, is too long.
    #[error("{what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    /// The machine's state forbids it.
    #[error(transparent)]
    State(#[from] IllegalMove),
    /// The machine was changed by another request meanwhile.
    #[error("the machine `{id}` was stopped or restored meanwhile")]
    Changed { id: String },
    /// Machines of this kind cannot be kept.
    #[error(
        "machines of the {backend} backend have no snapshots of memory; make a machine of the qemu or firecracker backend"
    )]
    NoSnapshots { backend: BackendName },
    /// All machines together would need more memory than there is.
    #[error(
        "there is no memory for a machine of {wanted_mib} MiB: machines have {committed_mib} of {capacity_mib} MiB"
    )]
    NoMemory { wanted_mib: u64, committed_mib: u64, capacity_mib: u64 },
    /// The host has less memory left than the machine needs.
    #[error(
        "there is no memory for a machine of {wanted_mib} MiB: the host has {available_mib} MiB left for machines"
    )]
    NoMemoryNow { wanted_mib: u64, available_mib: u64 },
    /// There are too many.
    #[error("there are {limit} {what} already")]
    TooMany { what: &'static str, limit: usize },
    /// The server is ending.
    #[error("the server is ending")]
    Ending,
    /// The machine could not be made.
    #[error("cannot make the machine `{id}`")]
    Boot {
        id: String,
        #[source]
        source: BootError,
    },
    /// The machine could not be kept.
    #[error("cannot keep the machine `{id}`")]
    Snapshot {
        id: String,
        #[source]
        source: SnapshotError,
    },
    /// The machine did not do what it was asked for.
    #[error("cannot use the machine `{id}`")]
    Machine {
        id: String,
        #[source]
        source: MachineError,
    },
    /// The lease could not be kept.
    #[error("cannot keep note of the machine")]
    Store(#[from] StoreError),
}

impl ApiError {
    /// An error for what was sent.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Token { .. } => StatusCode::UNAUTHORIZED,
            Self::NoMachine { .. } | Self::NoSnapshot { .. } | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::State(_) | Self::Changed { .. } | Self::NoSnapshots { .. } => StatusCode::CONFLICT,
            Self::NoMemory { .. }
            | Self::NoMemoryNow { .. }
            | Self::TooMany { .. }
            | Self::Ending
            | Self::Boot { .. }
            | Self::Snapshot { .. }
            | Self::Machine { .. }
            | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What happened, with its causes.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({ "error": self.text() }))).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Token { .. } => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::NoMemory { .. } | Self::NoMemoryNow { .. } | Self::TooMany { .. } => {
                headers.insert(RETRY_AFTER, RETRY_SECONDS);
            }
            _ => {}
        }
        response
    }
}
