//! The description of the interface for programs, as OpenAPI 3.1. `openapi.json` beside this file is the document; a test
//! compares it with the routes and with the limits in the code.

use serde_json::Value;

const TEXT: &str = include_str!("openapi.json");

/// The document.
pub fn document() -> Value {
    serde_json::from_str(TEXT).expect("the document is JSON: a test reads it")
}
