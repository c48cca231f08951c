//! Tests of the specification's reader itself: a typing error in a section must not make it pass.

use libtest_mimic::{Failed, Trial};

use crate::document;
use crate::execute::Ended;
use crate::expect::ExpectedRun;
use crate::judge;

const WORKFLOW: &str = "```yaml\non: push\n```\n";

pub(crate) fn trials() -> Vec<Trial> {
    let test = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("format/{name}"), move || test().map_err(Failed::from))
    };
    vec![
        test("unknown-blocks-and-attributes-are-refused", unknown_parts),
        test("a-section-must-expect-something", incomplete_sections),
        test("the-reason-of-a-plan-is-compared", reasons),
        test("lines-of-a-run-block-are-checked", run_lines),
        test("what-is-not-named-must-succeed", unnamed_failures),
        test("logs-are-compared-without-gaps", log_gaps),
    ]
}

fn refused(document: &str, part: &str) -> Result<(), String> {
    match document::parse(document) {
        Ok(sections) => Err(format!("accepted: {sections:?}")),
        Err(error) if error.message.contains(part) => Ok(()),
        Err(error) => Err(format!("refused for another reason: {error}")),
    }
}

fn unknown_parts() -> Result<(), String> {
    refused("## A\n```yaml gti\n```\n", "unknown or repeated attribute `gti`")?;
    refused("## A\n```yml\n```\n", "unknown block `yml`")?;
    refused("## A\n```text path=a path=b\n```\n", "unknown or repeated attribute `path`")?;
    refused("```yaml\n```\n", "before the first section")?;
    refused("## A\n```yaml\n", "does not end")
}

fn incomplete_sections() -> Result<(), String> {
    refused(&format!("## A\n{WORKFLOW}"), "nothing is expected")?;
    refused("## A\n```run\nrun: success\n```\n", "no workflow")?;
    refused(&format!("## A\n{WORKFLOW}```plan\na\n```\n```log\na\n```\n"), "a log without a `run`")?;
    refused(&format!("## A\n{WORKFLOW}```plan\n```\n## a\n{WORKFLOW}```plan\n```\n"), "same heading")
}

fn reasons() -> Result<(), String> {
    let answer = serde_json::json!({
        "triggered": false, "jobs": [], "workflows": [{ "not_triggered": { "message": "a branch" } }],
    });
    let check = |line: &str| judge::plan(&[line.to_owned()], &answer);
    check("not triggered")?;
    check("not triggered: branch")?;
    for wrong in ["not triggered: tag", "a"] {
        if check(wrong).is_ok() {
            return Err(format!("accepted: {wrong}"));
        }
    }
    refused(&format!("## A\n{WORKFLOW}```list\n```\n"), "needs `after=TIME`")
}

fn run_lines() -> Result<(), String> {
    let read = |line: &str| ExpectedRun::parse(&format!("run: success\n{line}\n"));
    for wrong in [
        "job a",
        "job a: succes",
        "job: success",
        "run: success",
        "step a: success",
        "eror a/0: x",
        "error a/0 on f: x",
    ] {
        if let Ok(run) = read(wrong) {
            return Err(format!("accepted: {wrong}: {run:?}"));
        }
    }
    let run = read("error \"a b\"/c at f.rs:3 titled \"T: t\": m: n")?;
    let found = &run.annotations[0];
    let parts =
        (found.step.job.as_str(), found.line, found.column, found.title.as_deref(), found.message.as_str());
    if parts == ("a b", Some(3), None, Some("T: t"), "m: n") { Ok(()) } else { Err(format!("{found:?}")) }
}

/// The verdict on a run of one job with one step and one line of output.
fn verdict(run: &str, log: &str, conclusion: &str, lines: &[&str]) -> Result<(), String> {
    let document = format!("## A\n{WORKFLOW}```run\n{run}\n```\n```log\n{log}\n```\n");
    let sections = document::parse(&document).map_err(|error| error.to_string())?;
    let mut output = "{\"event\":\"job_started\",\"job\":\"a\",\"name\":\"a\"}\n".to_owned();
    for line in lines {
        output += &format!("{{\"event\":\"log\",\"job\":\"a\",\"step\":0,\"line\":\"{line}\"}}\n");
    }
    for event in [
        format!(
            "{{\"event\":\"step_finished\",\"job\":\"a\",\"step\":0,\"outcome\":\"{conclusion}\",\"conclusion\":\"{conclusion}\"}}\n"
        ),
        "{\"event\":\"job_finished\",\"job\":\"a\",\"name\":\"a\",\"conclusion\":\"success\"}\n".to_owned(),
        "{\"event\":\"run_finished\",\"conclusion\":\"success\"}\n".to_owned(),
    ] {
        output += &event;
    }
    let ended = Ended { code: Some(0), output, errors: String::new() };
    judge::run(sections[0].run.as_ref().expect("the document has one"), &sections[0].logs, &ended)
}

fn unnamed_failures() -> Result<(), String> {
    verdict("run: success", "x", "success", &["x"])?;
    verdict("run: success\nstep a/0: failure", "x", "failure", &["x"])?;
    match verdict("run: success", "x", "failure", &["x"]) {
        Err(_) => Ok(()),
        Ok(()) => Err("a failed step that is not named was accepted".to_owned()),
    }
}

fn log_gaps() -> Result<(), String> {
    verdict("run: success", "x\n...\nz", "success", &["w", "x", "y", "z"])?;
    for log in ["x\nz", "z\n...\nx", "x\n...\nx"] {
        if verdict("run: success", log, "success", &["w", "x", "y", "z"]).is_ok() {
            return Err(format!("accepted: {log}"));
        }
    }
    Ok(())
}
