//! Places in texts in which `|` marks the place.

use proptest::prelude::{any, proptest};

use super::{Cursor, Spot};
use crate::repository::Kind;

/// The place as text: what it is, the path of what it belongs to, and the word there.
fn show(marked: &str) -> String {
    let offset = marked.find('¦').expect("a place");
    let text = marked.replacen('¦', "", 1);
    let cursor = Cursor::at(&text, offset, Kind::Workflow);
    let path = cursor.keys_to(cursor.owner()).join(".");
    let word = |word: workflow::source::Span| &text[word.start as usize..word.end as usize];
    match cursor.spot {
        None => "nothing".into(),
        Some(Spot::Key { number, word: at }) => {
            assert_eq!(cursor.outline.entry(number).mark, at);
            format!("key {path} {:?}", word(at))
        }
        Some(Spot::NewKey { word: at, .. }) => format!("new key {path} {:?}", word(at)),
        Some(Spot::Value { word: at, .. }) => format!("value {path} {:?}", word(at)),
        Some(Spot::FlowItem { word: at, .. }) => format!("item {path} {:?}", word(at)),
        Some(Spot::Below { word: at, .. }) => format!("below {path} {:?}", word(at)),
        Some(Spot::Script { .. }) => format!("script {path}"),
    }
}

fn check(marked: &str, expected: &str) {
    assert_eq!(show(marked), expected, "{marked}");
}

#[test]
fn keys_and_values() {
    check("on¦: push\n", "key  \"on\"");
    check("on: pu¦sh\n", "value on \"push\"");
    check("on: ¦\njobs:\n", "value on \"\"");
    check("on:¦\n", "nothing");
    check("a: 'x¦ y' # z\n", "value a \"'x y'\"");
    check("¦", "below  \"\"");
    check("on: push\n¦\n", "below  \"\"");
    check("on: push\njo¦\n", "below  \"jo\"");
}

#[test]
fn lines_below() {
    check("jobs:\n  a:\n    runs-on: x\n    ¦\n", "below jobs.a \"\"");
    check("jobs:\n  a:\n    runs-on: x\n    st¦\n    env:\n", "below jobs.a \"st\"");
    check("jobs:\n  a:\n    runs-on: x\n  ¦\n", "below jobs \"\"");
    check("jobs:\n  a:\n    ¦", "below jobs.a \"\"");
    check("a: b\n  ¦\n", "nothing");
    check("s:\n  - a: 1\n    ¦\n", "below s.* \"\"");
    check("s:\n  - ¦\n", "below s.* \"\"");
    check("s:\n  - r¦\n", "below s.* \"r\"");
    check("s:\n  ¦\n", "below s \"\"");
    check("s:\n- a: 1\n¦\n", "below  \"\"");
    check("s:\n  - a: 1\n  ¦\nt: 1\n", "below s \"\"");
    check("a:\r\n  b: 1\r\n  ¦\r\n", "below a \"\"");
}

#[test]
fn brackets() {
    check("a: [b, ¦]\n", "item a \"\"");
    check("a: [b, c¦d]\n", "item a \"cd\"");
    check("a: [¦\nb: 1\n", "item a \"\"");
    check("a: [b, ¦\nb: 1\n", "item a \"\"");
    check("a: {¦}\n", "new key a \"\"");
    check("a: {b: 1, c¦}\n", "key a \"c\"");
    check("a: {b: ¦}\n", "value a.b \"\"");
    check("a: {b: [x, y¦]}\n", "item a.b \"y\"");
    check("a: {b: [x, {y: z¦}]}\n", "value a.b.*.y \"z\"");
    check("a: [b]¦\n", "nothing");
}

#[test]
fn scripts_and_comments() {
    check("a: |\n  x¦\n", "script a");
    check("a: |\n  x\n  ¦\nb: 1\n", "script a");
    check("a: |\n  x\n¦\n", "below  \"\"");
    check("a: |¦\n  x\n", "nothing");
    check("a: b # ¦\n", "nothing");
    check("# ¦\n", "nothing");
    check("a: # ¦\n", "nothing");
}

#[test]
fn expressions_are_where_the_schema_has_them() {
    let check = |marked: &str, expected: Option<&str>| {
        let offset = marked.find('¦').expect("a place");
        let text = marked.replacen('¦', "", 1);
        let cursor = Cursor::at(&text, offset, Kind::Workflow);
        let found = cursor.expression().map(|span| &text[span.start as usize..span.end as usize]);
        assert_eq!(found, expected, "{marked}");
    };
    let job = "on: push\njobs:\n  a:\n";
    check("name: ${{ ¦ }}\n", None);
    check("run-name: x ${{ ¦ }}\n", Some("  "));
    check(&format!("{job}    if: ¦\n"), Some(""));
    check(&format!("{job}    if: success() && ¦\n"), Some("success() && "));
    check(&format!("{job}    steps:\n      - run: |\n          x ${{{{ ¦\n          y\n"), Some(" "));
    check(&format!("{job}    runs-on: [x, '${{{{ m¦ }}}}']\n"), Some(" m "));
    check(&format!("{job}    env:\n      A: ${{{{ github.¦\n"), Some(" github."));
}

proptest! {
    #[test]
    fn no_place_panics(
        text in r"([a-c\[\]{}:,&*!|>'\x22 \n\r#?-]|: |on: |jobs:\n|\n  |\$\{\{|\}\}|- |ä|😀){0,60}",
        at in any::<proptest::sample::Index>(),
        is_action: bool,
    ) {
        let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        let offset = places[at.index(places.len())];
        let kind = if is_action { Kind::Action } else { Kind::Workflow };
        let cursor = Cursor::at(&text, offset, kind);
        let _ = (cursor.expression(), cursor.place(cursor.owner(), None));
        let word = match cursor.spot {
            Some(Spot::Key { word, .. } | Spot::NewKey { word, .. } | Spot::Value { word, .. } | Spot::FlowItem { word, .. } | Spot::Below { word, .. }) => word,
            Some(Spot::Script { .. }) | None => return Ok(()),
        };
        assert!(text.get(word.start as usize..word.end as usize).is_some());
    }
}
