//! The configuration of actionlint, `actionlint.yaml`, as far as it says something of findings.

use regex::Regex;
use workflow::source::SourceFile;
use workflow::yaml::{self, Limits, Node, NodeKind};

use super::{Configuration, Ignore, Mistake};
use crate::verb::check::glob::Glob;

/// Reads it.
pub(super) fn read(file: &SourceFile) -> Result<Configuration, Mistake> {
    let root = yaml::parse(file, Limits::default()).map_err(|wrong| Mistake {
        span: wrong.primary.unwrap_or_default(),
        message: wrong.message.clone(),
        help: wrong.help.clone(),
    })?;
    let mut configuration = Configuration::default();
    for (key, value) in mapping(&root)? {
        match text(key)? {
            "self-hosted-runner" => {
                for (key, value) in mapping(value)? {
                    match text(key)? {
                        "labels" => configuration.runner_labels = texts(value)?,
                        _ => return Err(unexpected(key)),
                    }
                }
            }
            "config-variables" if matches!(value.kind, NodeKind::Null) => {}
            "config-variables" => configuration.variables = Some(texts(value)?),
            // Nothing here knows the names of secrets.
            "config-secrets" => {}
            "paths" => {
                for (pattern, value) in mapping(value)? {
                    ignores(pattern, value, &mut configuration)?;
                }
            }
            _ => return Err(unexpected(key)),
        }
    }
    Ok(configuration)
}

/// `GLOB: { ignore: [REGEX, …] }`.
fn ignores(pattern: &Node, value: &Node, configuration: &mut Configuration) -> Result<(), Mistake> {
    let glob = Glob::new(text(pattern)?).map_err(|wrong| mistake(pattern, &wrong.to_string()))?;
    for (key, value) in mapping(value)? {
        if text(key)? != "ignore" {
            return Err(unexpected(key));
        }
        for item in items(value)? {
            let regex = Regex::new(text(item)?).map_err(|wrong| mistake(item, &wrong.to_string()))?;
            configuration.ignores.push(Ignore {
                files: vec![glob.clone()],
                codes: Vec::new(),
                message: Some(regex),
            });
        }
    }
    Ok(())
}

fn mistake(node: &Node, message: &str) -> Mistake {
    Mistake { span: node.span, message: message.to_owned(), help: None }
}

fn unexpected(key: &Node) -> Mistake {
    mistake(key, "actionlint has no such key")
}

fn mapping(node: &Node) -> Result<&[(Node, Node)], Mistake> {
    match &node.kind {
        NodeKind::Mapping(entries) => Ok(entries),
        NodeKind::Null => Ok(&[]),
        _ => Err(mistake(node, "a mapping was expected")),
    }
}

fn items(node: &Node) -> Result<&[Node], Mistake> {
    match &node.kind {
        NodeKind::Sequence(items) => Ok(items),
        NodeKind::Null => Ok(&[]),
        _ => Err(mistake(node, "a sequence was expected")),
    }
}

fn text(node: &Node) -> Result<&str, Mistake> {
    match &node.kind {
        NodeKind::String(text) => Ok(text),
        _ => Err(mistake(node, "text was expected")),
    }
}

fn texts(node: &Node) -> Result<Vec<String>, Mistake> {
    items(node)?.iter().map(|item| text(item).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use workflow::source::SourceFile;

    use super::read;

    #[test]
    fn what_it_says_is_taken_over() {
        let text = "self-hosted-runner:\n  labels: [a, 'b-*']\nconfig-variables: [X]\npaths:\n  '**/*.{yml,yaml}':\n    ignore: ['SC\\d+']\n";
        let read = read(&SourceFile::new("actionlint.yaml", text)).expect("it is well formed");
        assert_eq!(read.runner_labels, ["a", "b-*"]);
        assert_eq!(read.variables, Some(vec!["X".to_owned()]));
        assert!(read.ignores[0].is_for("a/b.yaml") && !read.ignores[0].is_for("a/b.md"));
        assert!(read.has_ignores());
    }

    #[test]
    fn mistakes_have_places() {
        let check = |text: &str, start: u32, part: &str| {
            let wrong = read(&SourceFile::new("actionlint.yaml", text)).expect_err("it is wrong");
            assert!(wrong.span.start == start && wrong.message.contains(part), "{}", wrong.message);
        };
        check("x: 1\n", 0, "no such key");
        check("paths: [1]\n", 7, "a mapping was expected");
        check("paths:\n  a:\n    ignore: ['(']\n", 25, "unclosed group");
        check("config-variables: [[]]\n", 19, "text was expected");
    }
}
