//! What authors and hosts do wrong: a clear message with its place, the right exit code, and no event lost.

use crate::command::{Answer, Place, answer};

/// The ways to say `run this, on this machine itself, as events`.
const RUN: [&str; 6] = ["run", "ci.yml", "--format", "ndjson", "--platform", "*=host"];

fn run(workflow: &str) -> (Place, Answer) {
    let place = Place::with(&[("ci.yml", workflow)]);
    let answer = place.call(&RUN);
    (place, answer)
}

/// A workflow that is refused before a job starts, with `place` and `message` on standard error.
fn refused(workflow: &str, place: &str, message: &str) {
    let (_place, answer) = run(workflow);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("ci.yml:{place}")), "{place} is not in:\n{}", answer.stderr);
    assert!(answer.stderr.contains(message), "{message} is not in:\n{}", answer.stderr);
}

#[test]
fn broken_yaml() {
    refused("on: push\njobs: [\n", "2:7", "unclosed bracket");
}

#[test]
fn an_unknown_key() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    stepz: []\n    steps: [{run: 'true'}]\n";
    refused(workflow, "5:5", "stepz");
}

#[test]
fn a_bad_expression() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github. }}\n";
    refused(workflow, "6:14", "github.");
}

#[test]
fn a_need_that_is_not_there() {
    let workflow = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'true'}]\n  b:\n    needs: c\n    \
                    runs-on: x\n    steps: [{run: 'true'}]\n";
    refused(workflow, "7:12", "unknown job 'c'");
}

#[test]
fn a_cycle() {
    let job = |id: &str, needs: &str| {
        format!("  {id}:\n    needs: {needs}\n    runs-on: x\n    steps: [{{run: 'true'}}]\n")
    };
    let workflow = format!("on: push\njobs:\n{}{}", job("a", "b"), job("b", "a"));
    refused(&workflow, "3:3", "must contain at least one job with no dependencies");
}

#[test]
fn a_matrix_over_the_limit_fails_its_job_only() {
    let numbers: Vec<String> = (0..257).map(|number| number.to_string()).collect();
    let workflow = format!(
        "on: push\njobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix:\n        n: [{}]\n    steps: [{{run: \
         'true'}}]\n",
        numbers.join(", ")
    );
    let (_place, answer) = run(&workflow);
    assert!(answer.stderr.contains("256") || answer.stdout.contains("256"), "{answer:?}");
    assert!(matches!(answer.code, Some(1 | 2)), "{answer:?}");
}

#[test]
fn a_label_that_nothing_here_serves() {
    let place =
        Place::with(&[("ci.yml", "on: push\njobs:\n  a:\n    runs-on: os-2\n    steps: [{run: 'true'}]\n")]);
    let answer =
        place.call(&["run", "ci.yml", "--format", "ndjson", "--platform", "x=host", "--machine", "host"]);
    assert_eq!((answer.code, answer.conclusion().as_str()), (Some(3), "failure"), "{answer:?}");
    assert!(answer.stdout.contains("no machine here serves the label `os-2`"), "{answer:?}");
    assert!(answer.stderr.contains("help: `--platform 'os-2=auto'`"), "{answer:?}");
}

const PULL_REQUEST: &str = "on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'true'}]\n";

#[test]
fn an_event_that_triggers_nothing() {
    let place = Place::with(&[(".github/workflows/ci.yml", PULL_REQUEST)]);
    let answer = place.call(&["run", "--format", "ndjson"]);
    assert_eq!((answer.code, answer.conclusion().as_str()), (Some(0), "success"));
    assert!(answer.stderr.contains("`push` triggers none of the 1 workflow"), "{}", answer.stderr);
}

#[test]
fn a_folder_without_workflows() {
    let answer = Place::new().call(&["run"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{}", answer.stderr);
    assert!(answer.stderr.starts_with("error: there is no workflow in `"), "{}", answer.stderr);
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let place = Place::with(&[("ci.yml", PULL_REQUEST), ("list.json", "[1]"), ("broken.json", "{")]);
    let check = |arguments: &[&str], message: &str| {
        let answer = place.call(arguments);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{}", answer.stderr);
        assert!(answer.stderr.contains(message), "{message} is not in:\n{}", answer.stderr);
    };
    check(&["run", "missing.yml"], "error: cannot read `missing.yml`: No such file or directory\n");
    check(
        &["run", "ci.yml", "--payload", "list.json"],
        "`list.json` cannot be used: the payload is an array, not an object",
    );
    check(&["run", "ci.yml", "--payload", "broken.json"], "`broken.json` is not valid JSON");
    check(&["run", "ci.yml", "--secrets-file", "list.json"], "the secrets file `list.json` holds an array");
    check(&["run", "ci.yml", "--secret", "FIREDOG_UNSET"], "no environment variable `FIREDOG_UNSET`");
    check(&["run", "ci.yml", "--job", "none"], "'none'");
    check(&["run", "ci.yml", "--root", "nowhere"], "`nowhere`");
}

fn steps(steps: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}")
}

/// A workflow whose first step fails; returns the answer.
fn fails(workflow: &str, message: &str) -> Answer {
    let (_place, answer) = run(workflow);
    assert_eq!((answer.code, answer.conclusion().as_str()), (Some(1), "failure"), "{answer:?}");
    assert!(answer.stdout.contains(message), "{message} is not in:\n{}", answer.stdout);
    answer
}

#[test]
fn a_shell_that_is_not_installed() {
    let answer = fails(
        &steps("      - run: 'true'\n        shell: no-such-shell {0}\n      - run: 'true'\n"),
        "no-such-shell",
    );
    assert_eq!(answer.steps(), ["failure", "skipped"]);
}

#[test]
fn an_action_that_is_not_here() {
    fails(&steps("      - uses: octo/none@v1\n"), "octo/none@v1");
}

#[test]
fn output_that_is_not_utf_8() {
    let (_place, answer) = run(&steps("      - run: printf 'a\\377b\\n'\n"));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.lines().contains(&"a\u{fffd}b".to_owned()), "{:?}", answer.lines());
}

#[test]
fn children_that_stay_are_ended_with_the_job() {
    // The number makes the child's command line one of its own.
    let place = Place::with(&[("ci.yml", &steps("      - run: sleep 98761 & echo $! > \"$FIREDOG_PID\"\n"))]);
    let file = place.root().join("pid");
    let mut command = place.command(&RUN);
    let answer = answer(
        command.arg("--env").arg(format!("FIREDOG_PID={}", file.display())).output().expect("it starts"),
    );
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let pid = std::fs::read_to_string(file).expect("the step wrote it");
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    assert!(!command_line.contains("98761"), "the child lives: {command_line:?}");
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs the program with a file system of 1 MiB as its state folder; `None` where this host does not allow that.
fn with_small_disk(place: &Place, arguments: &[&str]) -> Option<Answer> {
    std::fs::create_dir(place.state()).expect("a folder can be made");
    let script = "mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$0\" && exec \"$@\"";
    let inner = place.command(arguments);
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(place.state());
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.root());
    let possible =
        std::process::Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        say("skipped: no user namespaces");
        return None;
    }
    Some(answer(command.output().expect("unshare starts")))
}

#[test]
fn a_full_disk_is_named() {
    let place = Place::with(&[("ci.yml", &steps("      - run: seq 1 1000000\n"))]);
    let Some(answer) = with_small_disk(&place, &RUN) else { return };
    assert_eq!(answer.code, Some(2), "{}", answer.stderr);
    assert!(answer.stderr.contains("the disk is full"), "{}", answer.stderr);
}

/// Kilobytes of addresses that a check may take: far more than it needs, far less than input that multiplies would.
const MEMORY: &str = "1500000";

/// Checks a file with these bytes, its memory bounded.
fn check(bytes: &[u8]) -> Answer {
    let place = Place::new();
    std::fs::write(place.root().join("ci.yml"), bytes).expect("a file can be written");
    let inner = place.command(&["check", "ci.yml"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", MEMORY]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.root());
    answer(command.output().expect("a shell starts"))
}

/// A file that is checked, and refused with this message at this place.
fn found(bytes: impl AsRef<[u8]>, place: &str, message: &str) {
    let answer = check(bytes.as_ref());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("ci.yml{place}")), "{place} is not in:\n{}", answer.stderr);
    assert!(answer.stderr.contains(message), "{message} is not in:\n{}", answer.stderr);
}

#[test]
fn files_that_are_too_large() {
    let line = "# 16 characters\n";
    let answer = check(line.repeat(50 * 1024 * 1024 / line.len()).as_bytes());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{}", answer.stderr);
    assert!(answer.stderr.contains("bytes"), "{}", answer.stderr);
    found(
        line.repeat(20 * 1024 * 1024 / line.len()),
        "",
        "the maximum file size of 1048576 bytes has been exceeded",
    );
}

#[test]
fn collections_that_are_too_deep() {
    let mut levels = String::new();
    (0..60).for_each(|level| levels.push_str(&format!("{}a:\n", " ".repeat(level))));
    for text in [
        format!("a: {}", "[".repeat(100_000)),
        format!("a: {}", "{b: ".repeat(100_000)),
        format!("a:\n  {}", "- ".repeat(100_000)),
        levels,
    ] {
        found(text, ":", "maximum object depth exceeded: more than 50 levels");
    }
}

#[test]
fn aliases_that_multiply() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    found(text, ":", "the file is too large: its aliases expanded");
}

#[test]
fn expressions_that_are_too_long_or_too_deep() {
    let long = "a".repeat(100_000);
    let step = |expression: String| {
        steps(&format!("      - run: echo\n        env:\n          A: ${{{{ {expression} }}}}\n"))
    };
    found(step(format!("'{long}'")), ":8:14", "Exceeded max expression length 21000");
    found(step(format!("x ${{{{ '{long}' }}}} y")), ":8:14", "Exceeded max expression length 21000");
    found(step("(".repeat(100_000)), ":8:14", "Exceeded max expression length 21000");
    found(step("!".repeat(10_000)), ":8:14", "Unexpected end of expression");
    found(step(format!("{}env", "!".repeat(10_000))), ":8:14", "Exceeded max expression depth 50");
    found(
        steps(&format!("      - run: echo\n        if: {}true\n", "true && (".repeat(2000))),
        ":7:13",
        "Unexpected end of expression",
    );
}

#[test]
fn files_of_other_encodings_and_half_typed_ones() {
    found(b"on: push\nname: B\xE4r\n", ":2:8", "the file is not UTF-8 text");
    found("on: push\njobs:\n\ta: b\n", ":3", "tabs");
    found("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: 'echo\n", ":6:14", "quote");
    found("on: push\njobs:\n  a:\n    runs-on: [x, \n", ":4:14", "bracket");
    found("on: push\njobs:\n  a:\n    runs-on: x\n    ste", ":5:5", "ste");
    let windows = steps("      - run: |\n          echo a\n          echo b\n").replace('\n', "\r\n");
    let answer = check(format!("\u{feff}{windows}").as_bytes());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), ""), "{}", answer.stderr);
}
