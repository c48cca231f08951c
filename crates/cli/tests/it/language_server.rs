//! `firedog lsp`, as an editor speaks with it.

use serde_json::{Value, json};

use crate::command::Place;
use crate::editor::Editor;

const NAME: &str = ".github/workflows/ci.yml";
const GOOD: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";

fn place() -> Place {
    Place::with(&[(NAME, GOOD)])
}

/// What stands at a finding's range, in UTF-16.
fn marked(text: &str, finding: &Value) -> String {
    let place = |end: &str| {
        let number = |key: &str| finding["range"][end][key].as_u64().expect("a number") as usize;
        (number("line"), number("character"))
    };
    let (start, end) = (place("start"), place("end"));
    assert_eq!(start.0, end.0, "{finding}");
    let line: Vec<u16> = text.lines().nth(start.0).expect("a line").encode_utf16().collect();
    String::from_utf16(&line[start.1..end.1]).expect("no character is cut")
}

/// The findings for which GitHub refuses the file.
fn errors(found: Vec<Value>) -> Vec<Value> {
    found.into_iter().filter(|finding| finding["severity"] == 1).collect()
}

#[test]
fn mistakes_are_told_while_they_are_typed() {
    let (mut editor, capabilities) = Editor::initialized(&place(), &["utf-16"]);
    assert_eq!(capabilities["positionEncoding"], "utf-16");
    assert_eq!(capabilities["textDocumentSync"]["change"], 2);
    editor.open(NAME, GOOD);
    assert_eq!(errors(editor.diagnostics(NAME, 1)), Vec::<Value>::new());
    editor.change(NAME, 2, [5, 8, 5, 11], "rum: echo 😀 # ");
    let found = editor.diagnostics(NAME, 2);
    let unknown =
        found.iter().find(|finding| finding["code"] == "unexpected-key").expect("the key is unknown");
    assert_eq!(unknown["severity"], 1);
    assert_eq!(unknown["source"], "firedog");
    assert!(unknown["message"].as_str().expect("text").contains("did you mean `run`?"), "{unknown}");
    let changed = GOOD.replace("run: make", "rum: echo 😀 # : make");
    assert_eq!(marked(&changed, unknown), "rum");
    editor.change(NAME, 3, [5, 8, 5, 11], "run");
    assert_eq!(errors(editor.diagnostics(NAME, 3)), Vec::<Value>::new());
    editor.request("shutdown", Value::Null);
    editor.notify("exit", Value::Null);
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn columns_are_counted_in_what_was_agreed_on() {
    let text = GOOD.replace("run: make", "{run: '😀', rum: x}");
    for (offered, agreed, column) in
        [(&["utf-16", "utf-8"][..], "utf-8", 22), (&["utf-32"], "utf-16", 20), (&[], "utf-16", 20)]
    {
        let (mut editor, capabilities) = Editor::initialized(&place(), offered);
        assert_eq!(capabilities["positionEncoding"], agreed);
        editor.open(NAME, &text);
        let found = editor.diagnostics(NAME, 1);
        let unknown = found.iter().find(|finding| finding["code"] == "unexpected-key").expect("a finding");
        assert_eq!(unknown["range"]["start"], json!({ "line": 5, "character": column }), "{offered:?}");
        assert_eq!(editor.end(), Some(1));
    }
}

#[test]
fn changes_of_a_called_workflow_are_seen_in_its_caller() {
    let called = ".github/workflows/called.yml";
    let caller = "on: push\njobs:\n  a:\n    uses: ./.github/workflows/called.yml\n    with:\n      x: 1\n";
    let text = "on:\n  workflow_call:\n    inputs:\n      x:\n        type: string\njobs:\n  b:\n    runs-on: x\n    steps: []\n";
    let place = Place::with(&[(called, text)]);
    let (mut editor, _) = Editor::initialized(&place, &["utf-16"]);
    editor.open(NAME, caller);
    assert_eq!(errors(editor.diagnostics(NAME, 1)), Vec::<Value>::new());
    editor.open(called, text);
    editor.change(called, 2, [3, 6, 3, 7], "y");
    let found = errors(editor.diagnostics(NAME, 1));
    assert_eq!((found.len(), &found[0]["code"]), (1, &json!("call-inputs")), "{found:?}");
    editor.end();
}

#[test]
fn closed_documents_have_no_findings() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    editor.open(NAME, "on: pusch\n");
    assert!(!editor.diagnostics(NAME, 1).is_empty());
    let document = json!({ "uri": editor.uri(NAME) });
    editor.notify("textDocument/didClose", json!({ "textDocument": document }));
    let told = editor.next_message();
    assert_eq!(told["params"]["uri"], editor.uri(NAME));
    assert_eq!(told["params"]["diagnostics"], json!([]));
    editor.end();
}

#[test]
fn other_documents_are_left_alone() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    editor.open("values.yml", "a: [");
    let mut bad = |name: &str| {
        editor.open(name, "a: [");
        let told = editor.next_message();
        assert_eq!(told["params"]["uri"], editor.uri(name));
        assert!(!told["params"]["diagnostics"].as_array().expect("a list").is_empty());
    };
    bad("action.yml");
    bad(NAME);
    editor.end();
}

#[test]
fn requests_are_refused_with_the_codes_of_the_protocol() {
    let mut editor = Editor::start(&place());
    let code = |answer: Value| answer["error"]["code"].as_i64();
    assert_eq!(code(editor.request("textDocument/hover", json!({}))), Some(-32002));
    editor.notify("textDocument/didOpen", json!({}));
    assert_eq!(code(editor.request("initialize", json!({ "capabilities": 1 }))), Some(-32602));
    assert!(
        editor.request("initialize", json!({ "capabilities": {} }))["result"]["capabilities"].is_object()
    );
    assert_eq!(code(editor.request("initialize", json!({ "capabilities": {} }))), Some(-32600));
    assert_eq!(code(editor.request("workspace/unheardOf", Value::Null)), Some(-32601));
    assert_eq!(editor.request("shutdown", Value::Null)["result"], Value::Null);
    assert_eq!(code(editor.request("shutdown", Value::Null)), Some(-32600));
    editor.notify("exit", Value::Null);
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn an_exit_without_a_shutdown_is_no_success() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    editor.notify("exit", Value::Null);
    assert_eq!(editor.end(), Some(1));
    assert_eq!(Editor::start(&place()).end(), Some(1));
}

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_heard() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    for (body, code) in [("{\"jsonrpc\"", -32700), ("[1]", -32600)] {
        editor.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let answer = editor.next_message();
        assert_eq!((answer["id"].is_null(), answer["error"]["code"].as_i64()), (true, Some(code)));
    }
    editor.send_raw(b"Content-Length: 40000000\r\n\r\n");
    editor.send_raw(&vec![b' '; 40_000_000]);
    assert_eq!(editor.next_message()["error"]["code"], -32600);
    assert_eq!(editor.request("shutdown", Value::Null)["result"], Value::Null);
    editor.send_raw(b"Content-Length: many\r\n\r\n");
    assert_eq!(editor.end(), Some(2));
}

#[test]
fn cancelled_requests_are_not_worked_on() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    let (request, cancel) = (
        r#"{"jsonrpc":"2.0","id":"x","method":"workspace/unheardOf"}"#,
        r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"x"}}"#,
    );
    let frame = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    // Both may come before the server looks, or one by one: it answers once, either way.
    editor.send_raw((frame(request) + &frame(cancel)).as_bytes());
    let code = editor.next_message()["error"]["code"].as_i64().expect("a code");
    assert!(matches!(code, -32800 | -32601), "{code}");
    assert_eq!(editor.request("shutdown", Value::Null)["result"], Value::Null);
    editor.end();
}

/// What is written for each proposal behind a line and a character.
fn proposals(editor: &mut Editor, line: u32, character: u32) -> Vec<String> {
    let place = json!({
        "textDocument": { "uri": editor.uri(NAME) },
        "position": { "line": line, "character": character },
    });
    let answer = editor.request("textDocument/completion", place);
    let items = answer["result"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["textEdit"]["newText"].as_str().expect("an edit").to_owned()).collect()
}

#[test]
fn half_typed_files_are_completed() {
    let (mut editor, capabilities) = Editor::initialized(&place(), &[]);
    assert!(capabilities["completionProvider"]["triggerCharacters"].is_array());
    assert_eq!(proposals(&mut editor, 0, 0), Vec::<String>::new(), "the document is not open");
    let text = format!("{GOOD}  deploy:\n    needs: [\n    run\n");
    editor.open(NAME, &text);
    assert_eq!(proposals(&mut editor, 7, 12), ["build"]);
    assert!(proposals(&mut editor, 8, 7).contains(&"runs-on: ".to_owned()));
    editor.change(NAME, 2, [5, 14, 5, 18], "echo 😀 ${{ ");
    let found = proposals(&mut editor, 5, 26);
    assert!(found.contains(&"github".to_owned()) && found.contains(&"toJSON".to_owned()), "{found:?}");
    editor.end();
}

const ACTION: &str = "name: Setup\ndescription: Sets up\ninputs:\n  version:\n    description: Which one\nruns:\n  using: composite\n  steps:\n    - run: x\n      shell: bash\n";
const USING: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - name: Set up\n        uses: ./setup\n        with: { version: 1 }\n  test:\n    needs: build\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";

/// Asks about a line and a character of the workflow.
fn ask_at(editor: &mut Editor, method: &str, line: u32, character: u32) -> Value {
    let document = json!({ "uri": editor.uri(NAME) });
    let position = json!({ "line": line, "character": character });
    editor.request(method, json!({ "textDocument": document, "position": position }))["result"].clone()
}

#[test]
fn places_are_described_and_lead_to_what_they_name() {
    let place = Place::with(&[("setup/action.yml", ACTION), (".git/HEAD", "")]);
    let (mut editor, capabilities) = Editor::initialized(&place, &[]);
    for name in ["hoverProvider", "definitionProvider", "documentSymbolProvider"] {
        assert_eq!(capabilities[name], true, "{name}");
    }
    editor.open(NAME, USING);
    let hover = ask_at(&mut editor, "textDocument/hover", 6, 16);
    assert_eq!(hover["contents"], json!({ "kind": "markdown", "value": "**Setup**\n\nSets up" }));
    assert_eq!(hover["range"]["start"], json!({ "line": 6, "character": 14 }));
    assert_eq!(ask_at(&mut editor, "textDocument/hover", 5, 16), Value::Null);
    let definition = "textDocument/definition";
    assert_eq!(ask_at(&mut editor, definition, 6, 16)["uri"], editor.uri("setup/action.yml"));
    let input = ask_at(&mut editor, definition, 7, 18);
    assert_eq!(
        (&input["uri"], &input["range"]["start"]["line"]),
        (&json!(editor.uri("setup/action.yml")), &json!(3))
    );
    let job = ask_at(&mut editor, definition, 9, 12);
    assert_eq!((&job["uri"], &job["range"]["start"]["line"]), (&json!(editor.uri(NAME)), &json!(2)));
    // What is open counts, not what is on disk.
    editor.open("setup/action.yml", &format!("# moved\n{ACTION}"));
    assert_eq!(ask_at(&mut editor, definition, 7, 18)["range"]["start"]["line"], 4);
    editor.end();
}

#[test]
fn jobs_and_steps_are_listed() {
    let (mut editor, _) = Editor::initialized(&place(), &[]);
    editor.open(NAME, USING);
    let document = json!({ "uri": editor.uri(NAME) });
    let answer = editor.request("textDocument/documentSymbol", json!({ "textDocument": document }));
    let names = |symbols: &Value| -> Vec<Value> {
        symbols.as_array().expect("a list").iter().map(|symbol| symbol["name"].clone()).collect()
    };
    let jobs = &answer["result"];
    assert_eq!(names(jobs), ["build", "test"]);
    assert_eq!(
        (names(&jobs[0]["children"]), names(&jobs[1]["children"])),
        (vec![json!("Set up")], vec![json!("make")])
    );
    assert_eq!(jobs[0]["range"]["end"], json!({ "line": 7, "character": 28 }));
    editor.end();
}

#[test]
fn findings_with_one_safe_fix_can_be_fixed() {
    let (mut editor, capabilities) = Editor::initialized(&place(), &[]);
    assert_eq!(capabilities["codeActionProvider"]["codeActionKinds"], json!(["quickfix", "source.fixAll"]));
    let text = "on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo \"😀 ${{ github.event.issue.title }}\"\n";
    editor.open(NAME, text);
    let mut actions = |line: u32, only: Value| {
        let place = json!({ "line": line, "character": 8 });
        let params = json!({
            "textDocument": { "uri": editor.uri(NAME) },
            "range": { "start": place, "end": { "line": line, "character": 40 } },
            "context": { "diagnostics": [], "only": only },
        });
        editor.request("textDocument/codeAction", params)["result"].as_array().expect("a list").clone()
    };
    assert!(actions(0, json!(["quickfix"])).is_empty());
    let found = actions(5, json!(["quickfix"]));
    assert_eq!(
        (found.len(), &found[0]["diagnostics"][0]["code"]),
        (1, &json!("script-injection")),
        "{found:?}"
    );
    let all = actions(0, json!(["source.fixAll"]));
    assert_eq!(all[0]["edit"], found[0]["edit"]);
    let fixed = "on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - env:\n          ISSUE_TITLE: ${{ github.event.issue.title }}\n        run: echo \"😀 $ISSUE_TITLE\"\n";
    let change = &found[0]["edit"]["documentChanges"][0];
    assert_eq!(change["textDocument"], json!({ "uri": editor.uri(NAME), "version": 1 }));
    assert_eq!(edited(text, &change["edits"]), fixed);
    editor.end();
}

/// The text after changes, whose places are in UTF-16 and in order.
fn edited(text: &str, edits: &Value) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let offset = |place: &Value| {
        let number = |key: &str| place[key].as_u64().expect("a number") as usize;
        let before: usize = lines[..number("line")].iter().map(|line| line.len()).sum();
        let units: Vec<u16> = lines[number("line")].encode_utf16().take(number("character")).collect();
        before + String::from_utf16(&units).expect("no character is cut").len()
    };
    let mut changed = text.to_owned();
    for edit in edits.as_array().expect("a list").iter().rev() {
        let range = offset(&edit["range"]["start"])..offset(&edit["range"]["end"]);
        changed.replace_range(range, edit["newText"].as_str().expect("text"));
    }
    changed
}

#[test]
fn the_repository_says_what_is_looked_for() {
    let text = GOOD.replace("make", "echo '::set-output name=x::1'");
    let code =
        |found: Vec<Value>| found.into_iter().map(|finding| finding["code"].clone()).collect::<Vec<_>>();
    let place = place();
    let (mut editor, _) = Editor::initialized(&place, &[]);
    editor.open(NAME, &text);
    assert!(code(editor.diagnostics(NAME, 1)).contains(&json!("deprecated-command")));
    place.write("firedog.toml", "[rules]\ndeprecated-command = \"off\"\n");
    editor.change(NAME, 2, [0, 0, 0, 0], "# x\n");
    assert!(!code(editor.diagnostics(NAME, 2)).contains(&json!("deprecated-command")));
    place.write("firedog.toml", "[rules]\nunheard-of = \"off\"\n");
    editor.change(NAME, 3, [0, 0, 0, 0], "# x\n");
    let found = editor.diagnostics(NAME, 3);
    assert_eq!(found[0]["code"], "configuration", "{found:?}");
    assert!(code(found).contains(&json!("deprecated-command")));
    editor.end();
}

#[test]
fn jobs_are_found_and_renamed() {
    let (mut editor, capabilities) = Editor::initialized(&place(), &[]);
    assert_eq!(capabilities["renameProvider"]["prepareProvider"], true);
    editor.open(NAME, USING);
    let at = |editor: &Editor, more: Value| {
        let position = json!({ "line": 9, "character": 12 });
        let mut params = json!({ "textDocument": { "uri": editor.uri(NAME) }, "position": position });
        params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        params
    };
    let mut lines = |include: bool| -> Vec<Value> {
        let params = at(&editor, json!({ "context": { "includeDeclaration": include } }));
        let answer = editor.request("textDocument/references", params);
        let found = answer["result"].as_array().expect("a list").iter();
        found.map(|location| location["range"]["start"]["line"].clone()).collect()
    };
    assert_eq!((lines(true), lines(false)), (vec![json!(2), json!(9)], vec![json!(9)]));
    let params = at(&editor, json!({}));
    let word = editor.request("textDocument/prepareRename", params)["result"].clone();
    assert_eq!(word["start"], json!({ "line": 9, "character": 11 }));
    let params = at(&editor, json!({ "newName": "compile" }));
    let answer = editor.request("textDocument/rename", params);
    let renamed = edited(USING, &answer["result"]["documentChanges"][0]["edits"]);
    assert_eq!(renamed, USING.replace("build", "compile"));
    for bad in ["test", "a b", ""] {
        let params = at(&editor, json!({ "newName": bad }));
        let refused = editor.request("textDocument/rename", params);
        assert_eq!(refused["error"]["code"], -32602, "{bad:?}");
    }
    editor.end();
}
