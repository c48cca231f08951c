//! Plans in the language of Graphviz.

use super::graph::{Edge, End, Group, Part, Sheet, draw};

const HEAD: &str = "digraph plan {
  graph [compound=true, rankdir=LR, fontname=\"sans-serif\", style=rounded]
  node [shape=box, style=rounded, fontname=\"sans-serif\"]
";

/// The workflows as one directed graph: legs are nodes; matrices, called workflows and workflows are clusters.
#[must_use]
pub fn to_dot(sheets: &[Sheet<'_>]) -> String {
    let mut text = HEAD.to_owned();
    for group in draw(sheets) {
        push_group(&mut text, &group, 1);
    }
    text.push_str("}\n");
    text
}

fn push_group(text: &mut String, group: &Group, depth: usize) {
    let indent = "  ".repeat(depth);
    text.push_str(&format!("{indent}subgraph cluster_{} {{\n", group.number));
    text.push_str(&format!("{indent}  label={}\n", quoted(std::slice::from_ref(&group.label))));
    for part in &group.parts {
        match part {
            Part::Group(inner) => push_group(text, inner, depth + 1),
            Part::Node(node) => {
                let style = if node.is_skipped { ", style=\"rounded,dashed\", fontcolor=gray40" } else { "" };
                text.push_str(&format!(
                    "{indent}  n{} [label={}{style}]\n",
                    node.number,
                    quoted(&node.label)
                ));
            }
        }
    }
    for edge in &group.edges {
        text.push_str(&format!("{indent}  {}\n", edge_line(edge)));
    }
    text.push_str(&format!("{indent}}}\n"));
}

/// Edges lead from node to node; those of a cluster are cut off at its border.
fn edge_line(edge: &Edge) -> String {
    let border = |name: &str, end: End| end.group.map(|group| format!("{name}=cluster_{group}"));
    let borders: Vec<String> =
        [border("ltail", edge.from), border("lhead", edge.to)].into_iter().flatten().collect();
    let attributes = if borders.is_empty() { String::new() } else { format!(" [{}]", borders.join(", ")) };
    format!("n{} -> n{}{attributes}", edge.from.last, edge.to.first)
}

/// A string in quotes that is shown as these lines. Graphviz also reads entities of HTML in it.
fn quoted(lines: &[String]) -> String {
    let escape = |line: &String| line.replace('\\', r"\\").replace('"', "\\\"").replace('&', "&amp;");
    format!("\"{}\"", lines.iter().map(escape).collect::<Vec<_>>().join(r"\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{quoted, to_dot};
    use crate::plan::Sheet;

    /// What Graphviz reads a string in quotes as; none where it is no single string.
    fn read(text: &str) -> Option<String> {
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        let mut read = String::new();
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => return None,
                '\\' => match characters.next()? {
                    'n' => read.push('\n'),
                    escaped @ ('\\' | '"') => read.push(escaped),
                    _ => return None,
                },
                '&' => characters.as_str().strip_prefix("amp;").map(|rest| {
                    characters = rest.chars();
                    read.push('&');
                })?,
                other => read.push(other),
            }
        }
        Some(read)
    }

    proptest! {
        #[test]
        fn strings_are_read_as_they_were(lines in proptest::collection::vec(r#"[a"\\&;<>{}n \u{e9}]{0,8}"#, 1..4)) {
            prop_assert_eq!(read(&quoted(&lines)), Some(lines.join("\n")));
        }

        #[test]
        fn nothing_leaves_its_string(title in r#"[\x00-\x7f]{0,20}"#, reason in r#"[\x00-\x7f]{0,20}"#) {
            let text = to_dot(&[Sheet { title: &title, content: Err(&reason) }]);
            let labels: Vec<&str> = text.lines().filter_map(|line| line.split_once("label=")).map(|(_, l)| l).collect();
            prop_assert_eq!(text.lines().count(), 8);
            prop_assert_eq!(labels.len(), 2);
            let node = labels[1].strip_suffix(", style=\"rounded,dashed\", fontcolor=gray40]");
            prop_assert!(read(labels[0]).is_some() && node.and_then(read).is_some(), "{}", text);
        }
    }
}
