//! Where secrets do not get to.

use crate::command::{Answer, Place, answer};

/// Runs `ci.yml` on the host with a secret from the environment.
fn run(place: &Place, value: &str) -> Answer {
    let arguments =
        ["run", "ci.yml", "--machine", "host", "--format", "ndjson", "--secret", "FIREDOG_SECRET"];
    answer(place.command(&arguments).env("FIREDOG_SECRET", value).output().expect("the binary starts"))
}

/// Fails where a text is in an answer or in a file below the state folder.
fn check_absent(place: &Place, answer: &Answer, text: &str) {
    assert!(!answer.stdout.contains(text), "{}", answer.stdout);
    assert!(!answer.stderr.contains(text), "{}", answer.stderr);
    let mut folders = vec![place.state()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("the folder is there").flatten() {
            match entry.file_type().expect("the entry is there").is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let bytes = std::fs::read(entry.path()).expect("the file is there");
                    let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                    assert!(!found, "{}", entry.path().display());
                }
            }
        }
    }
}

#[test]
fn the_variable_of_a_secret_is_not_the_steps_own() {
    let workflow = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: echo \"[$FIREDOG_SECRET] [$GIVEN] ${#GIVEN}\"
        env: { GIVEN: '${{ secrets.FIREDOG_SECRET }}' }
";
    let place = Place::with(&[("ci.yml", workflow)]);
    let answer = run(&place, "hunter2");
    assert_eq!(answer.lines(), ["[] [***] 7"], "{}", answer.stderr);
    check_absent(&place, &answer, "hunter2");
}

#[test]
fn an_expression_that_fails_on_a_secret_does_not_quote_it() {
    let call = "
on: push
jobs:
  caller:
    uses: ./.github/workflows/called.yml
    secrets: { given: \"${{ format(secrets.FIREDOG_SECRET, 1) }}\" }
";
    let called = "
on: { workflow_call: { secrets: { given: {} } } }
jobs:
  test:
    runs-on: ubuntu-latest
    steps: [{ run: echo not reached }]
";
    let place = Place::with(&[("ci.yml", call), (".github/workflows/called.yml", called)]);
    let answer = run(&place, "hunter{7}");
    assert_eq!(answer.conclusion(), "failure");
    assert!(answer.stdout.contains("the secrets of this call cannot be evaluated"), "{}", answer.stdout);
    check_absent(&place, &answer, "hunter{7}");
    let step = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ format(secrets.FIREDOG_SECRET, 1) }}
";
    let place = Place::with(&[("ci.yml", step)]);
    let answer = run(&place, "hunter{7}");
    assert_eq!(answer.conclusion(), "failure");
    check_absent(&place, &answer, "hunter{7}");
}
