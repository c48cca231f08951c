//! The fake's table against the OpenAPI document of Firecracker, where that is there.

#![expect(clippy::unwrap_used, reason = "its helpers are as much tests as the tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::table::{Definition, ENDPOINTS, Kind, Phase};

/// What the document says of one property.
#[derive(Debug, Default, Clone)]
struct Property {
    kind: String,
    values: Vec<String>,
}

#[derive(Debug, Default)]
struct Described {
    required: Vec<String>,
    properties: BTreeMap<String, Property>,
}

/// The lines of a block that are indented by more than `by` spaces, from the one after `head`.
fn block<'a>(lines: &[&'a str], head: &str, by: usize) -> Vec<&'a str> {
    let start = lines.iter().position(|line| *line == head).unwrap_or_else(|| panic!("no `{head}`"));
    let is_inside = |line: &&&str| line.trim().is_empty() || line.len() - line.trim_start().len() > by;
    lines[start + 1..].iter().take_while(is_inside).copied().collect()
}

fn definition(lines: &[&str], name: &str) -> Described {
    let body = block(&block(lines, "definitions:", 0), &format!("  {name}:"), 2);
    let list = |line: &&&str| line.trim_start().starts_with("- ");
    let item = |line: &&str| line.trim().trim_start_matches("- ").trim_matches('"').to_owned();
    let mut described = Described::default();
    if body.contains(&"    required:") {
        let required = block(&body, "    required:", 4);
        described.required = required.iter().filter(list).map(item).collect();
    }
    if !body.contains(&"    properties:") {
        return described;
    }
    let properties = block(&body, "    properties:", 4);
    for head in properties.iter().filter(|line| line.starts_with("      ") && !line.starts_with("       ")) {
        if head.trim_start().starts_with('#') {
            continue;
        }
        let inner = block(&properties, head, 6);
        let mut property = Property::default();
        for line in inner.iter().filter(|line| line.starts_with("        ") && !line.starts_with("         "))
        {
            match line.trim().split_once(": ") {
                Some(("type", kind)) => property.kind = kind.to_owned(),
                Some(("$ref", target)) => {
                    property.kind = target.trim_matches('"').rsplit('/').next().unwrap().to_owned();
                }
                Some(("enum", values)) => {
                    let values = values.trim_matches(['[', ']']).split(", ");
                    property.values = values.map(|value| value.trim_matches('"').to_owned()).collect();
                }
                _ => {}
            }
        }
        if inner.contains(&"        enum:") {
            property.values = block(&inner, "        enum:", 8).iter().filter(list).map(item).collect();
        }
        if property.kind == "array" {
            let target = inner.iter().find_map(|line| line.trim().strip_prefix("$ref: ")).unwrap_or_default();
            property.kind = format!("array of {}", target.trim_matches('"').rsplit('/').next().unwrap());
        }
        described.properties.insert(head.trim().trim_end_matches(':').to_owned(), property);
    }
    described
}

fn compare(lines: &[&str], ours: &Definition) {
    let theirs = definition(lines, ours.name);
    let names: Vec<_> = ours.fields.iter().map(|field| field.name).collect();
    assert_eq!(theirs.properties.len(), names.len(), "{}: {:?}", ours.name, theirs.properties.keys());
    for field in ours.fields {
        let place = format!("{}.{}", ours.name, field.name);
        let property = theirs.properties.get(field.name).unwrap_or_else(|| panic!("{place} is not there"));
        assert_eq!(theirs.required.iter().any(|name| name == field.name), field.is_required, "{place}");
        let (kind, values): (String, &[&str]) = match field.kind {
            Kind::Text => ("string".to_owned(), &[]),
            Kind::Number => ("integer".to_owned(), &[]),
            Kind::Flag => ("boolean".to_owned(), &[]),
            Kind::Texts => ("object".to_owned(), &[]),
            Kind::OneOf(values) => ("string".to_owned(), values),
            Kind::Object(inner) => {
                compare(lines, inner);
                (inner.name.to_owned(), &[])
            }
            Kind::List(inner) => {
                compare(lines, inner);
                (format!("array of {}", inner.name), &[])
            }
        };
        // An enumeration that has a name of its own.
        let property = match definition_values(lines, &property.kind) {
            Some(values) => Property { kind: "string".to_owned(), values },
            None => property.clone(),
        };
        assert_eq!(
            (property.kind.as_str(), property.values.as_slice()),
            (kind.as_str(), strings(values).as_slice()),
            "{place}"
        );
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn definition_values(lines: &[&str], name: &str) -> Option<Vec<String>> {
    let all = block(lines, "definitions:", 0);
    let head = format!("  {name}:");
    let body = all.contains(&head.as_str()).then(|| block(&all, &head, 2))?;
    body.contains(&"    enum:").then(|| {
        let items =
            block(&body, "    enum:", 4).into_iter().filter(|line| line.trim_start().starts_with("- "));
        items.map(|line| line.trim().trim_start_matches("- ").to_owned()).collect()
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn the_fakes_table_is_the_documents() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    let Ok(text) = std::fs::read_to_string(folder.join("firecracker-openapi.yaml")) else {
        eprintln!("skipped: no firecracker-openapi.yaml in {}", folder.display());
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    let paths = block(&lines, "paths:", 0);
    for endpoint in ENDPOINTS {
        let path = block(&paths, &format!("  {}:", endpoint.path), 2);
        let method = block(&path, &format!("    {}:", endpoint.method.to_lowercase()), 4);
        let text = method.join("\n");
        let asked = text.split("responses:").next().unwrap();
        let body = asked.split("#/definitions/").nth(1).map(|rest| rest.split('"').next().unwrap());
        assert_eq!(
            body,
            endpoint.body.map(|definition| definition.name),
            "{} {}",
            endpoint.method,
            endpoint.path
        );
        if let Some(definition) = endpoint.body {
            compare(&lines, definition);
        }
        if text.contains("Pre-boot only") {
            assert_eq!(endpoint.phases, [Phase::BeforeBoot], "{}", endpoint.path);
        }
        if text.contains("Post-boot only") {
            assert!(!endpoint.phases.contains(&Phase::BeforeBoot), "{}", endpoint.path);
        }
    }
}
