//! Where names that `¦` marks are written.

use super::{Target, at};
use crate::cursor::Cursor;
use crate::repository::{Documents, Kind, Repository};

const WORKFLOW: &str = "on:\n  workflow_call:\n    inputs:\n      level:\n        type: string\n    secrets:\n      key:\nenv:\n  A: 1\njobs:\n  build:\n    runs-on: x\n    strategy:\n      matrix:\n        os: [a]\n        include:\n          - os: b\n            extra: c\n    env:\n      B: 2\n    outputs:\n      digest: d\n    steps:\n      - id: first\n        uses: ./setup\n        with:\n          version: 1\n";
const ACTION: &str = "name: Setup\ndescription: Sets up\ninputs:\n  version:\n    description: Which one\noutputs:\n  path:\n    value: x\nruns:\n  using: composite\n  steps: []\n";
const CALLED: &str = "on:\n  workflow_call:\n    inputs:\n      target:\n        type: string\njobs: {}\n";

/// The file, the line from 1 and the text there.
fn check(marked: &str, expected: Option<(&str, usize, &str)>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("setup/action.yml", ACTION), (".github/workflows/called.yml", CALLED)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let offset = marked.find('¦').expect("a place");
    let text = marked.replacen('¦', "", 1);
    let documents = Documents::new();
    let repository = Repository::new(Some(folder.path()), &documents);
    let found = at(&Cursor::at(&text, offset, Kind::Workflow), repository).map(|(_, target)| match target {
        Target::Here(span) => ("here".to_owned(), workflow::source::SourceFile::new("", text.as_str()), span),
        Target::File(file, span) => (file.name().to_string(), file, span),
    });
    let shown =
        found.map(|(name, file, span)| (name, file.position(span.start).line, file.slice(span).to_owned()));
    let expected = expected.map(|(name, line, text)| (name.to_owned(), line, text.to_owned()));
    assert_eq!(shown, expected, "{marked}");
}

fn run(expression: &str) -> String {
    format!("{WORKFLOW}      - run: echo ${{{{ {expression} }}}}\n")
}

#[test]
fn jobs_and_their_outputs() {
    check(&format!("{WORKFLOW}  next:\n    needs: bui¦ld\n"), Some(("here", 11, "build")));
    check(&format!("{WORKFLOW}  next:\n    needs:\n      - bui¦ld\n"), Some(("here", 11, "build")));
    let condition = |text: &str| format!("{WORKFLOW}  next:\n    needs: build\n    if: {text}\n");
    check(&condition("needs.bui¦ld.result"), Some(("here", 11, "build")));
    check(&condition("needs.build.outputs.dig¦est"), Some(("here", 22, "digest")));
    check(&condition("needs.nobo¦dy"), None);
}

#[test]
fn what_a_step_can_use() {
    check(&run("steps.fir¦st.outcome"), Some(("here", 24, "first")));
    check(&run("steps.first.outputs.pa¦th"), Some(("setup/action.yml", 7, "path")));
    check(&run("inputs.le¦vel"), Some(("here", 4, "level")));
    check(&run("secrets.ke¦y"), Some(("here", 7, "key")));
    check(&run("matrix.o¦s"), Some(("here", 15, "os")));
    check(&run("matrix.ext¦ra"), Some(("here", 18, "extra")));
    check(&run("env.¦A"), Some(("here", 9, "A")));
    check(&run("env.B¦"), Some(("here", 20, "B")));
    check(&run("github.re¦f"), None);
}

#[test]
fn actions_and_workflows() {
    check(&WORKFLOW.replace("./setup", "./set¦up"), Some(("setup/action.yml", 1, "")));
    check(&WORKFLOW.replace("version: 1", "vers¦ion: 1"), Some(("setup/action.yml", 4, "version")));
    let call =
        "on: push\njobs:\n  a:\n    uses: ./.github/workflows/called.yml\n    with:\n      target: x\n";
    check(&call.replace("called", "call¦ed"), Some((".github/workflows/called.yml", 1, "")));
    check(&call.replace("target", "tar¦get"), Some((".github/workflows/called.yml", 4, "target")));
    check("jobs:\n  a:\n    uses: ./.github/workflows/mis¦sing.yml\n", None);
}
