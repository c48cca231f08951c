//! Reads a file of the specification into its sections. Strict: what it does not know is an error with its line.

use std::fmt;

use crate::expect::{ExpectedDiagnostic, ExpectedLog, ExpectedRun};

/// One section: a workflow, the repository and event that it runs in, and what must come of it.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// The heading as a name of a test: lower case, words joined by `-`.
    pub(crate) name: String,
    /// The heading.
    pub(crate) title: String,
    /// The line of the heading, from 1.
    pub(crate) line: usize,
    /// Whether it is more than prose.
    has_blocks: bool,
    /// The text of `.github/workflows/ci.yml`.
    pub(crate) workflow: String,
    /// The other files of the repository.
    pub(crate) files: Vec<File>,
    /// Whether the repository is a git repository with one commit.
    pub(crate) git: bool,
    /// The event's name.
    pub(crate) event: Option<String>,
    /// The event's payload.
    pub(crate) payload: Option<String>,
    /// The object of secrets.
    pub(crate) secrets: Option<String>,
    /// Further arguments of `firedog run`.
    pub(crate) arguments: Vec<String>,
    /// Further arguments of `firedog plan`.
    pub(crate) plan_arguments: Vec<String>,
    /// Programs that must be on PATH.
    pub(crate) needs: Vec<String>,
    /// Whether only the namespace backend can do this.
    pub(crate) namespace_only: bool,
    /// The lines of the expected plan.
    pub(crate) plan: Option<Vec<String>>,
    /// What `firedog plan` and `firedog list` must print in a format of theirs.
    pub(crate) printed: Vec<Printed>,
    /// The expected findings of `firedog check`.
    pub(crate) diagnostics: Option<Vec<ExpectedDiagnostic>>,
    /// What must come of a run.
    pub(crate) run: Option<ExpectedRun>,
    /// Lines of output that a run must have.
    pub(crate) logs: Vec<ExpectedLog>,
}

/// A file of the section's repository.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) executable: bool,
    /// Whether it appears only after the commit.
    pub(crate) uncommitted: bool,
}

/// What the binary must print, to the letter.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) what: Print,
    pub(crate) text: String,
}

/// What prints it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Print {
    /// `firedog plan` in this format.
    Plan(&'static str),
    /// `firedog list`, with the times after this one.
    List(String),
}

impl Print {
    /// The kind of the block.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Plan(format) => format,
            Self::List(_) => "list",
        }
    }
}

/// What is wrong with a document, and on which line.
#[derive(Debug)]
pub(crate) struct FormatError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.line, self.message)
    }
}

/// A fenced block: its info string, its text and the line of its opening fence.
struct Fence {
    info: String,
    text: String,
    line: usize,
}

/// The sections of a document that are tests; one without a fence is prose.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>, FormatError> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push(Section {
                name: slug(title),
                title: title.to_owned(),
                line: number,
                ..Section::default()
            });
        } else if line.starts_with("```") {
            let fence = read_fence(number, line, &mut lines)?;
            let section = sections.last_mut().ok_or_else(|| FormatError {
                line: number,
                message: "a block before the first section".to_owned(),
            })?;
            section.take(fence).map_err(|message| FormatError { line: number, message })?;
        }
    }
    sections.retain(|section| section.has_blocks);
    for (index, section) in sections.iter().enumerate() {
        let wrong = section.incomplete().or_else(|| {
            let twice = sections[..index].iter().any(|earlier| earlier.name == section.name);
            twice.then(|| "another section of this file has the same heading".to_owned())
        });
        if let Some(message) = wrong {
            return Err(FormatError { line: section.line, message });
        }
    }
    Ok(sections)
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn read_fence<'a>(
    line: usize,
    opening: &str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Fence, FormatError> {
    let info = opening.trim_start_matches('`');
    let marks = &opening[..opening.len() - info.len()];
    let mut text = String::new();
    for (_, content) in lines {
        if content.trim_end() == marks {
            return Ok(Fence { info: info.trim().to_owned(), text, line });
        }
        text.push_str(content);
        text.push('\n');
    }
    Err(FormatError { line, message: "the block does not end".to_owned() })
}

/// The words of an info string after its first, each taken at most once; what is left is an error.
struct Attributes<'a>(Vec<(&'a str, Option<&'a str>)>);

impl<'a> Attributes<'a> {
    fn parse(words: impl Iterator<Item = &'a str>) -> Self {
        Self(
            words
                .map(|word| word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value))))
                .collect(),
        )
    }

    fn value(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, value)| *name == key && value.is_some())?;
        self.0.remove(at).1.map(str::to_owned)
    }

    fn flag(&mut self, key: &str) -> bool {
        let at = self.0.iter().position(|attribute| *attribute == (key, None));
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn finish(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("unknown or repeated attribute `{key}`")),
        }
    }
}

/// Sets what may be said once.
fn once<T>(place: &mut Option<T>, value: T, what: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second {what}")),
    }
}

impl Section {
    fn take(&mut self, fence: Fence) -> Result<(), String> {
        self.has_blocks = true;
        let mut words = fence.info.split_whitespace();
        let kind = words.next().unwrap_or_default().to_owned();
        let mut attributes = Attributes::parse(words);
        if let Some(path) = attributes.value("path") {
            let executable = attributes.flag("executable");
            let uncommitted = attributes.flag("uncommitted");
            self.files.push(File { path, text: fence.text, executable, uncommitted });
            return attributes.finish();
        }
        match kind.as_str() {
            "yaml" => self.take_workflow(fence.text, &mut attributes)?,
            "json" => self.take_json(fence.text, &mut attributes)?,
            "args" => {
                let arguments =
                    if attributes.flag("plan") { &mut self.plan_arguments } else { &mut self.arguments };
                arguments.extend(fence.text.split_whitespace().map(str::to_owned));
            }
            "dot" => self.printed.push(Printed { what: Print::Plan("dot"), text: fence.text }),
            "mermaid" => self.printed.push(Printed { what: Print::Plan("mermaid"), text: fence.text }),
            "list" => {
                let after = attributes.value("after").ok_or("a `list` needs `after=TIME`")?;
                self.printed.push(Printed { what: Print::List(after), text: fence.text });
            }
            "plan" => once(&mut self.plan, fence.text.lines().map(str::to_owned).collect(), "plan")?,
            "diagnostics" => {
                once(&mut self.diagnostics, ExpectedDiagnostic::parse_all(&fence.text)?, "diagnostics")?
            }
            "run" => once(&mut self.run, ExpectedRun::parse(&fence.text)?, "run")?,
            "log" => {
                let (job, step) = (attributes.value("job"), attributes.value("step"));
                self.logs.push(ExpectedLog {
                    job,
                    step,
                    lines: fence.text.lines().map(str::to_owned).collect(),
                    at: fence.line,
                });
            }
            _ => return Err(format!("unknown block `{kind}`; a file needs `path=`")),
        }
        attributes.finish()
    }

    fn take_workflow(&mut self, text: String, attributes: &mut Attributes<'_>) -> Result<(), String> {
        if !self.workflow.is_empty() {
            return Err("a second workflow; another file needs `path=`".to_owned());
        }
        self.workflow = text;
        self.git = attributes.flag("git");
        self.namespace_only = attributes.flag("namespace-only");
        self.needs =
            attributes.value("needs").iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
        Ok(())
    }

    fn take_json(&mut self, text: String, attributes: &mut Attributes<'_>) -> Result<(), String> {
        serde_json::from_str::<serde_json::Value>(&text).map_err(|error| format!("not JSON: {error}"))?;
        if attributes.flag("secrets") {
            return once(&mut self.secrets, text, "object of secrets");
        }
        match attributes.value("event") {
            None => Err("a JSON block is a file (`path=`), `secrets` or a payload (`event=`)".to_owned()),
            Some(event) => {
                once(&mut self.event, event, "event")?;
                once(&mut self.payload, text, "payload")
            }
        }
    }

    /// Why the section is no test, if it is none.
    fn incomplete(&self) -> Option<String> {
        if self.workflow.is_empty() {
            Some("no workflow".to_owned())
        } else if self.plan.is_none()
            && self.printed.is_empty()
            && self.diagnostics.is_none()
            && self.run.is_none()
        {
            Some("nothing is expected: no `plan`, `diagnostics`, `run` or what is printed".to_owned())
        } else if self.run.is_none() && !self.logs.is_empty() {
            Some("a log without a `run`".to_owned())
        } else {
            None
        }
    }
}
