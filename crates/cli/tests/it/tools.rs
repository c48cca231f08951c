//! `firedog check` with the programs that look at scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::command::{Answer, Place, answer};

/// Scripts of a workflow with their places: `echo $a` at 6:14, `cd /x` and an unquoted variable in a block with Windows'
/// line ends, and Python.
const WORKFLOW: &str = "on: push\r\njobs:\r\n  a:\r\n    runs-on: ubuntu-latest\r\n    steps:\r\n      - run: echo $a\r\n      - run: |\r\n          cd /x\r\n            echo ${{ github.sha }} $b\r\n      - {shell: python, run: 'print(${{ github.run_id }} + unknown)'}\r\n";

/// A folder for programs, and a call that finds only those.
fn call_with(place: &Place, programs: &Path, arguments: &[&str]) -> Answer {
    let all = [&["check", "ci.yml", "--format", "json"], arguments].concat();
    let mut command = place.command(&all);
    let system = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&system));
    command.env("PATH", std::env::join_paths(folders).expect("folders without colons"));
    answer(command.output().expect("the binary starts"))
}

/// `LINE:COLUMN MESSAGE` of the findings with this code.
fn found(answer: &Answer, code: &str) -> Vec<String> {
    let value: Value =
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let all = value["diagnostics"].as_array().expect("there is a list");
    let of_code = all.iter().filter(|finding| finding["code"] == code);
    let text = |it: &Value| {
        format!("{}:{} {}", it["line"], it["column"], it["message"].as_str().unwrap_or_default())
    };
    of_code.map(text).collect()
}

fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(folder).expect("a folder can be made");
    std::fs::write(&path, text).expect("a file can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("the mode can be set");
}

/// A Pyflakes that says something of the second line of each file, and counts its calls.
fn place_with_fake() -> (Place, std::path::PathBuf) {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let programs = place.root().join("programs");
    let script = "#!/bin/sh\necho call >>\"$(dirname \"$0\")/calls\"\nfor file; do echo \"$file:1:7: bad name\"; done\nexit 1\n";
    program(&programs, "pyflakes", script);
    (place, programs)
}

fn calls(programs: &Path) -> usize {
    std::fs::read_to_string(programs.join("calls")).unwrap_or_default().lines().count()
}

#[test]
fn what_a_tool_says_is_kept_until_the_script_changes() {
    let (place, programs) = place_with_fake();
    let call = || found(&call_with(&place, &programs, &["--tools", "pyflakes"]), "pyflakes");
    assert_eq!(call(), ["10:30 bad name"]);
    assert_eq!((call(), calls(&programs)), (vec!["10:30 bad name".to_owned()], 1));
    place.write("ci.yml", &WORKFLOW.replace("unknown", "other"));
    assert_eq!((call().len(), calls(&programs)), (1, 2));
}

#[test]
fn tools_can_be_left_out_ignored_and_turned_off() {
    let (place, programs) = place_with_fake();
    let call = |arguments: &[&str]| found(&call_with(&place, &programs, arguments), "pyflakes");
    assert!(call(&["--no-tools"]).is_empty());
    place.write("firedog.toml", "[rules]\npyflakes = 'off'\n");
    assert!(call(&["--tools", "pyflakes"]).is_empty());
    place.write("firedog.toml", "");
    place.write(
        "ci.yml",
        &WORKFLOW.replace("unknown)'}", "unknown)'} # firedog: ignore[pyflakes] it is an example"),
    );
    assert!(call(&["--tools", "pyflakes"]).is_empty());
    assert!(call(&["--no-tools"]).is_empty());
}

#[test]
fn a_tool_that_is_asked_for_must_be_there() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let mut command = place.command(&["check", "ci.yml", "--tools", "ruff"]);
    let answer = answer(command.env("PATH", place.root()).output().expect("the binary starts"));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(3), "error: `ruff` is not installed\n"));
}

#[test]
fn a_tool_that_fails_takes_nothing_else_away() {
    let place = Place::with(&[("ci.yml", &WORKFLOW.replace("runs-on", "run-on"))]);
    let programs = place.root().join("programs");
    program(&programs, "shellcheck", "#!/bin/sh\necho no JSON\n");
    let answer = call_with(&place, &programs, &["--tools", "shellcheck"]);
    assert!(!found(&answer, "unexpected-key").is_empty());
    let note = "note: `shellcheck` did not look at all scripts: it printed what is not its format";
    assert!(answer.stderr.contains(note) || found(&answer, "shellcheck").is_empty(), "{}", answer.stderr);
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[test]
fn shellcheck_sees_scripts_as_they_run() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let answer = call_with(&place, &place.root(), &["--tools", "shellcheck"]);
    if answer.code == Some(3) {
        say("skipped: no shellcheck");
        return;
    }
    let said = found(&answer, "shellcheck");
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("6:14 SC2086: "), "{said:#?}");
    assert!(said[1].starts_with("7:14 SC2086: "), "{said:#?}");
    let mut command = place.command(&["check", "ci.yml", "--tools", "shellcheck", "--format", "github"]);
    let commands = String::from_utf8(command.output().expect("the binary starts").stdout).expect("text");
    assert!(commands.contains("line=6,endLine=6,col=19,endColumn=21,title=shellcheck"), "{commands}");
    assert!(commands.contains("line=9,endLine=9,col=36,endColumn=38,title=shellcheck"), "{commands}");
}
