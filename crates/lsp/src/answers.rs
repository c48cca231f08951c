//! Requests about documents and their answers. A document that is not open, or is no file of GitHub's, has empty answers.

use lsp_server::ErrorCode;
use lsp_types::request::{Completion, Request as _};
use lsp_types::{
    CompletionOptions, CompletionParams, CompletionResponse, ServerCapabilities, TextDocumentPositionParams,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::completion;
use crate::cursor::Cursor;
use crate::document::Document;
use crate::repository::{Documents, Place, Repository};

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What can be asked.
pub(crate) fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([" ", ".", "[", "{", "'", "/"].map(String::from).to_vec()),
            ..CompletionOptions::default()
        }),
        ..ServerCapabilities::default()
    }
}

/// Answers a request.
pub(crate) fn answer(method: &str, params: Value, documents: &Documents) -> Result<Value, Refusal> {
    match method {
        Completion::METHOD => to_value(&complete(parameters(params)?, documents)),
        _ => Err(Refusal::new(ErrorCode::MethodNotFound, format!("there is no method `{method}`"))),
    }
}

/// A place in a document of GitHub's.
struct Asked<'d> {
    document: &'d Document,
    cursor: Cursor<'d>,
    place: Place,
    documents: &'d Documents,
}

impl<'d> Asked<'d> {
    fn at(at: &TextDocumentPositionParams, documents: &'d Documents) -> Option<Self> {
        let document = documents.get(at.text_document.uri.as_str())?;
        let place = Place::of(document)?;
        let cursor = Cursor::at(document.text()?, document.offset(at.position), place.kind);
        Some(Self { document, cursor, place, documents })
    }

    fn repository(&self) -> Repository<'_> {
        Repository { root: self.place.root.as_deref(), documents: self.documents }
    }
}

fn complete(params: CompletionParams, documents: &Documents) -> Option<CompletionResponse> {
    let asked = Asked::at(&params.text_document_position, documents)?;
    let (word, proposals) = completion::at(&asked.cursor, asked.repository())?;
    Some(CompletionResponse::Array(completion::convert(asked.document, word, proposals)))
}

/// Reads what a request is about.
pub(crate) fn parameters<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params).map_err(|error| Refusal::new(ErrorCode::InvalidParams, error.to_string()))
}

pub(crate) fn to_value(result: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(result).map_err(|error| Refusal::new(ErrorCode::InternalError, error.to_string()))
}
