//! Names that `¦` marks, written anew everywhere.

use proptest::prelude::{any, proptest};

use super::{is_id, is_taken, named_at, of};
use crate::cursor::Cursor;
use crate::repository::Kind;

const WORKFLOW: &str = "on:\n  workflow_call:\n    outputs:\n      x:\n        value: ${{ jobs.build.outputs.d }}\njobs:\n  build:\n    runs-on: x\n    outputs:\n      d: ${{ steps.first.outputs.y }}\n    steps:\n      - id: first\n        run: build\n      - if: steps.first.outcome == 'first'\n        run: |\n          echo ${{ steps['first'].outputs.first }} ${{ Steps.FIRST.outcome }} first\n  test:\n    needs: [build, 'build']\n    if: needs.build.result == 'build' && !needs.builder\n    steps:\n      - id: first\n        run: ${{ needs.build.outputs.d }} ${{ steps.first.outcome }}\n  last:\n    needs: build\n  more:\n    needs:\n      - build\n";

/// The text in which each place of the name is `<new>`.
fn renamed(marked: &str, kind: Kind) -> Option<String> {
    let offset = marked.find('¦').expect("a place");
    let mut text = marked.replacen('¦', "", 1);
    let cursor_text = text.clone();
    let cursor = Cursor::at(&cursor_text, offset, kind);
    let (_, named) = named_at(&cursor)?;
    for span in of(&cursor, &named).into_iter().rev() {
        text.replace_range(span.start as usize..span.end as usize, "<new>");
    }
    Some(text)
}

#[test]
fn jobs_are_found_everywhere() {
    let expected = WORKFLOW
        .replace("jobs.build", "jobs.<new>")
        .replace("  build:\n", "  <new>:\n")
        .replace("[build, 'build']", "[<new>, '<new>']")
        .replace("needs.build.", "needs.<new>.")
        .replace("needs: build", "needs: <new>")
        .replace("- build\n", "- <new>\n");
    for (old, marked) in [
        ("  build:\n", "  bui¦ld:\n"),
        ("[build,", "[bui¦ld,"),
        ("'build']", "'bui¦ld']"),
        ("if: needs.build.", "if: needs.bui¦ld."),
        ("jobs.build.", "jobs.¦build."),
        ("- build\n", "- bui¦ld\n"),
    ] {
        assert_eq!(
            renamed(&WORKFLOW.replacen(old, marked, 1), Kind::Workflow).as_deref(),
            Some(&*expected),
            "{marked}"
        );
    }
}

#[test]
fn steps_are_found_in_their_job() {
    let (own, other) = WORKFLOW.split_at(WORKFLOW.find("  test:\n").expect("a job"));
    let own_renamed = own
        .replace("steps.first.", "steps.<new>.")
        .replace("id: first", "id: <new>")
        .replace("steps['first']", "steps['<new>']")
        .replace("Steps.FIRST", "Steps.<new>");
    let expected = own_renamed + other;
    for (old, marked) in
        [("id: first", "id: fir¦st"), ("{ steps.first.", "{ steps.fir¦st."), ("['first']", "['fi¦rst']")]
    {
        assert_eq!(
            renamed(&WORKFLOW.replacen(old, marked, 1), Kind::Workflow).as_deref(),
            Some(&*expected),
            "{marked}"
        );
    }
}

#[test]
fn steps_of_actions_are_found_in_its_outputs_too() {
    let action = "outputs:\n  x:\n    value: ${{ steps.a.outputs.y }}\nruns:\n  using: composite\n  steps:\n    - id: ¦a\n      run: a\n";
    let expected = action.replace('¦', "").replace("steps.a.", "steps.<new>.").replace("id: a", "id: <new>");
    assert_eq!(renamed(action, Kind::Action), Some(expected));
}

#[test]
fn other_words_have_no_name() {
    for (old, marked) in [
        ("runs-on", "runs¦-on"),
        ("run: build", "run: bui¦ld"),
        ("needs.builder", "needs.buil¦der"),
        ("outputs.d }}", "outputs.d¦ }}"),
    ] {
        assert_eq!(renamed(&WORKFLOW.replacen(old, marked, 1), Kind::Workflow), None, "{marked}");
    }
}

#[test]
fn new_names_must_be_ids_that_are_free() {
    assert!(is_id("a-b_1") && !is_id("1a") && !is_id("") && !is_id("a b") && !is_id("__a") && !is_id("ä"));
    let marked = WORKFLOW.replacen("  build:\n", "  bui¦ld:\n", 1);
    let text = marked.replace('¦', "");
    let cursor = Cursor::at(&text, marked.find('¦').expect("a place"), Kind::Workflow);
    let (_, named) = named_at(&cursor).expect("a job");
    assert!(
        is_taken(&cursor, &named, "TEST")
            && !is_taken(&cursor, &named, "build")
            && !is_taken(&cursor, &named, "x")
    );
}

proptest! {
    #[test]
    fn no_place_panics(cut in any::<proptest::sample::Index>(), at in any::<proptest::sample::Index>()) {
        let text = &WORKFLOW[..cut.index(WORKFLOW.len())];
        let cursor = Cursor::at(text, at.index(text.len() + 1), Kind::Workflow);
        if let Some((_, named)) = named_at(&cursor) {
            for span in of(&cursor, &named) {
                assert!(text.get(span.start as usize..span.end as usize).is_some());
            }
        }
    }
}
