//! Runs the examples of all pages.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{ActionResolution, Findings, ResolveAction, Settings, check_action, check_workflow};
use crate::diagnostic::{Diagnostic, Edit};
use crate::model::Action;
use crate::read::{ReadOptions, parse_action};
use crate::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use crate::rule::{self, Rule};
use crate::source::SourceFile;

/// The file of an example that says which commits versions are.
const LOCK: &str = ".github/lock";

/// A repository of an example: paths and texts.
struct Repository(Vec<(String, String)>);

impl Repository {
    fn file(&self, path: &str) -> Option<SourceFile> {
        let (name, text) = self.0.iter().find(|(name, _)| name == path)?;
        Some(SourceFile::new(name.as_str(), text.as_str()))
    }

    fn action(&self, folder: &str) -> Option<Action> {
        let file = self.file(&format!("{folder}/action.yml"))?;
        parse_action(&file, &ReadOptions::default()).value
    }
}

impl ResolveWorkflow for Repository {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        match self.file(&reference.path) {
            Some(file) if reference.repository.is_none() => Resolution::Found(file),
            _ => Resolution::Unknown,
        }
    }
}

impl ResolveAction for Repository {
    fn resolve(&self, uses: &str) -> ActionResolution {
        let Some(folder) = uses.strip_prefix("./") else { return ActionResolution::Unknown };
        match self.file(&format!("{folder}/action.yml")).is_some().then(|| self.action(folder)) {
            Some(Some(action)) => ActionResolution::Found(Arc::new(action)),
            Some(None) => ActionResolution::Unknown,
            None => ActionResolution::Missing,
        }
    }

    /// From the lines `REFERENCE: COMMIT` of the example's lock.
    fn commit(&self, uses: &str) -> Option<String> {
        let (_, lock) = self.0.iter().find(|(name, _)| name == LOCK)?;
        let line = lock.lines().find_map(|line| line.strip_prefix(uses)?.strip_prefix(": "));
        line.map(str::to_owned)
    }

    fn findings(&self, uses: &str) -> Vec<Diagnostic> {
        let file = uses.strip_prefix("./").and_then(|folder| self.file(&format!("{folder}/action.yml")));
        let levels = HashMap::new();
        let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: self };
        let checked = file.map(|file| check_action(&file, &ReadOptions::default(), &settings).diagnostics);
        checked.unwrap_or_default()
    }

    fn has_file(&self, metadata: &str, path: &str) -> Option<bool> {
        let path = Path::new(metadata).parent()?.join(path).display().to_string();
        Some(self.0.iter().any(|(name, _)| *name == path || name.starts_with(&format!("{path}/"))))
    }
}

/// An example of a page.
#[derive(Default)]
struct Example {
    files: Vec<(String, String)>,
    findings: Vec<String>,
    fixed: Option<String>,
}

/// The examples of a page, in its order.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = page.lines();
    let mut complete = true;
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut words = info.split(' ');
        match words.next() {
            Some("yaml") => {
                let path = words.next();
                // A file without a path begins an example, as does one behind findings.
                if complete || path.is_none() {
                    examples.push(Example::default());
                }
                complete = false;
                let path = path.unwrap_or(".github/workflows/example.yml").to_owned();
                let example = examples.last_mut().expect("an example was begun");
                example.files.push((path, body.join("\n") + "\n"));
            }
            Some("findings") => {
                complete = true;
                let example = examples.last_mut().expect("findings follow a file");
                example.findings = body.iter().map(|line| (*line).to_owned()).collect();
            }
            Some("fixed") => {
                let example = examples.last_mut().expect("a fixed file follows an example");
                example.fixed = Some(body.join("\n") + "\n");
            }
            _ => {}
        }
    }
    examples
}

fn is_action(path: &str) -> bool {
    path.ends_with("action.yml")
}

/// The findings of all files of a repository.
fn check(repository: &Repository) -> Vec<(SourceFile, Vec<Diagnostic>)> {
    let levels = HashMap::new();
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: repository };
    let options = ReadOptions { resolver: repository, ..ReadOptions::default() };
    let files = repository.0.iter().filter(|(name, _)| name != LOCK);
    let files = files.map(|(name, text)| SourceFile::new(name.as_str(), text.as_str()));
    files
        .map(|file| {
            let found = match is_action(file.name()) {
                true => check_action(&file, &options, &settings).diagnostics,
                false => check_workflow(&file, &options, &settings).diagnostics,
            };
            (file, found)
        })
        .collect()
}

fn check_example(rule: &Rule, number: usize, example: Example) {
    let place = format!("{} example {number}", rule.code);
    let several = example.files.len() > 1;
    let repository = Repository(example.files);
    let checked = check(&repository);
    let mut found = Vec::new();
    for (file, diagnostics) in &checked {
        for finding in diagnostics.iter().filter(|finding| finding.code == rule.code) {
            let name = if several { format!("{}:", file.name()) } else { String::new() };
            found.push(format!("{name}{}:{} {}", finding.line, finding.column, finding.message));
        }
    }
    let fits = |(expected, found): (&String, &String)| {
        let (at, part) = expected.split_once(' ').unwrap_or((expected, ""));
        found.starts_with(&format!("{at} ")) && found.contains(part)
    };
    assert!(
        found.len() == example.findings.len() && example.findings.iter().zip(&found).all(fits),
        "{place}: expected\n{}\nfound\n{}\nall findings: {:#?}",
        example.findings.join("\n"),
        found.join("\n"),
        checked.iter().flat_map(|(_, found)| found).collect::<Vec<_>>(),
    );
    if let Some(fixed) = example.fixed {
        let (file, diagnostics) = &checked[0];
        let fixes = diagnostics.iter().filter(|finding| finding.code == rule.code);
        let edits = fixes.filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| fix.edits.clone());
        assert_eq!(apply(file.text(), edits.collect()), fixed, "{place}");
    }
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.span.start);
    let mut text = text.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    text
}

#[test]
fn examples_of_all_pages() {
    for rule in rule::all() {
        for (index, example) in examples(rule.page).into_iter().enumerate() {
            check_example(rule, index + 1, example);
        }
    }
}

/// Each fix by itself: GitHub refuses no more than before, and the finding is gone.
#[test]
fn fixes_of_all_examples_mend_and_break_nothing() {
    let mut fixes = 0;
    for example in rule::all().flat_map(|rule| examples(rule.page)) {
        let repository = Repository(example.files);
        for (at, (file, found)) in check(&repository).iter().enumerate() {
            for finding in found.iter().filter(|finding| finding.file == *file.name()) {
                let Some(fix) = &finding.fix else { continue };
                let mut changed = repository.0.clone();
                changed[at].1 = apply(file.text(), fix.edits.clone());
                let after = &check(&Repository(changed))[at].1;
                let errors = |found: &[Diagnostic]| found.iter().filter(|it| it.is_error()).count();
                let is_same = |it: &&Diagnostic| it.code == finding.code && it.message == finding.message;
                let same = |found: &[Diagnostic]| found.iter().filter(is_same).count();
                assert!(errors(after) <= errors(found), "{}: {}\n{after:#?}", finding.code, fix.title);
                assert!(same(after) < same(found), "{}: {}\n{after:#?}", finding.code, fix.title);
                fixes += 1;
            }
        }
    }
    assert!(fixes > 5, "only {fixes} fixes are shown in the pages");
}

#[test]
fn every_rule_of_the_lints_has_an_example_with_a_finding() {
    for rule in super::RULES {
        let shown = examples(rule.page).iter().any(|example| !example.findings.is_empty());
        assert!(shown, "{} has no example with findings", rule.code);
    }
}

#[test]
fn codes_are_told_apart_and_in_order() {
    for rules in
        [crate::read::RULES.iter().collect::<Vec<_>>(), super::RULES.to_vec(), super::TOOL_RULES.to_vec()]
    {
        assert!(rules.is_sorted_by(|left, right| left.code < right.code));
    }
    for rule in rule::all() {
        assert_eq!(rule::all().filter(|other| other.code == rule.code).count(), 1, "{}", rule.code);
        let severity = rule.severity == crate::diagnostic::Severity::Error;
        assert_eq!(severity, rule.group == rule::Group::Syntax, "{}: only GitHub refuses files", rule.code);
    }
}

#[test]
#[should_panic(expected = "check of a rule")]
fn findings_belong_to_rules() {
    let levels = HashMap::new();
    let repository = Repository(Vec::new());
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &repository };
    let file = SourceFile::new("f", "");
    Findings::new(&file, &settings, Vec::new()).add(crate::source::Span::default(), "x");
}
