//! The bodies of requests: JSON, within a length and a time; and the names in their addresses.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::registry::Machines;

/// Most bytes of a body.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// How long a body may usually take.
pub const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// A body that has been read as JSON. An empty one is `{}`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Machines> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, machines: &Machines) -> Result<Self, ApiError> {
        let deadline = machines.inner.settings.body_deadline;
        let announced = request.headers().get(axum::http::header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let too_long = || ApiError::TooLong { what: "the body", limit: MAX_BODY };
        if announced.is_some_and(|length| length > MAX_BODY as u64) {
            return Err(too_long());
        }
        let reading = Limited::new(request.into_body(), MAX_BODY).collect();
        let slow = |_| ApiError::SlowBody { seconds: deadline.as_secs() };
        let body = tokio::time::timeout(deadline, reading).await.map_err(slow)?;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => too_long(),
            None => ApiError::invalid(format!("the body cannot be read: {error}")),
        })?;
        let bytes = body.to_bytes();
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        let read = serde_json::from_slice(text);
        read.map(Self).map_err(|error| ApiError::invalid(format!("the body is not as it should be: {error}")))
    }
}

/// The names in a request's address.
#[derive(Debug)]
pub(crate) struct Names<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Machines> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, machines: &Machines) -> Result<Self, ApiError> {
        let names = Path::from_request_parts(parts, machines).await;
        // What cannot be read names nothing.
        names.map(|Path(names)| Self(names)).map_err(|_| ApiError::NoRoute)
    }
}
