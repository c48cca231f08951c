//! Plans as Mermaid flowcharts, which GitHub draws in Markdown.

use super::graph::{Edge, End, Group, Part, Sheet, draw};

/// The workflows as one flowchart: legs are nodes; matrices, called workflows and workflows are subgraphs.
#[must_use]
pub fn to_mermaid(sheets: &[Sheet<'_>]) -> String {
    let mut text = "flowchart LR\n  classDef skipped stroke-dasharray:4 3,opacity:0.6\n".to_owned();
    for group in draw(sheets) {
        push_group(&mut text, &group, 1);
    }
    text
}

fn push_group(text: &mut String, group: &Group, depth: usize) {
    let indent = "  ".repeat(depth);
    let label = quoted(std::slice::from_ref(&group.label));
    text.push_str(&format!("{indent}subgraph g{}[{label}]\n{indent}  direction LR\n", group.number));
    for part in &group.parts {
        match part {
            Part::Group(inner) => push_group(text, inner, depth + 1),
            Part::Node(node) => {
                let class = if node.is_skipped { ":::skipped" } else { "" };
                text.push_str(&format!("{indent}  n{}[{}]{class}\n", node.number, quoted(&node.label)));
            }
        }
    }
    for Edge { from, to } in &group.edges {
        text.push_str(&format!("{indent}  {} --> {}\n", name(*from), name(*to)));
    }
    text.push_str(&format!("{indent}end\n"));
}

fn name(end: End) -> String {
    end.group.map_or_else(|| format!("n{}", end.first), |group| format!("g{group}"))
}

/// A string in quotes that is shown as these lines. All that Mermaid, Markdown or HTML could read stands as `#NUMBER;`.
fn quoted(lines: &[String]) -> String {
    let escape = |line: &String| {
        let mut escaped = String::new();
        for (place, character) in line.char_indices() {
            let begins = line[..place].chars().all(|before| before.is_ascii_digit() || before == ' ');
            let is_plain = match character {
                '.' | '-' | ')' => !begins,
                ' ' | ',' | '(' | ':' | '/' | '=' => true,
                other => other.is_alphanumeric(),
            };
            if is_plain {
                escaped.push(character);
            } else {
                escaped.push_str(&format!("#{};", u32::from(character)));
            }
        }
        escaped
    };
    let text = lines.iter().map(escape).collect::<Vec<_>>().join("<br/>");
    // A label without text is a mistake to Mermaid.
    if text.trim().is_empty() { "\"#160;\"".to_owned() } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{quoted, to_mermaid};
    use crate::plan::Sheet;

    fn check(line: &str, expected: &str) {
        assert_eq!(quoted(&[line.to_owned()]), expected);
    }

    #[test]
    fn what_mermaid_reads_is_escaped() {
        check("build (linux, 20.x)", "\"build (linux, 20.x)\"");
        check("a \"b\" #c `d`", "\"a #34;b#34; #35;c #96;d#96;\"");
        check("1. first", "\"1#46; first\"");
        check("- item", "\"#45; item\"");
        check("<script>", "\"#60;script#62;\"");
        check("", "\"#160;\"");
        assert_eq!(quoted(&["a".to_owned(), "b".to_owned()]), "\"a<br/>b\"");
    }

    proptest! {
        #[test]
        fn strings_are_read_as_they_were(line in r##"[a-c1 .()"#;<>&`*_\[\]{}|\\\u{e9}-]{1,12}"##) {
            let text = quoted(std::slice::from_ref(&line));
            let inner = text.trim_matches('"');
            let mut read = String::new();
            for (count, piece) in inner.split('#').enumerate() {
                let rest = if count == 0 { piece } else {
                    let (number, rest) = piece.split_once(';').expect("a number ends");
                    let number: u32 = number.parse().expect("it is a number");
                    read.push(char::from_u32(number).expect("it is a character"));
                    rest
                };
                read.push_str(rest);
            }
            let expected = if line.trim().is_empty() { "\u{a0}" } else { &line };
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn nothing_leaves_its_string(title in r#"[\x00-\x7f]{0,20}"#, reason in r#"[\x00-\x7f]{0,20}"#) {
            let text = to_mermaid(&[Sheet { title: &title, content: Err(&reason) }]);
            prop_assert_eq!(text.lines().count(), 6);
            prop_assert!(text.matches('"').count() == 4, "{}", text);
        }
    }
}
