//! Problem matchers: regular expressions that turn lines of output into annotations.
//!
//! [`read`] checks a file of matchers; [`Matchers`] holds those of a job, [`Running`] what the lines of one step have
//! matched so far. A matcher with several patterns matches consecutive lines; its last pattern may `loop`.

use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Captures, Regex, RegexBuilder};
use run::event::{Annotation, AnnotationLevel};
use serde::{Deserialize, Serialize};

/// The most matchers of a job.
const MAX_MATCHERS: usize = 256;

/// The largest compiled expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4 * 1024 * 1024;

/// Which matchers `remove-matcher` removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Those of an owner.
    Owner(String),
    /// Those whose owners a file names.
    File(String),
}

#[derive(Serialize, Deserialize)]
struct MatcherFile {
    #[serde(default, rename = "problemMatcher")]
    matchers: Vec<MatcherText>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct MatcherText {
    #[serde(default)]
    owner: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default, rename = "fromPath")]
    from_path: Option<String>,
    #[serde(default, rename = "pattern")]
    patterns: Vec<PatternText>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PatternText {
    #[serde(default)]
    regexp: String,
    file: Option<i64>,
    line: Option<i64>,
    column: Option<i64>,
    severity: Option<i64>,
    code: Option<i64>,
    message: Option<i64>,
    #[serde(rename = "fromPath")]
    from_path: Option<i64>,
    #[serde(default, rename = "loop")]
    looping: bool,
}

/// One matcher, checked.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// What it was made of.
    text: MatcherText,
    owner: String,
    severity: Option<String>,
    from_path: Option<String>,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    expression: Regex,
    /// The group of each of [`FIELDS`].
    groups: [Option<usize>; FIELDS.len()],
    looping: bool,
}

/// What a group can be, in the order of [`Found`]'s texts.
const FIELDS: [&str; 7] = ["file", "line", "column", "severity", "code", "message", "fromPath"];
const FILE: usize = 0;
const LINE: usize = 1;
const COLUMN: usize = 2;
const SEVERITY: usize = 3;
const MESSAGE: usize = 5;
const FROM_PATH: usize = 6;

/// Reads a file of matchers.
///
/// # Errors
/// In the words of GitHub's runner, where it has some.
pub(crate) fn read(text: &str) -> Result<Vec<Arc<Matcher>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: MatcherFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.matchers.len() > MAX_MATCHERS {
        return Err(format!("more than {MAX_MATCHERS} problem matchers in one file"));
    }
    let mut matchers: Vec<Arc<Matcher>> = Vec::new();
    for text in file.matchers {
        let matcher = Matcher::new(text)?;
        if matchers.iter().any(|other| other.owner.eq_ignore_ascii_case(&matcher.owner)) {
            return Err(format!("Duplicate owner name '{}'", matcher.owner));
        }
        matchers.push(Arc::new(matcher));
    }
    Ok(matchers)
}

/// The owners that a file of matchers names.
pub(crate) fn read_owners(text: &str) -> Result<Vec<String>, String> {
    let file: MatcherFile =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())?;
    Ok(file.matchers.into_iter().map(|matcher| matcher.owner).collect())
}

impl Matcher {
    fn new(text: MatcherText) -> Result<Self, String> {
        let source = text.clone();
        let owner = text.owner;
        if owner.is_empty() {
            return Err("Owner must not be empty".to_owned());
        }
        let severity = text.severity.filter(|severity| !severity.is_empty());
        if let Some(severity) = severity.as_ref().filter(|severity| level(severity).is_none()) {
            return Err(format!("Matcher '{owner}' contains unexpected default severity '{severity}'"));
        }
        let count = text.patterns.len();
        if count == 0 {
            return Err(format!("Matcher '{owner}' does not contain any patterns"));
        }
        let mut set = [false; FIELDS.len()];
        let mut patterns = Vec::with_capacity(count);
        for (index, pattern) in text.patterns.into_iter().enumerate() {
            let may_loop = index > 0 && index + 1 == count;
            patterns.push(Pattern::new(pattern, may_loop, &mut set)?);
        }
        if !set[MESSAGE] {
            return Err("At least one pattern must set 'message'".to_owned());
        }
        let from_path = text.from_path.filter(|path| !path.is_empty());
        Ok(Self { text: source, owner, severity, from_path, patterns })
    }
}

impl Pattern {
    fn new(text: PatternText, may_loop: bool, set: &mut [bool; FIELDS.len()]) -> Result<Self, String> {
        if text.looping && !may_loop {
            return Err("Only the last pattern in a multiline matcher may set 'loop'".to_owned());
        }
        if text.looping && text.message.is_none() {
            return Err("The loop pattern must set 'message'".to_owned());
        }
        let expression = RegexBuilder::new(&from_ecmascript(&text.regexp))
            .size_limit(MAX_EXPRESSION_BYTES)
            .build()
            .map_err(|error| format!("the expression '{}' cannot be used: {error}", text.regexp))?;
        let numbers =
            [text.file, text.line, text.column, text.severity, text.code, text.message, text.from_path];
        let mut groups = [None; FIELDS.len()];
        for (field, number) in numbers.into_iter().enumerate() {
            let Some(number) = number else { continue };
            let name = FIELDS[field];
            if std::mem::replace(&mut set[field], true) {
                return Err(format!("The property '{name}' is set twice"));
            }
            let group = usize::try_from(number).ok().filter(|group| *group < expression.captures_len());
            groups[field] =
                Some(group.ok_or(format!("The property '{name}' is set to {number} which is out of range"))?);
        }
        Ok(Self { expression, groups, looping: text.looping })
    }
}

/// An ECMAScript expression in the spelling of the `regex` crate: what is only special there is escaped.
fn from_ecmascript(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len() + 8);
    let mut in_class = false;
    let mut rest = expression.chars().peekable();
    let mut remaining = expression;
    while let Some(character) = rest.next() {
        remaining = &remaining[character.len_utf8()..];
        match character {
            '\\' => {
                translated.push('\\');
                if let Some(escaped) = rest.next() {
                    remaining = &remaining[escaped.len_utf8()..];
                    translated.push(escaped);
                }
            }
            '[' if in_class => translated.push_str("\\["),
            '&' | '~' if in_class => translated.extend(['\\', character]),
            '-' if in_class && rest.peek() == Some(&'-') => translated.push_str("\\-"),
            '{' if !in_class && !is_repetition(remaining) => translated.push_str("\\{"),
            '}' if !in_class && !ends_repetition(&translated) => translated.push_str("\\}"),
            _ => {
                in_class = match character {
                    '[' => true,
                    ']' => false,
                    _ => in_class,
                };
                translated.push(character);
            }
        }
    }
    translated
}

/// Whether `{` before this text begins a count, such as `{2}` or `{1,}`.
fn is_repetition(text: &str) -> bool {
    let Some((count, _)) = text.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// Whether a `}` behind this translated text ends a count or an escape such as `\u{1b}`.
fn ends_repetition(translated: &str) -> bool {
    let Some((before, count)) = translated.rsplit_once('{') else { return false };
    !count.contains('}') && (!before.ends_with('\\') || before.ends_with("\\\\"))
        || before.ends_with("\\u")
        || before.ends_with("\\x")
        || before.ends_with("\\p")
}

/// What the patterns of a matcher have found.
#[derive(Clone, Debug, Default)]
struct Found {
    texts: [Option<String>; FIELDS.len()],
}

impl Found {
    fn new(earlier: Option<&Found>, pattern: &Pattern, captures: &Captures<'_>) -> Self {
        let mut texts: [Option<String>; FIELDS.len()] = Default::default();
        for (field, text) in texts.iter_mut().enumerate() {
            let before = earlier.and_then(|found| found.texts[field].clone());
            // A group that took no part in the match counts as empty, as in .NET.
            let now = || {
                pattern.groups[field]
                    .map(|group| captures.get(group).map_or("", |group| group.as_str()).to_owned())
            };
            *text = before.or_else(now);
        }
        Self { texts }
    }

    fn text(&self, field: usize) -> Option<&str> {
        self.texts[field].as_deref().filter(|text| !text.trim().is_empty())
    }
}

/// The matchers of a job. Steps add and remove; all steps see it.
#[derive(Debug, Default)]
pub(crate) struct Matchers {
    all: Mutex<Vec<Arc<Matcher>>>,
    version: AtomicU64,
}

impl Matchers {
    /// Adds matchers, in place of those of the same owners; the newest are asked first.
    pub(crate) fn add(&self, matchers: Vec<Arc<Matcher>>) -> Result<(), String> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for matcher in matchers {
            all.retain(|other| !other.owner.eq_ignore_ascii_case(&matcher.owner));
            if all.len() >= MAX_MATCHERS {
                return Err(format!("a job can have at most {MAX_MATCHERS} problem matchers"));
            }
            all.insert(0, matcher);
        }
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// A file with all of them, which [`read`] reads.
    pub(crate) fn to_text(&self) -> String {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let file = MatcherFile { matchers: all.iter().map(|matcher| matcher.text.clone()).collect() };
        serde_json::to_string(&file).expect("what was read as JSON can be written as such")
    }

    /// As many matchers as in a file that [`Self::to_text`] made, asked in the same order.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let mut all = read(text)?;
        all.reverse();
        let matchers = Self::default();
        matchers.add(all)?;
        Ok(matchers)
    }

    /// Removes the matchers of an owner.
    pub(crate) fn remove(&self, owner: &str) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|matcher| !matcher.owner.eq_ignore_ascii_case(owner));
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// The matchers of a job as the lines of one step run through them.
#[derive(Debug)]
pub(crate) struct Running {
    matchers: Arc<Matchers>,
    version: u64,
    running: Vec<(Arc<Matcher>, Vec<Option<Found>>)>,
    workspace: PathBuf,
    colours: Regex,
}

impl Running {
    pub(crate) fn new(matchers: Arc<Matchers>, workspace: &str) -> Self {
        let colours = Regex::new("\u{1b}\\[[0-9;]*m?").expect("a fixed expression");
        let mut running =
            Self { matchers, version: 0, running: Vec::new(), workspace: workspace.into(), colours };
        running.refresh();
        running
    }

    /// Takes in what steps added and removed since; says whether there is any matcher.
    pub(crate) fn refresh(&mut self) -> bool {
        let version = self.matchers.version.load(Ordering::Acquire);
        if version != self.version {
            self.version = version;
            let all = self.matchers.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut old = std::mem::take(&mut self.running);
            for matcher in all {
                let kept = old.iter().position(|(other, _)| Arc::ptr_eq(other, &matcher));
                let state = kept.map_or_else(|| blank(&matcher), |at| old.swap_remove(at).1);
                self.running.push((matcher, state));
            }
        }
        !self.running.is_empty()
    }

    /// The annotation that a line completes.
    pub(crate) fn line(&mut self, line: &str) -> Option<Annotation> {
        let line = self.colours.replace_all(line, "");
        for index in 0..self.running.len() {
            let (matcher, state) = &mut self.running[index];
            let Some(found) = advance(matcher, state, &line) else { continue };
            let annotation = annotation(matcher, &found, &self.workspace);
            for (other, (matcher, state)) in self.running.iter_mut().enumerate() {
                if other != index {
                    *state = blank(matcher);
                }
            }
            if annotation.is_some() {
                return annotation;
            }
        }
        None
    }
}

fn blank(matcher: &Matcher) -> Vec<Option<Found>> {
    vec![None; matcher.patterns.len() - 1]
}

/// Runs a line through the patterns, the last first; `state` has what each but the last has matched.
fn advance(matcher: &Matcher, state: &mut Vec<Option<Found>>, line: &str) -> Option<Found> {
    let last = matcher.patterns.len() - 1;
    for index in (0..=last).rev() {
        let earlier = index.checked_sub(1).map(|before| state[before].clone());
        if matches!(earlier, Some(None)) {
            continue;
        }
        let earlier = earlier.flatten();
        let pattern = &matcher.patterns[index];
        let found = pattern
            .expression
            .captures(line)
            .map(|captures| Found::new(earlier.as_ref(), pattern, &captures));
        match (found, index == last) {
            (Some(found), true) => {
                *state = blank(matcher);
                if let Some(before) = index.checked_sub(1).filter(|_| pattern.looping) {
                    state[before] = earlier;
                }
                return Some(found);
            }
            (found, false) => state[index] = found,
            (None, true) => {
                if let Some(before) = index.checked_sub(1) {
                    state[before] = None;
                }
            }
        }
    }
    None
}

fn level(severity: &str) -> Option<AnnotationLevel> {
    match severity.to_ascii_lowercase().as_str() {
        "" | "error" => Some(AnnotationLevel::Error),
        "warning" => Some(AnnotationLevel::Warning),
        "notice" => Some(AnnotationLevel::Notice),
        _ => None,
    }
}

fn annotation(matcher: &Matcher, found: &Found, workspace: &Path) -> Option<Annotation> {
    let message = found.text(MESSAGE)?.to_owned();
    let severity = found.texts[SEVERITY].as_deref().filter(|severity| !severity.is_empty());
    let level = level(severity.or(matcher.severity.as_deref()).unwrap_or_default())?;
    let number = |field| {
        let text = found.text(field)?;
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let from_path = found.text(FROM_PATH).or(matcher.from_path.as_deref());
    let file = found.text(FILE).and_then(|file| file_below(workspace, from_path, file));
    let (line, col) = (number(LINE), number(COLUMN));
    Some(Annotation { level, message, title: None, file, line, end_line: None, col, end_col: None })
}

/// The file's path relative to the workspace; `None` when it is elsewhere.
fn file_below(workspace: &Path, from_path: Option<&str>, file: &str) -> Option<String> {
    let mut path = PathBuf::from(workspace);
    if let Some(folder) = from_path.and_then(|from| Path::new(from).parent()) {
        path.push(folder);
    }
    path.push(file);
    let path = normal(&path);
    let below = path.strip_prefix(normal(workspace)).ok()?;
    Some(below.to_string_lossy().into_owned()).filter(|below| !below.is_empty())
}

/// The path without `.` and `..`, by its text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Matchers, Running, from_ecmascript, read};

    fn running(texts: &[&str]) -> Running {
        let matchers = Arc::new(Matchers::default());
        for text in texts {
            matchers.add(read(text).unwrap()).unwrap();
        }
        Running::new(matchers, "/work")
    }

    fn check(matcher: &str, lines: &[&str], expected: &[&str]) {
        let mut running = running(&[matcher]);
        let found: Vec<String> = lines
            .iter()
            .filter_map(|line| running.line(line))
            .map(|found| {
                let number = |number: Option<u32>| number.map_or(String::new(), |number| number.to_string());
                let file = found.file.unwrap_or_default();
                format!(
                    "{:?} {file}:{}:{} {}",
                    found.level,
                    number(found.line),
                    number(found.col),
                    found.message
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    const ONE: &str = r#"{"problemMatcher": [{"owner": "one", "pattern": [
        {"regexp": "^([^:]+):(\\d+):(\\d+): (error|warning|other): (.*)$",
         "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5}]}]}"#;

    const MANY: &str = r#"{"problemMatcher": [{"owner": "many", "severity": "warning", "pattern": [
        {"regexp": "^FILE (.+)$", "file": 1},
        {"regexp": "^ +(\\d+) (.+)$", "line": 1, "message": 2, "loop": true}]}]}"#;

    #[test]
    fn one_pattern_matches_a_line() {
        check(ONE, &["src/a.c:3:7: warning: bad"], &["Warning src/a.c:3:7 bad"]);
        check(ONE, &["\u{1b}[31m/work/a.c:3:7: error: bad\u{1b}[0m"], &["Error a.c:3:7 bad"]);
        check(ONE, &["/else/../work/x/../a.c:3:7: error: bad"], &["Error a.c:3:7 bad"]);
        check(ONE, &["/elsewhere/a.c:3:7: error: bad"], &["Error :3:7 bad"]);
        check(ONE, &["a.c:3:7: other: bad", "nothing", ""], &[]);
    }

    #[test]
    fn the_last_pattern_loops() {
        let lines = ["FILE a", " 1 x", " 2 y", "no", " 3 z", "FILE b", " 4 v"];
        check(MANY, &lines, &["Warning a:1: x", "Warning a:2: y", "Warning b:4: v"]);
    }

    #[test]
    fn later_owners_replace_and_come_first() {
        let other = ONE.replace("error|warning", "error").replace(r#""owner": "one""#, r#""owner": "ONE""#);
        let mut running = running(&[ONE, &other]);
        assert!(running.line("a:1:1: warning: x").is_none());
        assert!(running.line("a:1:1: error: x").is_some());
        running.matchers.remove("one");
        assert!(!running.refresh());
    }

    #[test]
    fn from_path_is_the_folder() {
        let text = r#"{"problemMatcher": [{"owner": "o", "pattern": [
            {"regexp": "^(\\S+) (\\S+) (.+)$", "fromPath": 1, "file": 2, "message": 3}]}]}"#;
        check(text, &["app/app.csproj Main.cs bad"], &["Error app/Main.cs:: bad"]);
    }

    fn check_refused(text: &str, expected: &str) {
        assert!(read(text).unwrap_err().contains(expected), "{text}");
    }

    #[test]
    fn broken_matchers_are_refused() {
        let with =
            |pattern: &str| format!(r#"{{"problemMatcher": [{{"owner": "o", "pattern": [{pattern}]}}]}}"#);
        check_refused("{", "EOF");
        check_refused(r#"{"problemMatcher": [{}]}"#, "Owner must not be empty");
        check_refused(&with(""), "does not contain any patterns");
        check_refused(&with(r#"{"regexp": "a"}"#), "must set 'message'");
        check_refused(&with(r#"{"regexp": "a", "message": 1}"#), "out of range");
        check_refused(&with(r#"{"regexp": "(a)", "message": 1, "loop": true}"#), "may set 'loop'");
        check_refused(
            &with(r#"{"regexp": "(a)", "message": 1}, {"regexp": "(a)", "message": 1}"#),
            "set twice",
        );
        check_refused(&with(r#"{"regexp": "(", "message": 0}"#), "cannot be used");
    }

    #[test]
    fn ecmascript_is_translated() {
        for (expression, text) in
            [("[[]a", "[a"), ("a{", "a{"), ("a{2}", "aa"), ("x\\/[&&]", "x/&"), ("{}", "{}")]
        {
            let translated = from_ecmascript(expression);
            assert!(regex::Regex::new(&translated).unwrap().is_match(text), "{expression} as {translated}");
        }
    }
}
