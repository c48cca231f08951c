//! What a repository says about checking: `firedog.toml`, or the configuration of actionlint.

mod actionlint;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::lint::{Level, ResolveAction, Settings};
use workflow::read::nearest;
use workflow::rule;
use workflow::source::{SourceFile, Span};

use super::glob::Glob;
use crate::config::Config;
use crate::failure::Failure;
use crate::files::read_source;
use crate::render::diagnostic::mistake;

/// Where a repository keeps its configuration; the first that is there is taken.
const PLACES: [&str; 4] =
    ["firedog.toml", ".github/firedog.toml", ".github/actionlint.yaml", ".github/actionlint.yml"];

/// What holds for the files of a repository.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    levels: HashMap<String, Level>,
    ignores: Vec<Ignore>,
    runner_labels: Vec<String>,
    variables: Option<Vec<String>>,
}

/// Findings that are not wanted.
#[derive(Debug)]
struct Ignore {
    /// The files; all without a pattern.
    files: Vec<Glob>,
    /// The rules; all without a code.
    codes: Vec<String>,
    /// What the message must have.
    message: Option<Regex>,
}

/// `firedog.toml`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    rules: BTreeMap<Spanned<String>, WrittenLevel>,
    #[serde(default)]
    ignore: Vec<WrittenIgnore>,
    #[serde(default)]
    runner_labels: Vec<String>,
    variables: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenLevel {
    Off,
    Info,
    Warning,
    Error,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIgnore {
    #[serde(default)]
    files: Vec<Spanned<String>>,
    codes: Vec<Spanned<String>>,
    reason: Spanned<String>,
}

/// A mistake in a configuration: where, what, and the way out.
#[derive(Debug)]
struct Mistake {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Configuration {
    /// The configuration in the file `given`, or else the one of the repository at `root`, or none.
    pub(crate) fn load(root: &Path, given: Option<&Path>, config: &Config) -> Result<Self, Failure> {
        let at = |place: &&str| if root == Path::new(".") { PathBuf::from(place) } else { root.join(place) };
        let found = || PLACES.iter().map(at).find(|path| path.is_file());
        let Some(path) = given.map(PathBuf::from).or_else(found) else { return Ok(Self::default()) };
        if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            let file = read_source(&path)?;
            return actionlint::read(&file).map_err(|wrong| refused(&file, wrong, config));
        }
        let (file, written) = read_toml_file(&path, config)?;
        Self::new(written).map_err(|wrong| refused(&file, wrong, config))
    }

    fn new(written: Written) -> Result<Self, Mistake> {
        let mut levels = HashMap::new();
        for (code, level) in written.rules {
            known(&code)?;
            let level = match level {
                WrittenLevel::Off => Level::Off,
                WrittenLevel::Info => Level::As(Severity::Info),
                WrittenLevel::Warning => Level::As(Severity::Warning),
                WrittenLevel::Error => Level::As(Severity::Error),
            };
            levels.insert(code.into_inner(), level);
        }
        let ignores = written.ignore.into_iter().map(Ignore::new).collect::<Result<_, _>>()?;
        Ok(Self { levels, ignores, runner_labels: written.runner_labels, variables: written.variables })
    }

    /// The settings of the rules.
    pub(crate) fn settings<'a>(&'a self, actions: &'a dyn ResolveAction) -> Settings<'a> {
        Settings {
            levels: &self.levels,
            runner_labels: &self.runner_labels,
            variables: self.variables.as_deref(),
            actions,
        }
    }

    /// Takes out the findings of a file that are not wanted; `path` is relative to the repository. What GitHub refuses
    /// stays.
    pub(crate) fn retain(&self, path: &Path, found: &mut Vec<Diagnostic>) {
        if self.ignores.is_empty() {
            return;
        }
        let path = path.to_string_lossy();
        let here: Vec<&Ignore> = self.ignores.iter().filter(|ignore| ignore.is_for(&path)).collect();
        let refuses = |finding: &Diagnostic| {
            rule::find(finding.code).is_some_and(|rule| rule.severity == Severity::Error)
        };
        found.retain(|finding| refuses(finding) || !here.iter().any(|ignore| ignore.answers(finding)));
    }

    /// Whether [`Configuration::retain`] needs paths.
    pub(crate) fn has_ignores(&self) -> bool {
        !self.ignores.is_empty()
    }
}

impl Ignore {
    fn new(written: WrittenIgnore) -> Result<Self, Mistake> {
        let WrittenIgnore { files, codes, reason } = written;
        if reason.as_ref().trim().is_empty() {
            return Err(Mistake::at(&reason, "the reason is empty", None));
        }
        let glob = |pattern: &Spanned<String>| {
            Glob::new(pattern.as_ref()).map_err(|wrong| Mistake::at(pattern, wrong.to_string(), None))
        };
        codes.iter().try_for_each(known)?;
        if codes.is_empty() {
            let help = Some("name the rules that are not wanted".to_owned());
            return Err(Mistake::at(&reason, "an ignore without codes", help));
        }
        Ok(Self {
            files: files.iter().map(glob).collect::<Result<_, _>>()?,
            codes: codes.into_iter().map(Spanned::into_inner).collect(),
            message: None,
        })
    }

    fn is_for(&self, path: &str) -> bool {
        self.files.is_empty() || self.files.iter().any(|glob| glob.matches(path))
    }

    fn answers(&self, finding: &Diagnostic) -> bool {
        (self.codes.is_empty() || self.codes.iter().any(|code| code == finding.code))
            && self.message.as_ref().is_none_or(|regex| regex.is_match(&finding.message))
    }
}

impl Mistake {
    fn at<T>(place: &Spanned<T>, message: impl Into<String>, help: Option<String>) -> Self {
        let span = place.span();
        Self { span: Span::new(span.start, span.end), message: message.into(), help }
    }
}

/// The code of a rule that can be set: those of GitHub's own refusals cannot.
fn known(code: &Spanned<String>) -> Result<(), Mistake> {
    let can_be_set = || rule::all().filter(|rule| rule.severity != Severity::Error).map(|rule| rule.code);
    match rule::find(code.as_ref()) {
        Some(rule) if rule.severity == Severity::Error => {
            let message = format!("`{}` cannot be set: GitHub refuses the file all the same", rule.code);
            Err(Mistake::at(code, message, None))
        }
        Some(_) => Ok(()),
        None => {
            let help = match nearest(code.as_ref(), can_be_set()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`firedog check --explain` lists the rules".to_owned(),
            };
            Err(Mistake::at(code, format!("there is no rule `{}`", code.as_ref()), Some(help)))
        }
    }
}

/// Reads a TOML file of ours.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path, config: &Config) -> Result<T, Failure> {
    read_toml_file(path, config).map(|(_, value)| value)
}

fn read_toml_file<T: DeserializeOwned>(path: &Path, config: &Config) -> Result<(SourceFile, T), Failure> {
    let file = read_source(path)?;
    match toml::from_str(file.text()) {
        Ok(value) => Ok((file, value)),
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let wrong = Mistake {
                span: Span::new(span.start, span.end),
                message: error.message().to_owned(),
                help: suggestion(error.message()),
            };
            Err(refused(&file, wrong, config))
        }
    }
}

/// "Did you mean", from a message that quotes a wrong word first and the right ones after it.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted).map(|meant| format!("did you mean `{meant}`?"))
}

fn refused(file: &SourceFile, wrong: Mistake, config: &Config) -> Failure {
    let note = mistake(&wrong.message, file, wrong.span, wrong.help.as_deref(), config.stderr);
    Failure::usage(format!("cannot use the configuration `{}`", file.name())).with_note(note)
}

#[cfg(test)]
mod tests {
    use workflow::diagnostic::{Diagnostic, Severity};
    use workflow::source::{SourceFile, Span};

    use super::{Configuration, Written, suggestion};

    fn read(text: &str) -> Result<Configuration, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        Configuration::new(written).map_err(|wrong| format!("{}: {}", wrong.span.start, wrong.message))
    }

    fn finding(code: &'static str, severity: Severity) -> Diagnostic {
        Diagnostic::new(code, severity, &SourceFile::new("f", ""), Some(Span::default()), "m")
    }

    fn left(text: &str, path: &str) -> Vec<&'static str> {
        let configuration = read(text).expect("it is well formed");
        let mut found = vec![
            finding("deprecated-command", Severity::Warning),
            finding("ignore-comment", Severity::Warning),
            finding("unexpected-key", Severity::Error),
        ];
        configuration.retain(std::path::Path::new(path), &mut found);
        found.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn findings_are_ignored_by_file_and_code() {
        let text = "[[ignore]]\nfiles = ['old/**']\ncodes = ['deprecated-command']\nreason = 'r'\n";
        assert_eq!(left(text, "old/a.yml"), ["ignore-comment", "unexpected-key"]);
        assert_eq!(left(text, "new/a.yml").len(), 3);
        assert_eq!(left("", "old/a.yml").len(), 3);
    }

    #[test]
    fn mistakes_have_places() {
        let check = |text: &str, part: &str| {
            let error = read(text).expect_err("it is wrong");
            assert!(error.contains(part), "{error}");
        };
        check("[rules]\ndeprecated-comand = 'off'\n", "8: there is no rule `deprecated-comand`");
        check("[rules]\nunexpected-key = 'off'\n", "8: `unexpected-key` cannot be set");
        check("[rules]\ndeprecated-command = 'of'\n", "unknown variant `of`");
        check("rule = 1\n", "unknown field `rule`, expected one of `rules`");
        check("[[ignore]]\ncodes = ['deprecated-command']\n", "missing field `reason`");
        check("[[ignore]]\ncodes = ['deprecated-command']\nreason = ' '\n", "the reason is empty");
        check("[[ignore]]\ncodes = []\nreason = 'r'\n", "an ignore without codes");
        check(
            "[[ignore]]\ncodes = ['deprecated-command']\nfiles = ['[']\nreason = 'r'\n",
            "unclosed bracket",
        );
    }

    #[test]
    fn suggestions_come_from_messages() {
        let message = "unknown field `rule`, expected one of `rules`, `ignore`";
        assert_eq!(suggestion(message).as_deref(), Some("did you mean `rules`?"));
        assert_eq!(suggestion("missing field `reason`"), None);
    }
}
