//! What is read directly is what the library reads.

use std::path::{Path, PathBuf};

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

use crate::source::SourceFile;
use crate::yaml::build;

/// Whether the text is read directly; if so, the library reads the same.
fn agrees(text: &str, max_depth: usize) -> bool {
    let Some(node) = super::parse(text, max_depth) else { return false };
    let file = SourceFile::new("f.yml", text);
    let expected = build::parse(&file, max_depth).map_err(|diagnostic| diagnostic.message);
    assert_eq!(Ok(format!("{node:?}")), expected.map(|node| format!("{node:?}")), "{text:?}");
    true
}

fn check_direct(text: &str) {
    assert!(agrees(text, 50), "it is not read directly: {text:?}");
}

fn check_left(text: &str) {
    assert!(super::parse(text, 50).is_none(), "it is read directly: {text:?}");
}

#[test]
fn common_ways_of_writing_are_read_directly() {
    for text in [
        "a: b",
        "# x\n---  # y\na: 1\nb: 'c'\n",
        "a:\nb: ~\nc:   # d\nd: true # e\n",
        "a:\n  b: c\n\n  # x\n  d:\n    - e\n    -   f: 1\n        g: 2\n    - - h\n      - i\nj: k\n",
        "a:\n- b # x\n# y\n- c: d\n  e: f\ng: 'h' # i\n",
        "a:\n-   # x\n  b: c\n-\n    d\n",
        "a: b c\n  d\n\n\n  e # f\ng: h\n",
        "a:\n  b: c\n  d:\n    e\n    - f\n  g: h\n",
        "'a': 'b''c'\n\"d\" : \"e\\n\\\"f\\\\\"\n",
        "a: [b, 'c', \"d\", [1, 2], {e: f, g: [h]}, ]\n",
        "a: [\n  b, # c\n  d\n]\ne: {\n  f: g, 'h':i }\nj: []\nk: {}\n",
        "a: |\n  b\n\n    c\n  d\n\n\ne: |-\n  f\n\ng: |+\n  h\n\ni: j\n",
        "a: >\n  b\n  c\n\n  d\n   e\n  f\n\n\n  g\nh: >-\n\n   i\n\n",
        "a: | # b\n    c\n  # d\ne: |\n  f",
        "- a\n".replace("- a", "x:\n- |\n  a\n- >-\n  b\n  c").as_str(),
        "a: ä # ö\n\u{1f600}: é\nb: |\n  ü\n",
        "a: x:y\nb: c#d\ne: -f\ng: ?h\ni: :j\nk: https://l.example/#m\n",
        "if: a == 'b' && c != \"d\"\nrun: ${{ x }} [y] {z}\n",
        "a: 0x1F\nb: 1.5\nc: .inf\nd: null\ne: 1_0\n",
    ] {
        check_direct(text);
    }
}

#[test]
fn what_is_not_known_for_sure_is_left_to_the_library() {
    for text in [
        "",
        "# x\n",
        "a",
        "- a\n",
        "[a]",
        "a: &b c\n",
        "a: *b\n",
        "a: !!str b\n",
        "? a\n: b\n",
        "a: b\r\n",
        "a:\tb\n",
        "\ta: b\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "--- a: b\n",
        "%YAML 1.2\n---\na: b\n",
        "a: b: c\n",
        "a: 'b\n  c'\n",
        "a: 'b' c\n",
        "a: [b]# c\n",
        "a: [b c\n  d]\n",
        "a: [b: c]\n",
        "a: [,]\n",
        "a: {b}\n",
        "a: {b: }\n",
        "a: [b\n",
        "a:\n  - b\n  -\n",
        "a:\n   b: c\n  d: e\n",
        "a: b\n c: d\n",
        "a: |2\n    b\n",
        "a: |\n",
        "a: |\n     \n  b\n",
        "a: \"\\x41\"\n",
        "a: \u{85}\n",
        "a: b\u{7f}\n",
        "a: 0x123456789\n",
        "\u{feff}a: b\n",
        "a: - b\n",
        "a: @b\n",
        "a: `b\n",
        "a: b # c\n  d\n",
    ] {
        check_left(text);
    }
    check_left(&format!("a: {}", "[".repeat(100_000)));
    check_left(&"a: ".repeat(100_000));
    check_left(&format!("a:\n {}", "- ".repeat(100_000)));
    check_left(&format!("a: [{}]", "b, ".repeat(60_000)));
    check_left(&format!("{}: b", "a".repeat(2000)));
}

#[test]
fn depth_is_limited_as_by_the_library() {
    for depth in 0..6 {
        for levels in 0..6 {
            let text = format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
            assert_eq!(
                agrees(&text, depth) && levels > 0,
                levels > 0 && levels < depth,
                "{levels} in {depth}"
            );
        }
    }
}

/// The texts of the blocks of code in a Markdown file, and other files as they are.
fn texts(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a file of the repository is text");
    if path.extension().is_some_and(|extension| extension == "md") {
        return text
            .split("```")
            .skip(1)
            .step_by(2)
            .filter_map(|block| Some(block.split_once('\n')?.1.to_owned()))
            .collect();
    }
    vec![text]
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository").filter_map(Result::ok) {
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("md" | "yml" | "yaml") if path.is_file() => found.push(path),
            _ if path.is_dir() => files(&path, found),
            _ => {}
        }
    }
}

fn texts_of_this_repository() -> Vec<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    ["spec", "examples", "docs", "crates/workflow/src"]
        .iter()
        .for_each(|folder| files(&repository.join(folder), &mut found));
    found.iter().flat_map(|path| texts(path)).collect()
}

#[test]
fn the_files_of_this_repository_are_read_alike() {
    let texts = texts_of_this_repository();
    let direct = texts.iter().filter(|text| agrees(text, 50)).count();
    assert!(direct > 100, "{direct} of {} are read directly", texts.len());
}

/// A piece of a line that is likely to mean something.
fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "a", "b c", "1", "true", "~", "- ", "-", ": ", ":", "? ", "#", " #", " ", "  ", "    ", "\n", "\n\n",
        "'", "\"", "''", "\\", "\\n", "[", "]", "{", "}", ", ", ",", "|", ">", "|-", ">+", "|2", "&", "*",
        "!", "%", "@", "`", "---", "...", "ä", "\t", "\r\n", "a: ", "a:\n", "- a\n", "|\n", ">\n", "[a, ",
        "{a: ", "'a'", "\"a\"", "# c\n", "\u{a0}", "\u{85}", "$",
    ])
}

/// Lines as files have them: an indentation, perhaps a `- `, perhaps a key, a value.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just(""),
        Just("a: "),
        Just("b:  "),
        Just("'c': "),
        Just("d : "),
        Just("e:"),
        Just("a b:")
    ];
    let value = prop_oneof![
        4 => "[a-c1~'\"#:, -]{0,8}",
        2 => Just(String::new()),
        1 => prop_oneof![Just("|"), Just(">"), Just("|-"), Just(">+"), Just("| # x")].prop_map(str::to_owned),
        1 => "[\\[{]([a-c]|, |: |'x'|\"y\"|\\]|\\}|\\[|\\{| # z){0,6}",
        1 => prop_oneof![Just("[a, 'b']"), Just("{a: b}"), Just("\"a\\tb\""), Just("'it''s'"), Just("[")].prop_map(str::to_owned),
    ];
    let dashes =
        prop_oneof![4 => Just(""), 2 => Just("- "), 1 => Just("-"), 1 => Just("-   "), 1 => Just("- - ")];
    let end = prop_oneof![6 => Just("\n"), 1 => Just(" # x\n"), 1 => Just("\n\n"), 1 => Just("  \n"), 1 => Just("")];
    (0_usize..5, dashes, key, value, end).prop_map(|(indentation, dashes, key, value, end)| {
        format!("{}{dashes}{key}{value}{end}", " ".repeat(indentation))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_read_alike(first in "[ab]: ?", lines in proptest::collection::vec(line(), 0..10), depth in 1_usize..8) {
        agrees(&format!("{first}\n{}", lines.concat()), depth);
        agrees(&lines.concat(), depth);
    }

    #[test]
    fn pieces_are_read_alike(pieces in proptest::collection::vec(piece(), 0..24)) {
        agrees(&format!("a: {}", pieces.concat()), 50);
        agrees(&pieces.concat(), 50);
    }

    #[test]
    fn block_scalars_are_read_alike(
        header in "[|>][-+]?( # x)?",
        lines in proptest::collection::vec("( |  |   |    |\t)?( )?(a|b c|# d|- e|f: g|\t)?[ ]{0,3}", 0..8),
        end in "(\nb: c)?\n?",
    ) {
        agrees(&format!("a: {header}\n{}{end}", lines.join("\n")), 50);
        agrees(&format!("a:\n  - b: {header}\n{}{end}", lines.join("\n")), 50);
    }

    #[test]
    fn texts_are_read_alike(text in any::<String>()) {
        agrees(&text, 50);
        agrees(&format!("a: {text}"), 50);
        agrees(&format!("a:\n  - {text}\n  - b\n"), 50);
    }

    #[test]
    fn files_with_mistakes_are_read_alike(
        text in proptest::sample::select(texts_of_this_repository()),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..6, piece()), 1..4),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for (place, removed, inserted) in edits {
            let place = place.index(characters.len() + 1);
            let end = (place + removed).min(characters.len());
            characters.splice(place..end, inserted.chars());
        }
        agrees(&characters.into_iter().collect::<String>(), 50);
    }
}
