//! The outline, beside what YAML says of whole files.

use proptest::prelude::{any, proptest};
use workflow::source::SourceFile;
use workflow::yaml::{self, Limits, Node, NodeKind};

use super::{Kind, Outline, Style};

/// Paths with their values, one a line.
fn show(text: &str) -> Vec<String> {
    let outline = Outline::of(text);
    let entries = 0..outline.entries().len();
    entries
        .map(|number| {
            let path: Vec<_> = outline
                .path(number)
                .into_iter()
                .map(|segment| match segment {
                    super::Segment::Key(name) => name,
                    super::Segment::Item(number) => format!("-{number}"),
                })
                .collect();
            let entry = outline.entry(number);
            let value = &text[entry.value.start as usize..entry.value.end as usize];
            match (&entry.kind, entry.style) {
                (Kind::Stray, _) => format!(
                    "{} ? {}",
                    path.join("."),
                    &text[entry.mark.start as usize..entry.mark.end as usize]
                ),
                (_, Style::None) => path.join("."),
                (_, style) => format!("{} {style:?} {value:?}", path.join(".")),
            }
        })
        .collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(show(text), expected, "{text:?}");
}

#[test]
fn mappings_and_sequences() {
    check(
        "on: push\njobs:\n  a:\n    needs: [b]\n",
        &["on Plain \"push\"", "jobs", "jobs.a", "jobs.a.needs Flow \"[b]\"", "jobs.a.needs.-0 Plain \"b\""],
    );
    check(
        "s:\n- a: 1\n  b: 2\n- c\nt:\n  - - x\n    - y\n",
        &[
            "s",
            "s.-0",
            "s.-0.a Plain \"1\"",
            "s.-0.b Plain \"2\"",
            "s.-1 Plain \"c\"",
            "t",
            "t.-0",
            "t.-0.-0 Plain \"x\"",
            "t.-0.-1 Plain \"y\"",
        ],
    );
}

#[test]
fn scalars_go_on_over_lines() {
    check(
        "a: |\n  x: 1\n\n  - y\nb: 'p\n  q: r'\nc: d\n  e\nf:\n  g\n",
        &[
            "a Block \"|\\n  x: 1\\n\\n  - y\"",
            "b Quoted \"'p\\n  q: r'\"",
            "c Plain \"d\\n  e\"",
            "f Plain \"g\"",
        ],
    );
    check(
        "- run: >-\n    x\n  if: y # z\n- \"k k\": 'it''s: x'\n",
        &["-0", "-0.run Block \">-\\n    x\"", "-0.if Plain \"y\"", "-1", "-1.k k Quoted \"'it''s: x'\""],
    );
}

#[test]
fn flow_collections() {
    check(
        "a: {b: [c, {d: e}], 'f' : g}\nh: [\n  i, # j\n  k: l\n]\nm: 1\n",
        &[
            "a Flow \"{b: [c, {d: e}], 'f' : g}\"",
            "a.b Flow \"[c, {d: e}]\"",
            "a.b.-0 Plain \"c\"",
            "a.b.-1 Flow \"{d: e}\"",
            "a.b.-1.d Plain \"e\"",
            "a.f Plain \"g\"",
            "h Flow \"[\\n  i, # j\\n  k: l\\n]\"",
            "h.-0 Plain \"i\"",
            "h.-1",
            "h.-1.k Plain \"l\"",
            "m Plain \"1\"",
        ],
    );
}

#[test]
fn what_is_broken_does_not_hide_the_rest() {
    check("a: [b, c\nd: 1\n", &["a Flow \"[b, c\"", "a.-0 Plain \"b\"", "a.-1 Plain \"c\"", "d Plain \"1\""]);
    check("a: 'b\nd: \"1\n", &["a Quoted \"'b\"", "d Quoted \"\\\"1\""]);
    check("a:\n  b: 1\n  ru\n  c: 2\n", &["a", "a.b Plain \"1\"", "a ? ru", "a.c Plain \"2\""]);
    check("a:\n  ru\n  c: 2\n", &["a Plain \"ru\"", "a.c Plain \"2\""]);
    check("a: b\n  c: d\n", &["a Plain \"b\"", "a.c Plain \"d\""]);
    check("a:\n    b: 1\n  c: 2\n", &["a", "a.b Plain \"1\"", "a.c Plain \"2\""]);
    check("if: !x\nb: &y z\n", &["if Plain \"!x\"", "b Plain \"z\""]);
}

#[test]
fn line_ends_and_indentation_of_all_kinds() {
    check("a:\r\n  b: 1\r\nc: |\r\n  x\r\n", &["a", "a.b Plain \"1\"", "c Block \"|\\r\\n  x\""]);
    check("a:\n\tb: ä😀\n", &["a", "a.b Plain \"ä😀\""]);
    check("---\na: 1\n...\n", &["a Plain \"1\""]);
    check("# a: 1\n\n  \n", &[]);
}

/// Paths of keys and items as YAML has them.
fn of_yaml(node: &Node, path: &str, found: &mut Vec<String>) {
    match &node.kind {
        NodeKind::Mapping(entries) => {
            for (key, value) in entries {
                let NodeKind::String(name) = &key.kind else { continue };
                let path = format!("{path}.{name}");
                found.push(path.clone());
                of_yaml(value, &path, found);
            }
        }
        NodeKind::Sequence(items) => {
            for (number, item) in items.iter().enumerate() {
                let path = format!("{path}.-{number}");
                found.push(path.clone());
                of_yaml(item, &path, found);
            }
        }
        _ => {}
    }
}

/// Whole files have the entries that YAML has.
fn agrees_with_yaml(text: &str) {
    let file = SourceFile::new("f", text);
    let node = yaml::parse(&file, Limits::default()).expect("the file is whole");
    let mut expected = Vec::new();
    of_yaml(&node, "", &mut expected);
    let outline = Outline::of(text);
    let found: Vec<String> = (0..outline.entries().len())
        .map(|number| {
            let segments = outline.path(number).into_iter();
            segments
                .map(|segment| match segment {
                    super::Segment::Key(name) => format!(".{name}"),
                    super::Segment::Item(number) => format!(".-{number}"),
                })
                .collect()
        })
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn workflows_of_this_repository_have_the_entries_of_yaml() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut folders = vec![examples];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                agrees_with_yaml(&std::fs::read_to_string(path).expect("a file"));
                count += 1;
            }
        }
    }
    assert!(count > 0);
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = show(&text);
    }

    #[test]
    fn no_yaml_like_text_panics(text in r"([a-c\[\]{}:,&*!|>'\x22\\ \n\r\t#?-]|: |\$\{\{|\}\}|  |- |ä|😀|---){0,80}") {
        let outline = Outline::of(&text);
        for (number, entry) in outline.entries().iter().enumerate() {
            assert!(entry.parent.is_none_or(|parent| parent < number));
            assert!(text.get(entry.mark.start as usize..entry.mark.end as usize).is_some());
            assert!(text.get(entry.value.start as usize..entry.value.end as usize).is_some());
        }
        let _ = show(&text);
    }
}
