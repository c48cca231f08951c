//! Findings as SARIF 2.1.0, with what GitHub's code scanning reads of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use workflow::diagnostic::{Diagnostic, Fix, Severity};
use workflow::rule::{self, Group, Rule};
use workflow::source::{Position, SourceFile, Span};

use super::Place;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Bytes of a fingerprint.
const FINGERPRINT: usize = 16;

/// The whole answer.
#[derive(Debug, Default)]
pub(crate) struct Log {
    results: Vec<Value>,
    codes: BTreeSet<&'static str>,
}

impl Log {
    /// Adds the results of one file.
    pub(crate) fn add(&mut self, results: Vec<Value>, codes: impl IntoIterator<Item = &'static str>) {
        self.results.extend(results);
        self.codes.extend(codes);
    }

    /// The log of one run, with the rules that found something.
    pub(crate) fn into_json(self) -> Value {
        let rules: Vec<&Rule> = self.codes.iter().filter_map(|code| rule::find(code)).collect();
        let index: BTreeMap<&str, usize> =
            rules.iter().enumerate().map(|(index, rule)| (rule.code, index)).collect();
        let mut results = self.results;
        for result in &mut results {
            let index = result["ruleId"].as_str().and_then(|code| index.get(code));
            if let Some(index) = index {
                result["ruleIndex"] = json!(index);
            }
        }
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "firedog",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules.into_iter().map(descriptor).collect::<Vec<_>>(),
                } },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn descriptor(rule: &Rule) -> Value {
    let mut properties = json!({ "tags": [rule.group.name()] });
    if rule.group == Group::Security {
        // What GitHub calls high begins at 7, medium at 4.
        properties["security-severity"] = json!(if rule.severity == Severity::Info { "4.0" } else { "7.0" });
    } else {
        properties["problem.severity"] = json!(match rule.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "recommendation",
        });
    }
    json!({
        "id": rule.code,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": rule.summary },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": properties,
    })
}

/// The results for the findings in one file.
pub(crate) fn to_result(found: &[Diagnostic], file: &SourceFile) -> Vec<Value> {
    let mut seen = HashMap::new();
    found.iter().map(|finding| result(finding, file, &mut seen)).collect()
}

fn result(finding: &Diagnostic, file: &SourceFile, seen: &mut HashMap<String, usize>) -> Value {
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    let fingerprint = fingerprint(finding, file);
    let count = seen.entry(fingerprint.clone()).or_default();
    *count += 1;
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": location(&finding.file, Place::of(finding, file)) }],
        "partialFingerprints": { "firedog/v1": format!("{fingerprint}:{count}") },
    });
    if !finding.labels.is_empty() {
        let related = finding.labels.iter().enumerate().map(|(index, label)| {
            json!({
                "id": index,
                "message": { "text": label.message },
                "physicalLocation": location(&finding.file, Place::of_span(file, label.span)),
            })
        });
        result["relatedLocations"] = related.collect();
    }
    if let Some(fix) = &finding.fix {
        result["fixes"] = json!([change(fix, file)]);
    }
    result
}

fn location(name: &str, place: Place) -> Value {
    json!({
        "artifactLocation": { "uri": uri(name), "uriBaseId": "%SRCROOT%" },
        "region": region(place),
    })
}

fn region(Place { start, end }: Place) -> Value {
    let Position { line, column } = start;
    json!({ "startLine": line, "startColumn": column, "endLine": end.line, "endColumn": end.column })
}

fn change(fix: &Fix, file: &SourceFile) -> Value {
    let replacement = |span: Span, text: &str| {
        json!({
            "deletedRegion": region(Place::of_span(file, span)),
            "insertedContent": { "text": text },
        })
    };
    let replacements: Vec<_> = fix.edits.iter().map(|edit| replacement(edit.span, &edit.text)).collect();
    json!({
        "description": { "text": fix.title },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(file.name()), "uriBaseId": "%SRCROOT%" },
            "replacements": replacements,
        }],
    })
}

/// A path as a relative reference of URIs: `/` stays, what may not stand in one is percent-encoded.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

/// What stays the same when lines above change: the rule, the file and the text of the line.
fn fingerprint(finding: &Diagnostic, file: &SourceFile) -> String {
    let line = (finding.file == *file.name()).then(|| {
        let start = finding.primary.unwrap_or_default().start as usize;
        let text = file.text();
        let before = text.get(..start).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
    });
    let mut hash = Sha256::new();
    for part in [finding.code, &*finding.file, line.unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..FINGERPRINT].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use workflow::diagnostic::{Diagnostic, Edit, Severity};
    use workflow::source::{SourceFile, Span};

    use super::{Log, to_result, uri};

    fn finding(file: &SourceFile, span: Span) -> Diagnostic {
        Diagnostic::new("unexpected-key", Severity::Error, file, Some(span), "Unexpected value 'äb'")
    }

    #[test]
    fn a_log_has_rules_places_and_changes() {
        let file = SourceFile::new(".github/workflows/a b.yml", "on: push\nä: äb\n");
        let edit = Edit { span: Span::new(13, 16), text: "x".into() };
        let found = [finding(&file, Span::new(13, 16)).with_help("h").with_fix("replace it", vec![edit])];
        let mut log = Log::default();
        log.add(to_result(&found, &file), ["unexpected-key"]);
        let log = log.into_json();
        let run = &log["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "unexpected-key");
        let result = &run["results"][0];
        let region = json!({ "startLine": 2, "startColumn": 4, "endLine": 2, "endColumn": 6 });
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["region"], region);
        assert_eq!(location["artifactLocation"]["uri"], ".github/workflows/a%20b.yml");
        assert_eq!(result["fixes"][0]["artifactChanges"][0]["replacements"][0]["deletedRegion"], region);
        assert_eq!((&result["level"], &result["ruleIndex"]), (&json!("error"), &json!(0)));
    }

    #[test]
    fn fingerprints_outlive_lines_above() {
        let prints = |text: &str, spans: &[Span]| -> Vec<String> {
            let file = SourceFile::new("f", text);
            let found: Vec<_> = spans.iter().map(|span| finding(&file, *span)).collect();
            let print = |result: &serde_json::Value| result["partialFingerprints"]["firedog/v1"].to_string();
            to_result(&found, &file).iter().map(print).collect()
        };
        let before = prints("a: 1\nb: 1\na: 1\n", &[Span::new(0, 1), Span::new(5, 6), Span::new(10, 11)]);
        let after = prints("\n\na: 1\nb: 1\na: 1\n", &[Span::new(2, 3), Span::new(7, 8), Span::new(12, 13)]);
        assert_eq!(before, after);
        assert!(before[0] != before[1] && before[0] != before[2]);
    }

    #[test]
    fn paths_become_references() {
        let check = |path: &str, expected: &str| assert_eq!(uri(path), expected);
        check("./a/b.yml", "a/b.yml");
        check("a b/ä%.yml", "a%20b/%C3%A4%25.yml");
    }
}
