//! One editor's session: what has been agreed on, the open documents, and which of them must be analysed again.
//!
//! ```text
//! Starting ── initialize ──▶ Running ── shutdown ──▶ ShutDown
//! ```

use std::collections::{BTreeMap, BTreeSet};

use lsp_server::{ErrorCode, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument,
    DidSaveTextDocument, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{Initialize, Request as _, Shutdown};
use lsp_types::{
    Diagnostic, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, InitializeParams, InitializeResult, PositionEncodingKind,
    PublishDiagnosticsParams, SaveOptions, ServerCapabilities, ServerInfo, TextDocumentSyncCapability,
    TextDocumentSyncKind, TextDocumentSyncOptions, TextDocumentSyncSaveOptions, Uri,
};
use serde_json::Value;

use crate::answers::{self, Refusal, parameters, to_value};
use crate::diagnostics;
use crate::document::Document;
use crate::position::Encoding;
use crate::repository::{Documents, Place, ReadSettings};

/// The most documents that are kept open.
const MAX_DOCUMENTS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    ShutDown,
}

/// The state of a session.
pub(crate) struct Session<'s> {
    settings: &'s dyn ReadSettings,
    phase: Phase,
    encoding: Encoding,
    documents: Documents,
    /// Documents that have changed, or that refer to one that has.
    stale: BTreeSet<String>,
    /// What the editor was told last of each document: the version and the findings.
    published: BTreeMap<String, (i32, Vec<Diagnostic>)>,
    /// Documents that were closed and whose findings the editor still shows.
    closed: Vec<Uri>,
}

impl<'s> Session<'s> {
    /// A session that has not begun.
    pub(crate) fn new(settings: &'s dyn ReadSettings) -> Self {
        Self {
            settings,
            phase: Phase::Starting,
            encoding: Encoding::Utf16,
            documents: Documents::new(),
            stale: BTreeSet::new(),
            published: BTreeMap::new(),
            closed: Vec::new(),
        }
    }

    /// Whether the editor has shut the server down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.phase == Phase::ShutDown
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, request: Request) -> Response {
        let result = match (self.phase, request.method.as_str()) {
            (Phase::Starting, Initialize::METHOD) => self.initialize(request.params),
            (Phase::Starting, _) => {
                Err(Refusal::new(ErrorCode::ServerNotInitialized, "the session has not been initialized"))
            }
            (Phase::ShutDown, _) => Err(Refusal::new(ErrorCode::InvalidRequest, "the server is shut down")),
            (Phase::Running, Shutdown::METHOD) => {
                self.phase = Phase::ShutDown;
                self.stale.clear();
                self.closed.clear();
                Ok(Value::Null)
            }
            (Phase::Running, Initialize::METHOD) => {
                Err(Refusal::new(ErrorCode::InvalidRequest, "the session is initialized already"))
            }
            (Phase::Running, method) => {
                answers::answer(method, request.params, &self.documents, self.settings)
            }
        };
        match result {
            Ok(value) => Response::new_ok(request.id, value),
            Err(refusal) => Response::new_err(request.id, refusal.code as i32, refusal.message),
        }
    }

    fn initialize(&mut self, params: Value) -> Result<Value, Refusal> {
        let params: InitializeParams = parameters(params)?;
        let offered =
            params.capabilities.general.and_then(|general| general.position_encodings).unwrap_or_default();
        self.encoding =
            if offered.contains(&PositionEncodingKind::UTF8) { Encoding::Utf8 } else { Encoding::Utf16 };
        self.phase = Phase::Running;
        let result = InitializeResult {
            capabilities: capabilities(self.encoding),
            server_info: Some(ServerInfo {
                name: "firedog".into(),
                version: Some(env!("CARGO_PKG_VERSION").into()),
            }),
        };
        to_value(&result)
    }

    /// Takes a notification. What is unknown or malformed has no effect: nobody could be told.
    pub(crate) fn notice(&mut self, notification: Notification) {
        if self.phase != Phase::Running {
            return;
        }
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Ok(DidOpenTextDocumentParams { text_document: opened }) = parameters(params) {
                    let uri = opened.uri.clone();
                    let document =
                        Document::new(uri, opened.language_id, opened.version, opened.text, self.encoding);
                    self.open(document);
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Ok(DidChangeTextDocumentParams { text_document, content_changes }) = parameters(params)
                    && let Some(document) = self.documents.get_mut(text_document.uri.as_str())
                {
                    document.change(text_document.version, content_changes);
                    self.mark_all_stale();
                }
            }
            DidSaveTextDocument::METHOD => {
                if let Ok(DidSaveTextDocumentParams { .. }) = parameters(params) {
                    self.mark_all_stale();
                }
            }
            DidChangeWatchedFiles::METHOD => self.mark_all_stale(),
            DidCloseTextDocument::METHOD => {
                if let Ok(DidCloseTextDocumentParams { text_document }) = parameters(params) {
                    self.close(text_document.uri);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, document: Document) {
        let name = document.uri.as_str().to_owned();
        if self.documents.len() >= MAX_DOCUMENTS && !self.documents.contains_key(&name) {
            return;
        }
        self.closed.retain(|uri| *uri != document.uri);
        self.documents.insert(name, document);
        self.mark_all_stale();
    }

    fn close(&mut self, uri: Uri) {
        if self.documents.remove(uri.as_str()).is_none() {
            return;
        }
        if self.published.remove(uri.as_str()).is_some_and(|(_, findings)| !findings.is_empty()) {
            self.closed.push(uri);
        }
        self.mark_all_stale();
    }

    /// A workflow may call one that has changed, or use an action that has.
    fn mark_all_stale(&mut self) {
        self.stale = self.documents.keys().cloned().collect();
    }

    /// The findings of one document that must be told; `None` when the editor knows all.
    pub(crate) fn next_diagnostics(&mut self) -> Option<Notification> {
        if let Some(uri) = self.closed.pop() {
            return Some(publish(PublishDiagnosticsParams::new(uri, Vec::new(), None)));
        }
        while let Some(name) = self.stale.pop_first() {
            let Some(document) = self.documents.get(&name) else { continue };
            let Some(place) = Place::of(document) else { continue };
            let findings = diagnostics::of(document, &place, &self.documents, self.settings);
            let (uri, version) = (document.uri.clone(), document.version);
            let is_whole = !diagnostics::has_broken_yaml(&findings);
            if let Some(document) = self.documents.get_mut(&name).filter(|_| is_whole) {
                document.keep_whole();
            }
            let news = (version, findings);
            if self.published.get(&name) == Some(&news) {
                continue;
            }
            self.published.insert(name, news.clone());
            return Some(publish(PublishDiagnosticsParams::new(uri, news.1, Some(version))));
        }
        None
    }
}

fn publish(params: PublishDiagnosticsParams) -> Notification {
    Notification::new(PublishDiagnostics::METHOD.into(), params)
}

fn capabilities(encoding: Encoding) -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(match encoding {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
            ..TextDocumentSyncOptions::default()
        })),
        ..answers::capabilities()
    }
}

#[cfg(test)]
mod tests {
    use lsp_server::{Notification, Request};
    use serde_json::{Value, json};

    use super::Session;
    use crate::repository::{NoSettings, ReadSettings, RepositorySettings};

    struct Nothing;

    impl ReadSettings for Nothing {
        fn read(&self, _: Option<&std::path::Path>) -> Result<Box<dyn RepositorySettings>, String> {
            Ok(Box::new(NoSettings))
        }
    }

    const URI: &str = "file:///nowhere/.github/workflows/a.yml";

    fn notice(session: &mut Session<'_>, method: &str, params: Value) {
        session.notice(Notification { method: format!("textDocument/{method}"), params });
    }

    fn open(session: &mut Session<'_>, text: &str) {
        let document = json!({ "uri": URI, "languageId": "yaml", "version": 1, "text": text });
        notice(session, "didOpen", json!({ "textDocument": document }));
    }

    fn change(session: &mut Session<'_>, version: i32, text: &str) {
        let document = json!({ "uri": URI, "version": version });
        notice(
            session,
            "didChange",
            json!({ "textDocument": document, "contentChanges": [{ "text": text }] }),
        );
    }

    /// The versions whose findings the editor is told, and whether there are any.
    fn told(session: &mut Session<'_>) -> Vec<(Value, bool)> {
        let next = std::iter::from_fn(|| session.next_diagnostics());
        next.map(|told| (told.params["version"].clone(), told.params["diagnostics"] != json!([]))).collect()
    }

    fn running() -> Session<'static> {
        let mut session = Session::new(&Nothing);
        let params = json!({ "capabilities": {} });
        let answer = session.answer(Request { id: 1.into(), method: "initialize".into(), params });
        assert!(answer.response_result.is_ok());
        session
    }

    #[test]
    fn only_the_last_of_many_changes_is_analysed() {
        let mut session = running();
        open(&mut session, "on: push\n");
        for version in 2..100 {
            change(&mut session, version, "on: [\n");
        }
        assert_eq!(told(&mut session), [(json!(99), true)]);
        assert_eq!(told(&mut session), []);
    }

    #[test]
    fn what_the_editor_knows_is_not_told_again() {
        let mut session = running();
        open(&mut session, "on: [\n");
        assert_eq!(told(&mut session), [(json!(1), true)]);
        notice(&mut session, "didSave", json!({ "textDocument": { "uri": URI } }));
        assert_eq!(told(&mut session), []);
        notice(&mut session, "didClose", json!({ "textDocument": { "uri": URI } }));
        assert_eq!(told(&mut session), [(Value::Null, false)]);
        change(&mut session, 3, "on: push\n");
        assert_eq!(told(&mut session), []);
    }

    #[test]
    fn nothing_is_taken_before_and_after_a_session() {
        let mut session = Session::new(&Nothing);
        open(&mut session, "on: [\n");
        assert_eq!(told(&mut session), []);
        let mut session = running();
        open(&mut session, "on: [\n");
        session.answer(Request { id: 2.into(), method: "shutdown".into(), params: Value::Null });
        assert_eq!(told(&mut session), []);
    }
}
