//! `firedog check`: which files, which forms, which exit codes.

use serde_json::{Value, json};

use crate::command::{Answer, Place};

const CLEAN: &str = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n";
/// One error, at 4:5.
const BROKEN: &str = "on: push\njobs:\n  a:\n    run-on: ubuntu-latest\n    steps: [{run: 'true'}]\n";
/// One warning, at 5:19.
const DOUBTFUL: &str =
    "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ::set-output name=a::b'}]\n";

fn place() -> Place {
    Place::with(&[
        (".github/workflows/broken.yml", BROKEN),
        (".github/workflows/clean.yml", CLEAN),
        (".github/workflows/doubtful.yaml", DOUBTFUL),
        (".github/actions/one/action.yml", "name: x\ndescription: x\nruns: {using: node20}\n"),
    ])
}

fn check(place: &Place, arguments: &[&str]) -> Answer {
    place.call(&[&["check"], arguments].concat())
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// `FILE:LINE:COLUMN CODE` of all findings that must be there.
fn findings(answer: &Answer) -> Vec<String> {
    let found = json(answer)["diagnostics"].as_array().expect("there is a list").clone();
    let line = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().expect("it is text").to_owned();
        format!("{}:{}:{} {}", text("file"), finding["line"], finding["column"], text("code"))
    };
    found.iter().map(line).collect()
}

#[test]
fn a_repository_is_found_by_itself() {
    let answer = check(&place(), &["--format", "json"]);
    let found = findings(&answer);
    for expected in [
        ".github/actions/one/action.yml:3:7 ambiguous-mapping",
        ".github/workflows/broken.yml:4:5 unexpected-key",
        ".github/workflows/doubtful.yaml:5:19 deprecated-command",
    ] {
        assert!(found.iter().any(|it| it == expected), "{expected} is not in {found:#?}");
    }
    assert!(found.is_sorted_by_key(|it| it.split(':').next().map(str::to_owned)), "{found:#?}");
    assert_eq!(answer.code, Some(1));
}

#[test]
fn folders_and_files_can_be_named() {
    let place = place();
    let files = |arguments: &[&str]| {
        let shown = ["--format", "json", "--severity", "warning"];
        let answer = check(&place, &[arguments, &shown].concat());
        let names =
            findings(&answer).into_iter().map(|it| it.split(':').next().unwrap_or_default().to_owned());
        let mut names: Vec<String> = names.collect();
        names.dedup();
        names
    };
    assert_eq!(files(&[".github/actions"]), [".github/actions/one/action.yml"]);
    assert_eq!(files(&["./.github/workflows/broken.yml"]), ["./.github/workflows/broken.yml"]);
    assert_eq!(
        files(&[".github/workflows"]),
        [".github/workflows/broken.yml", ".github/workflows/doubtful.yaml"]
    );
}

#[test]
fn people_see_lines_and_a_summary() {
    let answer = check(&place(), &[".github/workflows/broken.yml"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
    for part in
        ["error[unexpected-key]", "4 │     run-on: ubuntu-latest", "did you mean `runs-on`?", " in 1 file"]
    {
        assert!(answer.stderr.contains(part), "{part} is not in:\n{}", answer.stderr);
    }
}

#[test]
fn one_object_a_line() {
    let answer = check(&place(), &["--format", "ndjson"]);
    let lines: Vec<Value> =
        answer.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() >= 3 && lines.iter().all(|line| line["code"].is_string()), "{answer:?}");
}

#[test]
fn the_least_severity_decides_what_counts() {
    let place = place();
    let doubtful = ".github/workflows/doubtful.yaml";
    let call = |arguments: &[&str]| check(&place, &[&[doubtful, "--format", "json"], arguments].concat());
    assert_eq!(call(&[]).code, Some(0));
    let denied = call(&["--deny-warnings"]);
    assert_eq!((denied.code, findings(&denied).is_empty()), (Some(1), false));
    let errors = call(&["--deny-warnings", "--severity", "error"]);
    assert_eq!((errors.code, findings(&errors).is_empty()), (Some(0), true));
    let text = check(&place, &[doubtful, "--severity", "error"]);
    assert!(text.stderr.contains("not shown (`--severity info`)"), "{}", text.stderr);
}

#[test]
fn github_shows_commands_at_their_lines() {
    let answer = check(&place(), &["--format", "github", ".github/workflows/broken.yml"]);
    let expected = "::error file=.github/workflows/broken.yml,line=4,endLine=4,col=5,endColumn=11,title=unexpected-key::Unexpected value 'run-on'%0Ahelp: did you mean `runs-on`?\n";
    assert!(answer.stdout.contains(expected), "{}", answer.stdout);
    assert_eq!(answer.code, Some(1));
}

#[test]
fn code_scanning_reads_sarif() {
    let place = place();
    let broken = place.root().join(".github/workflows/broken.yml");
    let answer = check(&place, &["--format", "sarif", broken.to_str().expect("a path of text")]);
    let log = json(&answer);
    let run = &log["runs"][0];
    let results = run["results"].as_array().expect("there are results");
    let found = results.iter().find(|it| it["ruleId"] == "unexpected-key").expect("it is found");
    let place = &found["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], ".github/workflows/broken.yml");
    let region = json!({ "startLine": 4, "startColumn": 5, "endLine": 4, "endColumn": 11 });
    assert_eq!(place["region"], region);
    let rules = run["tool"]["driver"]["rules"].as_array().expect("there are rules");
    let index = found["ruleIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("a number");
    assert_eq!(rules[index]["id"], "unexpected-key");
    assert!(rules[index]["help"]["markdown"].as_str().is_some_and(|text| !text.is_empty()));
}

#[test]
fn a_file_that_cannot_be_read_hides_no_finding() {
    let answer = check(&place(), &["missing.yml", ".github/workflows/broken.yml", "--format", "json"]);
    let found = findings(&answer).iter().any(|it| it == ".github/workflows/broken.yml:4:5 unexpected-key");
    assert_eq!((answer.code, found), (Some(2), true));
    assert!(answer.stderr.contains("cannot read `missing.yml`: No such file"), "{}", answer.stderr);
}

#[test]
fn rules_are_explained() {
    let place = Place::new();
    let all = check(&place, &["--explain"]);
    assert!(all.stdout.contains("unexpected-key") && all.stdout.contains("deprecated-command"), "{all:?}");
    let one = check(&place, &["--explain", "deprecated-command"]);
    assert!(one.stdout.starts_with("warning[deprecated-command]: a workflow command"), "{}", one.stdout);
    assert!(!one.stdout.contains("```"), "{}", one.stdout);
    let unknown = check(&place, &["--explain", "deprecated-comand"]);
    let expected = "error: there is no rule `deprecated-comand`\nhelp: did you mean `deprecated-command`?\n";
    assert_eq!((unknown.code, unknown.stderr.as_str()), (Some(2), expected));
}

#[test]
fn the_page_of_the_rules_is_up_to_date() {
    let answer = check(&Place::new(), &["--explain", "all", "--format", "markdown"]);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    assert!(page == answer.stdout, "docs/rules.md is old; `script/rules` writes it");
}

const VERSION: &str = "on: push\r\njobs:\r\n  a:\r\n    run-on: ubuntu-latest\r\n    env: {GO_VERSION: 1.20}\r\n    steps: [{run: 'true'}]\r\n";

fn bytes(place: &Place, name: &str) -> Vec<u8> {
    std::fs::read(place.root().join(name)).expect("the file is there")
}

#[test]
fn changes_are_shown_then_made() {
    let place = Place::with(&[("a.yml", VERSION)]);
    std::fs::write(place.root().join("a.yml"), format!("\u{feff}{VERSION}")).expect("a file can be written");
    let shown = check(&place, &["a.yml", "--diff"]);
    let diff = "--- a/a.yml\n+++ b/a.yml\n@@ -1,6 +1,6 @@\n on: push\r\n jobs:\r\n   a:\r\n\
                -    run-on: ubuntu-latest\r\n-    env: {GO_VERSION: 1.20}\r\n\
                +    runs-on: ubuntu-latest\r\n+    env: {GO_VERSION: '1.20'}\r\n     steps: [{run: 'true'}]\r\n";
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(1), diff));
    assert_eq!(bytes(&place, "a.yml"), format!("\u{feff}{VERSION}").into_bytes());
    let made = check(&place, &["a.yml", "--fix"]);
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), diff), "{}", made.stderr);
    assert!(made.stderr.starts_with("mended 2 findings in 1 file\n"), "{}", made.stderr);
    let expected = format!("\u{feff}{VERSION}").replace("run-on", "runs-on").replace("1.20", "'1.20'");
    assert_eq!(bytes(&place, "a.yml"), expected.into_bytes());
    let again = check(&place, &["a.yml", "--diff"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""));
}

#[test]
fn a_json_answer_stays_one_object_when_changes_are_made() {
    let place = Place::with(&[("a.yml", VERSION)]);
    let answer = check(&place, &["a.yml", "--fix", "--format", "json"]);
    assert_eq!((answer.code, json(&answer)["diagnostics"].is_array()), (Some(0), true));
    assert!(answer.stderr.contains("+    runs-on"), "{}", answer.stderr);
}

#[test]
fn commits_come_from_the_lock() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let workflow =
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: octo/act@v1\n";
    let place = Place::with(&[
        (".github/workflows/a.yml", workflow),
        (".github/firedog.lock", &format!("\"octo/act@v1\" = \"{commit}\"\n")),
    ]);
    let answer = check(&place, &["--fix", "--severity", "info"]);
    assert!(answer.stdout.contains(&format!("+      - uses: octo/act@{commit} # v1\n")), "{answer:?}");
    place.write(".github/firedog.lock", "\"octo/act@v1\" = \"v1\"\n");
    let refused = check(&place, &[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("what is locked for `octo/act@v1` is no commit"), "{}", refused.stderr);
}

#[test]
fn a_configuration_sets_rules_and_ignores_findings() {
    let place = place();
    let doubtful = ".github/workflows/doubtful.yaml";
    let codes = |arguments: &[&str]| -> Vec<String> {
        let answer =
            check(&place, &[&["--format", "json", "--severity", "warning", doubtful], arguments].concat());
        let codes = findings(&answer).into_iter();
        codes.map(|it| it.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(codes(&[]), ["deprecated-command"]);
    place.write("firedog.toml", "[rules]\ndeprecated-command = 'off'\n");
    assert!(codes(&[]).is_empty());
    place.write("firedog.toml", "[rules]\ndeprecated-command = 'error'\n");
    assert_eq!(check(&place, &[doubtful]).code, Some(1));
    place.write(
        "firedog.toml",
        "[[ignore]]\nfiles = ['.github/**/doubt*']\ncodes = ['deprecated-command']\nreason = 'an old runner'\n",
    );
    assert!(codes(&[]).is_empty());
    place.write("other.yaml", "paths: {'**/*.yaml': {ignore: ['set-output.* is deprecated']}}\n");
    assert!(codes(&["--config", "other.yaml"]).is_empty());
}

#[test]
fn a_mistake_in_a_configuration_has_its_place() {
    let place = place();
    let says = |text: &str, parts: &[&str]| {
        place.write("firedog.toml", text);
        let answer = check(&place, &["--format", "json"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
        parts.iter().for_each(|part| assert!(answer.stderr.contains(part), "{part}:\n{}", answer.stderr));
    };
    says(
        "runner-label = ['x']\n",
        &["firedog.toml:1:1", "unknown field `runner-label`", "did you mean `runner-labels`?"],
    );
    says(
        "\n[rules]\ndeprecated-comand = 'off'\n",
        &["firedog.toml:3:1", "did you mean `deprecated-command`?"],
    );
    says("[rules\n", &["firedog.toml:1:"]);
}

/// Checks a file of these bytes: it must end as it promises, in bounded memory, and say one of `codes` or a clear error.
fn check_bytes(bytes: &[u8], code: Option<&str>) -> Answer {
    /// Kibibytes of address space that a check of bad input may take.
    const MEMORY: u64 = 1_500_000;
    let place = Place::new();
    std::fs::write(place.root().join("bad.yml"), bytes).expect("a file can be written");
    let inner = place.command(&["check", "bad.yml", "--format", "json", "--no-tools"]);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\""));
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.root());
    let answer = crate::command::answer(command.output().expect("sh is installed"));
    assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
    if let Some(code) = code {
        assert_eq!(answer.code, Some(1), "{}", answer.stderr);
        let found = findings(&answer);
        assert!(found.iter().any(|it| it.ends_with(&format!(" {code}"))), "{code} is not in {found:#?}");
    }
    answer
}

#[test]
fn half_typed_files_have_a_finding_at_every_place() {
    let workflow = "on:\n  push:\n    branches: [\"main\"]\njobs:\n  a:\n    runs-on: ${{ matrix.os }}\n    steps:\n      - run: |\n          echo ${{ github.sha }}\n";
    for end in 0..workflow.len() {
        let answer = check_bytes(&workflow.as_bytes()[..end], None);
        assert!(matches!(answer.code, Some(0 | 1)), "{end}: {answer:?}");
    }
}

#[test]
fn bytes_that_are_no_workflow_have_a_finding() {
    check_bytes(b"on: push\njobs:\n\ta: {}\n", Some("yaml-syntax"));
    check_bytes(b"on: push\nname: caf\xe9\njobs: {}\n", Some("not-utf8"));
    assert_eq!(check_bytes("[".repeat(100_000).as_bytes(), None).code, Some(1));
    let bomb: String = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        let below = format!("*a{}", level - 1);
        format!("{text}a{level}: &a{level} [{}]\n", vec![below; 10].join(", "))
    });
    check_bytes(bomb.as_bytes(), Some("yaml-too-large"));
    let mark = [b"\xEF\xBB\xBF", CLEAN.replace('\n', "\r\n").as_bytes()].concat();
    assert_eq!(check_bytes(&mark, None).code, Some(0));
}

#[test]
fn endless_expressions_have_a_finding() {
    let with = |expression: &str| {
        format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{{{ {expression} }}}}\n"
        )
    };
    let long = vec!["github.sha"; 10_000].join(" || ");
    assert_eq!(check_bytes(with(&long).as_bytes(), None).code, Some(1));
    let deep = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(check_bytes(with(&deep).as_bytes(), None).code, Some(1));
}

#[test]
fn a_file_that_is_too_large_is_named() {
    let answer = check_bytes("a: b\n".repeat(10_000_000).as_bytes(), None);
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("cannot read `bad.yml`: it has more than"), "{}", answer.stderr);
}
