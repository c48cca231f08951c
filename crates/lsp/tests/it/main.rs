//! Whole sessions on streams in memory: whatever is typed, every request is answered and nothing panics.

use std::io::Cursor;
use std::path::Path;

use lsp::{Ending, ReadSettings, RepositorySettings, serve};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::prop_assert_eq;
use proptest::sample::Index;
use serde_json::{Value, json};

const URI: &str = "file:///nowhere/.github/workflows/ci.yml";
const WORKFLOW: &str = r#"name: CI 😀
on:
  push: { branches: [main, 'release/**'] }
  workflow_call:
    inputs: { level: { type: number } }
    outputs: { x: { value: "${{ jobs.build.outputs.digest }}" } }
permissions: { contents: read }
env: &env
  A: ${{ github.sha }}
jobs:
  build:
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        os: [ubuntu-latest, macos-latest]
        include:
          - os: windows-latest
            extra: "ä"
    outputs:
      digest: ${{ steps.first.outputs.digest }}
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 0 }
      - id: first
        if: success() && matrix.extra != 'it''s'
        env: *env
        run: |
          echo "${{ env.A }} ${{ toJSON(inputs) }}"
  deploy:
    needs: [build]
    uses: ./.github/workflows/deploy.yml
    secrets: inherit
    if: needs.build.result == 'success'
"#;
const ASKED: [&str; 9] = [
    "completion",
    "hover",
    "definition",
    "references",
    "prepareRename",
    "rename",
    "documentSymbol",
    "codeAction",
    "unheardOf",
];

/// A repository that says nothing.
#[derive(Debug)]
struct Silent;

impl RepositorySettings for Silent {
    fn settings<'a>(
        &'a self,
        actions: &'a dyn workflow::lint::ResolveAction,
    ) -> workflow::lint::Settings<'a> {
        static LEVELS: std::sync::LazyLock<std::collections::HashMap<String, workflow::lint::Level>> =
            std::sync::LazyLock::new(Default::default);
        workflow::lint::Settings { levels: &LEVELS, runner_labels: &[], variables: None, actions }
    }

    fn retain(&self, _: &Path, _: &mut Vec<workflow::diagnostic::Diagnostic>) {}

    fn commit(&self, _: &str) -> Option<String> {
        None
    }
}

impl ReadSettings for Silent {
    fn read(&self, _: Option<&Path>) -> Result<Box<dyn RepositorySettings>, String> {
        Ok(Box::new(Self))
    }
}

/// What the server says to these messages, and how it ends.
fn answers(messages: &[Value]) -> (Vec<Value>, Ending) {
    let mut input = Vec::new();
    for message in messages {
        let body = message.to_string();
        input.extend(format!("Content-Length: {}\r\n\r\n{body}", body.len()).bytes());
    }
    let mut output = Vec::new();
    let ending = serve(Cursor::new(input), &mut output, &Silent).expect("the streams work");
    let text = String::from_utf8(output).expect("messages are text");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(header) = rest.strip_prefix("Content-Length: ") {
        let (length, body) = header.split_once("\r\n\r\n").expect("a header ends");
        let (body, behind) = body.split_at(length.parse().expect("a number"));
        found.push(serde_json::from_str(body).expect("a message is JSON"));
        rest = behind;
    }
    assert_eq!(rest, "");
    (found, ending)
}

fn request(id: usize, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// One change: where it begins, how much it takes away, and what it puts there.
type Change = (Index, u32, String);

fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[a-z${}:\[\]'#&*|>. \n-]{0,6}",
        proptest::sample::select(vec![
            "\n    ", "${{ ", " }}", "steps.", "needs: ", "- ", "\r\n", "😀", "\t", "x: [", "'"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

/// A session in which each change is followed by every request at its place.
fn session(changes: &[Change]) -> Vec<Value> {
    let capabilities = json!({ "general": { "positionEncodings": ["utf-8"] } });
    let document = json!({ "uri": URI, "languageId": "yaml", "version": 0, "text": WORKFLOW });
    let mut messages = vec![
        request(0, "initialize", json!({ "capabilities": capabilities })),
        notification("initialized", json!({})),
        notification("textDocument/didOpen", json!({ "textDocument": document })),
    ];
    let lines: Vec<&str> = WORKFLOW.lines().collect();
    for (number, (at, length, text)) in changes.iter().enumerate() {
        let line = at.index(lines.len());
        let character = at.index(lines[line].len() + 1);
        let place = json!({ "line": line, "character": character });
        let end = json!({ "line": line, "character": character + *length as usize });
        let versioned = json!({ "uri": URI, "version": number + 1 });
        let change = json!([{ "range": { "start": place, "end": end }, "text": text }]);
        messages.push(notification(
            "textDocument/didChange",
            json!({ "textDocument": versioned, "contentChanges": change }),
        ));
        for method in ASKED {
            let params = json!({
                "textDocument": { "uri": URI },
                "position": { "line": line, "character": character + text.len() },
                "range": { "start": place, "end": place },
                "context": { "diagnostics": [], "includeDeclaration": true },
                "newName": "other",
            });
            messages.push(request(messages.len(), &format!("textDocument/{method}"), params));
        }
    }
    messages.push(request(messages.len(), "shutdown", Value::Null));
    messages.push(notification("exit", Value::Null));
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_request_is_answered_once_whatever_is_typed(
        changes in proptest::collection::vec((any::<Index>(), 0_u32..6, typed()), 1..6),
    ) {
        let messages = session(&changes);
        let (found, ending) = answers(&messages);
        prop_assert_eq!(ending, Ending::Orderly);
        let asked: Vec<&Value> = messages.iter().filter_map(|message| message.get("id")).collect();
        let answered: Vec<&Value> = found.iter().filter_map(|message| message.get("id")).collect();
        prop_assert_eq!(answered, asked);
        for message in found.iter().filter(|message| message.get("error").is_some()) {
            // Unknown methods, and new names that are taken.
            let code = message["error"]["code"].as_i64();
            assert!(matches!(code, Some(-32601 | -32602)), "{message}");
        }
    }
}
