//! Code in machines.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{Server, processes_with, until};

fn code(language: &str, text: &str) -> Value {
    json!({"agent_id": "test", "language": language, "code": text})
}

fn with(mut body: Value, key: &str, value: impl Into<Value>) -> Value {
    body[key] = value.into();
    body
}

/// The exit code, standard output and standard error.
async fn run(server: &Server, body: &Value) -> (i64, String, String) {
    let answer = server.post("/api/llm/execute", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = answer.json();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (answer["exit_code"].as_i64().unwrap(), text("stdout"), text("stderr"))
}

#[tokio::test]
async fn each_language_runs() {
    let server = Server::start().await;
    let id = server.machine().await;
    let check = async |language: &str, text: &str, expected: (i64, &str, &str)| {
        let body = with(code(language, text), "vm_id", id.as_str());
        let (exit, stdout, stderr) = run(&server, &body).await;
        assert_eq!((exit, stdout.as_str(), stderr.as_str()), expected, "{language}");
    };
    check("bash", "echo out; echo err >&2; [[ a == a ]] && exit 3", (3, "out\n", "err\n")).await;
    check("sh", "echo $((6 * 7))", (0, "42\n", "")).await;
    check("python", "import sys\nprint(6 * 7)\nsys.exit(5)", (5, "42\n", "")).await;
    check("node", "console.log(6 * 7); process.exitCode = 4", (4, "42\n", "")).await;
    check("sh", "kill -9 $$", (137, "", "")).await;
    check("sh", "cat", (0, "", "")).await;
    check("sh", "", (0, "", "")).await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_has_every_key() {
    let server = Server::start().await;
    let answer = server.post("/api/llm/execute", &code("bash", "echo hi")).await.json();
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    let expected = [
        "execution_id",
        "vm_id",
        "exit_code",
        "stdout",
        "stderr",
        "duration_ms",
        "started_at",
        "completed_at",
        "error",
    ];
    assert_eq!(keys, expected);
    assert_eq!(answer["error"], Value::Null);
    assert!(answer["started_at"].as_str().unwrap() <= answer["completed_at"].as_str().unwrap());
    server.stop().await;
}

#[tokio::test]
async fn without_a_machine_one_is_made_and_removed() {
    let server = Server::start().await;
    let answer = server.post("/api/llm/execute", &code("bash", "echo hi > file; cat file; pwd")).await.json();
    assert!(answer["stdout"].as_str().unwrap().starts_with("hi\n/"), "{answer}");
    let id = answer["vm_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.error().0, 404);
    assert_eq!(server.get("/api/vms").await.json(), json!({"vms": []}));
    server.stop().await;
}

#[tokio::test]
async fn files_and_processes_stay_in_a_machine_between_calls() {
    let server = Server::start().await;
    let id = server.machine().await;
    let call = async |text: &str| run(&server, &with(code("bash", text), "vm_id", id.as_str())).await;
    assert_eq!(call("echo kept > kept; sleep 1000 > /dev/null 2>&1 & echo $! > pid").await.0, 0);
    assert_eq!(call("cat kept; kill -0 $(cat pid) && echo alive").await.1, "kept\nalive\n");
    let there = with(with(code("sh", "pwd"), "vm_id", id.as_str()), "working_dir", "/tmp");
    assert_eq!(run(&server, &there).await, (0, "/tmp\n".to_owned(), String::new()));
    server.stop().await;
}

#[tokio::test]
async fn many_run_at_once_in_one_machine() {
    let server = Server::start().await;
    let id = server.machine().await;
    let calls = (0..12).map(|number| {
        let body = with(code("sh", &format!("echo {number}")), "vm_id", id.as_str());
        let server = &server;
        async move { run(server, &body).await.1 }
    });
    let found = futures_util::future::join_all(calls).await;
    assert_eq!(found, (0..12).map(|number| format!("{number}\n")).collect::<Vec<_>>());
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.json()["state"], "ready");
    server.stop().await;
}

#[tokio::test]
async fn code_that_runs_too_long_is_ended_with_all_that_it_started() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mark = format!("{}", 5_100_000 + std::process::id());
    let text = format!("trap '' TERM; echo before; setsid sleep {mark} & sleep {mark}; sleep {mark}");
    let body = with(with(code("bash", &text), "vm_id", id.as_str()), "timeout_seconds", 1);
    let answer = server.post("/api/llm/execute", &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = answer.json();
    assert_eq!((&answer["exit_code"], &answer["stdout"]), (&json!(124), &json!("before\n")));
    assert_eq!(answer["error"], "the code ran longer than 1 seconds and was ended");
    assert_eq!(processes_with(&mark), 0);
    let after = with(code("sh", "echo still here"), "vm_id", id.as_str());
    assert_eq!(run(&server, &after).await.1, "still here\n");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_code_and_its_machine() {
    let server = Server::start().await;
    let mark = format!("{}", 5_200_000 + std::process::id());
    let body = code("bash", &format!("sleep {mark} & sleep {mark}"));
    {
        let calling = server.post("/api/llm/execute", &body);
        let mut calling = std::pin::pin!(calling);
        tokio::select! {
            _ = &mut calling => panic!("it does not end by itself"),
            () = until(|| processes_with(&mark) >= 2) => {}
        }
    }
    until(|| processes_with(&mark) == 0).await;
    server.machines.until_empty().await;
    server.stop().await;
}

#[tokio::test]
async fn much_output_is_cut_with_a_mark() {
    let server = Server::start().await;
    let text = "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2; printf '\\377'";
    let (exit, stdout, stderr) = run(&server, &code("bash", text)).await;
    assert_eq!((exit, stderr.as_str()), (0, "end\n"));
    let mark = "\n[1951425 bytes more are left out]\n";
    assert!(stdout.ends_with(mark), "{}", &stdout[stdout.len() - 60..]);
    assert_eq!(stdout.len(), (1 << 20) + mark.len());
    assert_eq!(run(&server, &code("bash", "printf 'a\\377b'")).await.1, "a\u{fffd}b");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_run_is_refused() {
    let server = Server::start().await;
    let check = async |body: Value, expected: (u16, &str)| {
        let (status, error) = server.post("/api/llm/execute", &body).await.error();
        assert_eq!((status, error.as_str()), expected, "{body}");
    };
    check(code("ruby", "1"), (400, "`language` must be bash, sh, python or node")).await;
    check(with(code("sh", ""), "vm_id", "vm-0"), (404, "there is no machine `vm-0`")).await;
    check(with(code("sh", ""), "timeout_seconds", 0), (400, "`timeout_seconds` must be between 1 and 3600"))
        .await;
    check(with(code("sh", ""), "working_dir", "x"), (400, "`working_dir` must be an absolute path")).await;
    check(code("sh", &"x".repeat(200_000)), (413, "`code` is longer than 122880 bytes")).await;
    let missing = "the body is not as it should be: missing field `language` at line 1 column 2";
    check(json!({}), (400, "the body is not as it should be: missing field `agent_id` at line 1 column 2"))
        .await;
    check(json!({"agent_id": "a"}), (400, &missing.replace("column 2", "column 16"))).await;
    // The machine is there, the folder is not: as a shell says it.
    let answer =
        server.post("/api/llm/execute", &with(code("sh", ""), "working_dir", "/no/such")).await.json();
    assert_eq!(answer["exit_code"], 127);
    let expected = "cannot start `sh`: there is no folder `/no/such` to start it in";
    assert_eq!(answer["error"], expected);
    server.stop().await;
}
