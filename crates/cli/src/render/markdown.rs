//! The Markdown of our own pages for a terminal: paragraphs filled, code marked by colour or indentation, no fences.

use std::sync::LazyLock;

use regex::Regex;

use super::style::Style;

/// Columns of a line of prose.
const WIDTH: usize = 96;

/// A page for the terminal.
pub(crate) fn to_terminal(page: &str, style: Style) -> String {
    let mut text = String::new();
    let mut paragraph = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            flush(&mut paragraph, &mut text, style);
            let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            text.push_str(&block(info, &body, style));
        } else if line.trim().is_empty() {
            flush(&mut paragraph, &mut text, style);
        } else {
            if line.starts_with("* ") || line.starts_with("- ") || line.starts_with('|') {
                flush_line(&mut paragraph, &mut text, style);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    flush(&mut paragraph, &mut text, style);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Ends a paragraph with an empty line.
fn flush(paragraph: &mut String, text: &mut String, style: Style) {
    if !paragraph.is_empty() {
        flush_line(paragraph, text, style);
        text.push('\n');
    }
}

fn flush_line(paragraph: &mut String, text: &mut String, style: Style) {
    if paragraph.is_empty() {
        return;
    }
    let filled = fill(&without_links(&std::mem::take(paragraph)));
    text.push_str(&inline(&filled, style));
    text.push('\n');
}

/// Text in lines of at most [`WIDTH`] columns; those of a list's item are indented.
fn fill(text: &str) -> String {
    let indent = if text.starts_with("* ") || text.starts_with("- ") { "  " } else { "" };
    let mut filled = String::new();
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            filled.push('\n');
            filled.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            filled.push(' ');
            column += 1;
        }
        filled.push_str(word);
        column += length;
    }
    filled
}

/// Links `[text](address)` as `text (address)`, outside of code; links to other rules, whose text is code, as that code.
fn without_links(text: &str) -> String {
    static RULE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[(`[^`\]]+`)\]\(#[^)]*\)").expect("it is a regular expression"));
    let text = RULE.replace_all(text, "$1");
    let parts = text.split('`').enumerate();
    let parts: Vec<String> = parts
        .map(|(index, part)| if index % 2 == 0 { without_links_in_prose(part) } else { part.to_owned() })
        .collect();
    parts.join("`")
}

fn without_links_in_prose(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let parts = link.split_once("](").and_then(|(words, rest)| {
            let (address, rest) = rest.split_once(')')?;
            (!words.contains(['[', ']'])).then_some((words, address, rest))
        });
        match parts {
            Some((words, address, behind)) => {
                plain.push_str(&format!("{words} ({address})"));
                rest = behind;
            }
            None => {
                plain.push('[');
                rest = link;
            }
        }
    }
    plain + rest
}

/// Text in which code is coloured; without colours it keeps its backticks.
pub(crate) fn inline(text: &str, style: Style) -> String {
    if !style.colours {
        return text.to_owned();
    }
    let mut parts = text.split('`');
    let mut painted = parts.next().unwrap_or_default().to_owned();
    let mut code = true;
    for part in parts {
        painted.push_str(&if code { style.cyan(part) } else { part.to_owned() });
        code = !code;
    }
    painted
}

/// A block: a file with the numbers of its lines, findings, or other code.
fn block(info: &str, body: &[&str], style: Style) -> String {
    let mut words = info.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let title = match (kind, words.next()) {
        ("yaml", Some(path)) => Some(format!("{path}:")),
        ("findings", _) => Some("finds:".to_owned()),
        ("fixed", _) => Some("after `--fix`:".to_owned()),
        _ => None,
    };
    let mut text = title.map(|title| format!("  {}\n", inline(&title, style))).unwrap_or_default();
    for (index, line) in body.iter().enumerate() {
        let line = match kind {
            "yaml" | "fixed" => format!("{} {line}", style.dim(&format!("{:4} │", index + 1))),
            "findings" => format!("    {}", style.yellow(line)),
            _ => format!("    {line}"),
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::to_terminal;
    use crate::render::style::Style;

    fn check(page: &str, expected: &str) {
        assert_eq!(to_terminal(page, Style { colours: false }), expected);
    }

    #[test]
    fn paragraphs_are_filled_and_lists_indented() {
        check("One\ntwo.\n\n\nThree\n", "One two.\n\nThree\n");
        check("* a\n  b\n* c\n", "* a b\n* c\n");
        let words = "word ".repeat(30);
        let first = "word ".repeat(19);
        check(&words, &format!("{}\n{}\n", first.trim_end(), "word ".repeat(11).trim_end()));
    }

    #[test]
    fn links_show_their_address() {
        check(
            "See [a page](https://x.y/z), or a[0] and `b[1](2)`.",
            "See a page (https://x.y/z), or a[0] and `b[1](2)`.\n",
        );
        check("It is told by [`other-rule`](#other-rule).", "It is told by `other-rule`.\n");
    }

    #[test]
    fn blocks_have_no_fences() {
        let page = "Text:\n\n```yaml\non: push\n\nx: 1\n```\n\n```findings\n3:1 no\n```\n";
        check(page, "Text:\n\n   1 │ on: push\n   2 │\n   3 │ x: 1\n\n  finds:\n    3:1 no\n");
    }

    #[test]
    fn code_is_coloured_instead_of_quoted() {
        let text = to_terminal("a `b c` d", Style { colours: true });
        assert_eq!(text, "a \u{1b}[36mb c\u{1b}[0m d\n");
    }
}
