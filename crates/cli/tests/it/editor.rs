//! An editor: speaks the Language Server Protocol with the real binary over its standard streams.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::command::Place;

/// A server that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server and what it says.
pub(crate) struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    next_id: i64,
    root: String,
}

impl Editor {
    /// Starts the server in a repository, without a word.
    pub(crate) fn start(place: &Place) -> Self {
        let mut command = place.command(&["lsp"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let root = format!("file://{}", place.root().display());
        Self { child, stdin, messages, next_id: 0, root }
    }

    /// Starts the server and agrees on units of columns; returns its capabilities, too.
    pub(crate) fn initialized(place: &Place, encodings: &[&str]) -> (Self, Value) {
        let mut editor = Self::start(place);
        let capabilities = json!({ "general": { "positionEncodings": encodings } });
        let answer = editor.request("initialize", json!({ "processId": null, "capabilities": capabilities }));
        editor.notify("initialized", json!({}));
        let capabilities = answer["result"]["capabilities"].clone();
        (editor, capabilities)
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the stream is open");
        stdin.write_all(bytes).expect("the server reads");
        stdin.flush().expect("the server reads");
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks without waiting; the answer carries the number.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }));
        self.next_id
    }

    /// Asks and waits; notifications that come before the answer are dropped.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.wait_for(|message| message["id"] == id)
    }

    /// The next message that is meant.
    pub(crate) fn wait_for(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next_message();
            if is_meant(&message) {
                return message;
            }
        }
    }

    pub(crate) fn next_message(&mut self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("the server says something")
    }

    pub(crate) fn open(&mut self, name: &str, text: &str) {
        let document = json!({ "uri": self.uri(name), "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Replaces a range `[line, character, line, character]`.
    pub(crate) fn change(&mut self, name: &str, version: i64, [a, b, c, d]: [u32; 4], text: &str) {
        let range = json!({ "start": { "line": a, "character": b }, "end": { "line": c, "character": d } });
        let changes = json!([{ "range": range, "text": text }]);
        let document = json!({ "uri": self.uri(name), "version": version });
        self.notify("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    /// The findings of a version of a document.
    pub(crate) fn diagnostics(&mut self, name: &str, version: i64) -> Vec<Value> {
        let uri = self.uri(name);
        let message = self.wait_for(|message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
                && message["params"]["version"] == version
        });
        message["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    /// Closes the stream and waits for the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.stdin = None;
        self.child.wait().expect("the server ends").code()
    }
}

fn read(stdout: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the stream can be read");
        match line.trim_end() {
            "" if line.is_empty() => return None,
            "" => break,
            header => {
                let value = header.strip_prefix("Content-Length: ").expect("the only header");
                length = value.parse().expect("a number");
            }
        }
    }
    let mut body = vec![0; length];
    stdout.read_exact(&mut body).expect("the message is whole");
    Some(serde_json::from_slice(&body).expect("the message is JSON"))
}
