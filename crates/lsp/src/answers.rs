//! Requests about documents and their answers. A document that is not open, or is no file of GitHub's, has empty answers.

use lsp_server::ErrorCode;
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentSymbolRequest, GotoDefinition, HoverRequest, PrepareRenameRequest,
    References, Rename, Request as _,
};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability,
    CompletionOptions, CompletionParams, CompletionResponse, DocumentSymbolParams, DocumentSymbolResponse,
    GotoDefinitionParams, GotoDefinitionResponse, Hover, HoverContents, HoverParams, HoverProviderCapability,
    Location, MarkupContent, MarkupKind, OneOf, PrepareRenameResponse, ReferenceParams, RenameOptions,
    RenameParams, ServerCapabilities, TextDocumentPositionParams, TextEdit, Uri, WorkDoneProgressOptions,
    WorkspaceEdit,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cursor::Cursor;
use crate::definition::{self, Target};
use crate::document::Document;
use crate::position::Lines;
use crate::repository::{Documents, Place, ReadSettings, Repository};
use crate::{completion, diagnostics, fixes, hover, occurrences, symbols, uri};

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
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, fixes::FIX_ALL]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    }
}

/// Answers a request.
pub(crate) fn answer(
    method: &str,
    params: Value,
    documents: &Documents,
    settings: &dyn ReadSettings,
) -> Result<Value, Refusal> {
    match method {
        Completion::METHOD => to_value(&complete(parameters(params)?, documents)),
        HoverRequest::METHOD => to_value(&hover(parameters(params)?, documents)),
        GotoDefinition::METHOD => to_value(&define(parameters(params)?, documents)),
        DocumentSymbolRequest::METHOD => to_value(&symbols(parameters(params)?, documents)),
        CodeActionRequest::METHOD => to_value(&code_actions(parameters(params)?, documents, settings)),
        References::METHOD => to_value(&references(parameters(params)?, documents)),
        PrepareRenameRequest::METHOD => to_value(&prepare_rename(&parameters(params)?, documents)),
        Rename::METHOD => to_value(&rename(parameters(params)?, documents)?),
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
        Repository::new(self.place.root.as_deref(), self.documents)
    }
}

fn complete(params: CompletionParams, documents: &Documents) -> Option<CompletionResponse> {
    let asked = Asked::at(&params.text_document_position, documents)?;
    let (word, proposals) = completion::at(&asked.cursor, asked.document.last_whole(), asked.repository())?;
    Some(CompletionResponse::Array(completion::convert(asked.document, word, proposals)))
}

fn hover(params: HoverParams, documents: &Documents) -> Option<Hover> {
    let asked = Asked::at(&params.text_document_position_params, documents)?;
    let words = hover::at(&asked.cursor, asked.document.last_whole(), asked.repository())?;
    Some(Hover {
        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: words.text }),
        range: Some(asked.document.range(words.span)),
    })
}

fn define(params: GotoDefinitionParams, documents: &Documents) -> Option<GotoDefinitionResponse> {
    let asked = Asked::at(&params.text_document_position_params, documents)?;
    let (_, target) = definition::at(&asked.cursor, asked.repository())?;
    let location = match target {
        Target::Here(span) => Location::new(asked.document.uri.clone(), asked.document.range(span)),
        Target::File(file, span) => {
            let uri: Uri = uri::from_path(&asked.repository().path(file.name())?)?;
            let lines = Lines::new(file.text(), asked.document.encoding());
            Location::new(uri, lines.range(file.text(), span))
        }
    };
    Some(GotoDefinitionResponse::Scalar(location))
}

fn references(params: ReferenceParams, documents: &Documents) -> Option<Vec<Location>> {
    let asked = Asked::at(&params.text_document_position, documents)?;
    let (_, named) = occurrences::named_at(&asked.cursor)?;
    let given = occurrences::given(&asked.cursor, &named);
    let mut found = occurrences::of(&asked.cursor, &named);
    found.retain(|span| params.context.include_declaration || *span != given);
    let location = |span| Location::new(asked.document.uri.clone(), asked.document.range(span));
    Some(found.into_iter().map(location).collect())
}

fn prepare_rename(
    params: &TextDocumentPositionParams,
    documents: &Documents,
) -> Option<PrepareRenameResponse> {
    let asked = Asked::at(params, documents)?;
    let (word, _) = occurrences::named_at(&asked.cursor)?;
    Some(PrepareRenameResponse::Range(asked.document.range(word)))
}

fn rename(params: RenameParams, documents: &Documents) -> Result<Option<WorkspaceEdit>, Refusal> {
    let Some(asked) = Asked::at(&params.text_document_position, documents) else { return Ok(None) };
    let Some((_, named)) = occurrences::named_at(&asked.cursor) else { return Ok(None) };
    let id = params.new_name;
    if !occurrences::is_id(&id) {
        return Err(Refusal::new(
            ErrorCode::InvalidParams,
            format!("`{id}` cannot be the id of a job or a step"),
        ));
    }
    if occurrences::is_taken(&asked.cursor, &named, &id) {
        return Err(Refusal::new(ErrorCode::InvalidParams, format!("the id `{id}` is taken")));
    }
    let spans = occurrences::of(&asked.cursor, &named).into_iter();
    let edits = spans.map(|span| TextEdit::new(asked.document.range(span), id.clone())).collect();
    Ok(Some(fixes::of_text_edits(asked.document, edits)))
}

fn symbols(params: DocumentSymbolParams, documents: &Documents) -> Option<DocumentSymbolResponse> {
    let document = documents.get(params.text_document.uri.as_str())?;
    let place = Place::of(document)?;
    Some(DocumentSymbolResponse::Nested(symbols::of(document, document.text()?, place.kind)))
}

fn code_actions(
    params: CodeActionParams,
    documents: &Documents,
    settings: &dyn ReadSettings,
) -> Vec<CodeAction> {
    let Some(document) = documents.get(params.text_document.uri.as_str()) else { return Vec::new() };
    let Some(place) = Place::of(document) else { return Vec::new() };
    let found = diagnostics::find(document, &place, documents, settings).0.unwrap_or_default();
    fixes::of(document, &found, params.range, params.context.only.as_deref())
}

/// Reads what a request is about.
pub(crate) fn parameters<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params).map_err(|error| Refusal::new(ErrorCode::InvalidParams, error.to_string()))
}

pub(crate) fn to_value(result: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(result).map_err(|error| Refusal::new(ErrorCode::InternalError, error.to_string()))
}
