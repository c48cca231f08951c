//! What a run says that its machines may reach, and what it tells of the rest.

use crate::command::{Answer, Place};

/// A job that meets destinations of nobody, one of them three times.
const WORKFLOW: &str = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - name: first
        run: for i in 1 2 3; do (exec 3<>/dev/tcp/10.1.2.3/80) 2>/dev/null || echo no; done
      - name: second
        run: (exec 3<>/dev/tcp/other.example/443) 2>/dev/null || echo no
      - name: third
        env: { TOKEN: '${{ secrets.FIREDOG_SECRET }}' }
        run: (exec 3<>/dev/tcp/$TOKEN.example/443) 2>/dev/null || echo no
";

/// Runs it in a machine that can be limited; none where this host has none.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn run(place: &Place, format: &str) -> Option<Answer> {
    let arguments =
        ["run", "ci.yml", "--machine", "namespace", "--network", "allow=github.com", "--format", format];
    let arguments = [&arguments[..], &["--secret", "FIREDOG_SECRET"]].concat();
    let output =
        place.command(&arguments).env("FIREDOG_SECRET", "hunter2").output().expect("the binary starts");
    let answer = crate::command::answer(output);
    let missing = answer.code == Some(3) || answer.stdout.contains("/dev/net/tun");
    if missing {
        eprintln!("skipped: {}{}", answer.stderr, answer.stdout);
    }
    (!missing).then_some(answer)
}

#[test]
fn programs_are_told_of_each_refusal_with_its_step() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let Some(answer) = run(&place, "ndjson") else { return };
    let events = answer.events();
    let told = events.iter().filter(|event| event["event"] == "network_refused");
    let mut counts = std::collections::BTreeMap::new();
    for event in told {
        let destination = event["name"].as_str().or(event["address"].as_str()).expect("it is somewhere");
        let what = format!("{} {destination} {} {}", event["step"], event["port"], event["reason"]);
        *counts.entry(what).or_insert(0) += event["count"].as_u64().expect("it is counted");
    }
    let expected = [
        ("0 10.1.2.3 80 \"private\"".to_owned(), 3),
        ("1 other.example null \"not-listed\"".to_owned(), 1),
        ("2 ***.example null \"not-listed\"".to_owned(), 1),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected, "{}", answer.stderr);
}

#[test]
fn people_are_told_at_once_and_at_the_end() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let Some(answer) = run(&place, "text") else { return };
    let lines: Vec<&str> = answer.stdout.lines().map(str::trim).collect();
    let expected = [
        "test │ network: refused 10.1.2.3:80 by TCP: the address is private",
        "test › first: 10.1.2.3:80 by TCP (3 times): the address is private",
        "test › second: the name other.example: the list does not name it",
        "test › third: the name ***.example: the list does not name it",
        "help: `--network-allow 10.1.2.3:80` admits the first of them",
    ];
    for expected in expected {
        assert_eq!(
            lines.iter().filter(|line| **line == expected).count(),
            1,
            "{expected}\n{}",
            answer.stdout
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let check = |arguments: &[&str], expected: &str| {
        let answer = place.call(&[&["run", "ci.yml"], arguments].concat());
        assert_eq!(answer.code, Some(2), "{arguments:?}: {}", answer.stdout);
        assert!(answer.stderr.contains(expected), "{arguments:?}: {}", answer.stderr);
    };
    check(&["--network", "allow=https://github.com"], "without `https://`");
    check(&["--network", "allow="], "the list is empty");
    check(&["--network", "some"], "expected full, none or allow=");
    check(&["--network-allow", "10.0.0.1/8"], "bits beyond");
    check(&["--network", "none", "--network-allow", "a.example"], "admits nothing with `--network none`");
}

#[test]
fn a_process_of_the_host_cannot_be_limited() {
    let place = Place::with(&[("ci.yml", WORKFLOW)]);
    let answer = place.call(&["run", "ci.yml", "--machine", "host", "--network", "allow=github.com"]);
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    assert!(answer.stdout.contains("only an isolated machine can be limited"), "{}", answer.stdout);
}
