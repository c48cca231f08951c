//! Words about places that `¦` marks.

use super::at;
use crate::cursor::Cursor;
use crate::repository::{Documents, Kind, Repository};

const JOBS: &str = "on:\n  workflow_dispatch:\n    inputs:\n      level:\n        type: number\njobs:\n  build:\n    name: Build it\n    runs-on: ubuntu-latest\n    outputs:\n      digest: ${{ steps.x.outputs.y }}\n    steps:\n      - id: x\n        run: make\n";
const ACTION: &str = "name: Setup\ndescription: Sets up\ninputs:\n  version:\n    description: Which one\n    default: '1'\nruns:\n  using: composite\n  steps: []\n";

/// The word and the words about it; nothing where there are none.
fn words(marked: &str) -> Option<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("setup")).expect("a folder");
    std::fs::write(folder.path().join("setup/action.yml"), ACTION).expect("a file");
    let offset = marked.find('¦').expect("a place");
    let text = marked.replacen('¦', "", 1);
    let documents = Documents::new();
    let repository = Repository::new(Some(folder.path()), &documents);
    let found = at(&Cursor::at(&text, offset, Kind::Workflow), None, repository)?;
    Some((text[found.span.start as usize..found.span.end as usize].to_owned(), found.text))
}

fn check(marked: &str, word: &str, part: &str) {
    let (found, text) = words(marked).unwrap_or_else(|| panic!("words about {marked}"));
    assert_eq!(found, word, "{marked}");
    assert!(text.contains(part), "{part} in {text}");
}

#[test]
fn keys_and_values_have_the_words_of_the_schema() {
    check("o¦n: push\n", "on", "event");
    check("permissions:\n  con¦tents: read\n", "contents", "epository contents");
    check("permissions:\n  contents: re¦ad\n", "read", "Grants `read` permission");
    check("on: [pu¦sh]\n", "push", "push");
    check(&JOBS.replace("runs-on", "run¦s-on"), "runs-on", "type of machine");
    assert_eq!(words("name: x¦\n"), None);
    assert_eq!(words("# o¦n\n"), None);
}

#[test]
fn jobs_actions_and_inputs_have_the_words_of_their_authors() {
    let job = format!("{JOBS}  next:\n    needs: [bui¦ld]\n");
    check(&job, "build", "Job `build` (Build it)");
    let uses = format!("{JOBS}      - uses: ./set¦up\n");
    check(&uses, "./setup", "Sets up");
    let input = format!("{JOBS}      - uses: ./setup\n        with:\n          ver¦sion: 2\n");
    check(&input, "version", "default `1`");
    check(&input, "version", "Which one");
}

#[test]
fn expressions_have_types_and_signatures() {
    let run = |text: &str| format!("{JOBS}      - run: echo ${{{{ {text} }}}}\n");
    check(&run("git¦hub.ref"), "github", "The run and the event");
    check(&run("github.re¦f"), "ref", "github.ref: string");
    check(&run("to¦JSON(github)"), "toJSON", "toJSON(value)");
    check(&run("inputs.le¦vel"), "level", "inputs.level: number");
    check(&run("steps.x.outco¦me"), "outcome", "steps.x.outcome: string");
    let needs = format!("{JOBS}  next:\n    needs: build\n    if: needs.build.outputs.dig¦est\n");
    check(&needs, "digest", "needs.build.outputs.digest: string");
    assert_eq!(words(&run("'git¦hub'")), None);
}
