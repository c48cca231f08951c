//! What a process prints, on its way to events: chunks of bytes to lines, lines that are workflow commands obeyed, lines
//! that problem matchers know turned into annotations, everything masked, log text in batches.
//!
//! Invariants: nothing is dropped or reordered; memory is bounded by [`lines::MAX_COMMAND_LINE`], one chunk and the
//! longest secret; what leaves [`Pipeline::take_events`] is masked with every secret known when its line came.

pub(crate) mod command;
mod lines;
pub(crate) mod mask;
pub(crate) mod matcher;

use std::borrow::Cow;
use std::sync::Arc;

use run::event::{Annotation, JobEvent, MAX_LOG_TEXT};

use command::{Commands, Request, may_be_command};
use lines::{Limits, MAX_COMMAND_LINE, MAX_LINE, Piece, Splitter};
use mask::{Masker, Patterns};
use matcher::{Matcher, Matchers, Removal, Running};

/// The most outputs, states, variables and paths that a step may set by commands, in bytes together.
const MAX_SET_BYTES: usize = 16 * 1024 * 1024;

/// What the commands of a step have set, in order.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// `set-output`.
    pub(crate) outputs: Vec<(String, String)>,
    /// `save-state`.
    pub(crate) states: Vec<(String, String)>,
    /// `set-env`.
    pub(crate) env: Vec<(String, String)>,
    /// `add-path`.
    pub(crate) paths: Vec<String>,
    /// Why a command could not be obeyed: the step fails.
    pub(crate) failure: Option<String>,
    bytes: usize,
}

/// A file that a command names and the caller reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NeedsFile {
    /// `add-matcher`.
    AddMatchers(String),
    /// `remove-matcher`.
    RemoveMatchers(String),
}

impl NeedsFile {
    /// The file, as the command names it.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::AddMatchers(path) | Self::RemoveMatchers(path) => path,
        }
    }
}

/// The output of one step.
#[derive(Debug)]
pub(crate) struct Pipeline {
    step: u32,
    splitter: Splitter,
    commands: Commands,
    debug: bool,
    masker: Arc<Masker>,
    patterns: Arc<Patterns>,
    matchers: Arc<Matchers>,
    running: Running,
    matching: bool,
    /// Whole lines that are not masked yet.
    pending: String,
    /// The end of the last piece of a long line, in which a secret may begin.
    before: String,
    cut_said: bool,
    /// The pieces that follow belong to a command that is too long.
    discarding: bool,
    group_open: bool,
    events: Vec<JobEvent>,
    effects: Effects,
}

impl Pipeline {
    /// The output of step `step`. With `debug` what `debug` commands say is shown.
    pub(crate) fn new(
        step: u32,
        commands: Commands,
        debug: bool,
        masker: Arc<Masker>,
        matchers: Arc<Matchers>,
        workspace: &str,
    ) -> Self {
        Self {
            step,
            splitter: Splitter::new(Limits::default()),
            commands,
            debug,
            patterns: masker.patterns(),
            masker,
            running: Running::new(Arc::clone(&matchers), workspace),
            matchers,
            matching: false,
            pending: String::new(),
            before: String::new(),
            cut_said: false,
            discarding: false,
            group_open: false,
            events: Vec::new(),
            effects: Effects::default(),
        }
    }

    /// Takes `chunk` from byte `at` on, which is moved behind what was taken: the whole chunk, or up to a command that
    /// needs a file, which is read and handed to [`Self::file`] before the call is repeated.
    pub(crate) fn feed(&mut self, chunk: &[u8], at: &mut usize) -> Option<NeedsFile> {
        self.patterns = self.masker.patterns();
        self.splitter.keep(self.keep());
        self.matching = self.running.refresh();
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(Limits::default()));
        let mut needed = None;
        while needed.is_none() {
            let Some((piece, bytes)) = splitter.next(chunk, at) else { break };
            if piece == Piece::Whole {
                needed = self.line(&bytes);
            } else {
                let (bytes, kept) = (bytes.into_owned(), splitter.kept());
                self.piece(piece, &bytes, kept);
            }
            splitter.keep(self.keep());
        }
        self.splitter = splitter;
        self.flush();
        needed
    }

    /// The process is over: its last line may lack a newline.
    pub(crate) fn finish(&mut self) -> Option<NeedsFile> {
        let (piece, bytes) = self.splitter.finish()?;
        let needed = if piece == Piece::Whole {
            self.line(&bytes)
        } else {
            self.piece(piece, &bytes, &[]);
            None
        };
        self.flush();
        needed
    }

    /// The content of a file that was needed, or why it could not be read.
    pub(crate) fn file(&mut self, needed: &NeedsFile, content: Result<String, String>) {
        let result = match needed {
            NeedsFile::AddMatchers(_) => content
                .and_then(|text| matcher::read(&text))
                .and_then(|matchers: Vec<Arc<Matcher>>| self.matchers.add(matchers)),
            NeedsFile::RemoveMatchers(_) => {
                content.and_then(|text| matcher::read_owners(&text)).map(|owners| {
                    owners.iter().for_each(|owner| self.matchers.remove(owner));
                })
            }
        };
        if let Err(error) = result {
            let command = match needed {
                NeedsFile::AddMatchers(path) => format!("::add-matcher::{path}"),
                NeedsFile::RemoveMatchers(path) => format!("::remove-matcher::{path}"),
            };
            self.say(&format!("Error: Unable to process command '{command}' successfully."));
            self.fail(error);
        }
        self.matching = self.running.refresh();
    }

    /// Adds lines of the runner's own: masked, but neither commands nor matched.
    pub(crate) fn say(&mut self, text: &str) {
        self.pending.push_str(text);
        self.pending.push('\n');
    }

    /// The events since the last call, in order.
    pub(crate) fn take_events(&mut self) -> Vec<JobEvent> {
        self.flush();
        std::mem::take(&mut self.events)
    }

    /// Ends the output: the last events, and what the commands have set.
    pub(crate) fn end(mut self) -> (Vec<JobEvent>, Effects) {
        self.flush();
        if self.group_open {
            self.events.push(JobEvent::GroupEnded { step: self.step });
        }
        (self.events, self.effects)
    }

    /// How many bytes must follow a piece of a line before it is known which secrets reach into it. A character that
    /// is cut at their end must be behind the longest secret.
    fn keep(&self) -> usize {
        match self.patterns.longest() {
            0 => 0,
            longest => longest + 4,
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Option<NeedsFile> {
        let text = String::from_utf8_lossy(bytes);
        if may_be_command(bytes)
            && let Some(requests) = self.commands.obey(&text)
        {
            return self.obey(requests);
        }
        self.plain(&text);
        None
    }

    fn plain(&mut self, line: &str) {
        let annotation = if self.matching { self.running.line(line) } else { None };
        self.say(line);
        if let Some(annotation) = annotation {
            self.annotate(annotation);
        }
        if self.pending.len() >= MAX_LOG_TEXT / 2 {
            self.flush();
        }
    }

    /// A piece of a line that is too long, with the bytes that follow it.
    fn piece(&mut self, piece: Piece, bytes: &[u8], kept: &[u8]) {
        self.flush();
        let text = String::from_utf8_lossy(bytes);
        if piece == Piece::First {
            self.before.clear();
            self.discarding = may_be_command(bytes) && command::parse(&text, None).is_some();
            if self.discarding {
                self.fail(format!("a workflow command is longer than {MAX_COMMAND_LINE} bytes"));
            } else if !std::mem::replace(&mut self.cut_said, true) {
                self.say(&format!("Warning: lines of more than {MAX_LINE} bytes are shown in pieces."));
                self.flush();
            }
        }
        if !self.discarding {
            let kept = String::from_utf8_lossy(kept);
            let around: Cow<'_, str> = Cow::Owned([self.before.as_str(), &text, &kept].concat());
            let start = self.before.len();
            let mut masked = String::with_capacity(text.len() + 1);
            self.patterns.mask_part(&around, start..start + text.len(), &mut masked);
            masked.push('\n');
            self.log(&masked);
            let context = last_bytes(&around[..start + text.len()], self.keep()).to_owned();
            self.before = context;
        }
        if piece == Piece::Last {
            self.discarding = false;
        }
    }

    fn obey(&mut self, requests: Vec<Request>) -> Option<NeedsFile> {
        let mut needed = None;
        for request in requests {
            match request {
                Request::Print(text) => self.say(&text),
                Request::Debug(text) if self.debug => self.say(&format!("##[debug]{text}")),
                Request::Debug(_) => {}
                Request::Output { name, value } => {
                    self.set(name.len() + value.len(), |effects| effects.outputs.push((name, value)));
                }
                Request::State { name, value } => {
                    self.set(name.len() + value.len(), |effects| effects.states.push((name, value)));
                }
                Request::Env { name, value } => {
                    self.set(name.len() + value.len(), |effects| effects.env.push((name, value)));
                }
                Request::Path(path) => self.set(path.len(), |effects| effects.paths.push(path)),
                Request::Mask(value) => self.mask(&value),
                Request::Annotate(annotation) => self.annotate(annotation),
                Request::Group(title) => self.group(&title),
                Request::EndGroup => self.end_group(),
                Request::AddMatchers(path) => needed = Some(NeedsFile::AddMatchers(path)),
                Request::RemoveMatchers(Removal::File(path)) => {
                    needed = Some(NeedsFile::RemoveMatchers(path))
                }
                Request::RemoveMatchers(Removal::Owner(owner)) => {
                    self.matchers.remove(&owner);
                    self.matching = self.running.refresh();
                }
                Request::Fail(message) => self.fail(message),
            }
        }
        needed
    }

    fn set(&mut self, bytes: usize, push: impl FnOnce(&mut Effects)) {
        self.effects.bytes += bytes;
        if self.effects.bytes > MAX_SET_BYTES {
            self.fail(format!("the commands of a step may set at most {MAX_SET_BYTES} bytes"));
        } else {
            push(&mut self.effects);
        }
    }

    fn mask(&mut self, value: &str) {
        self.flush();
        if let Err(error) = self.masker.add(value) {
            self.fail(error.to_string());
        }
        self.patterns = self.masker.patterns();
    }

    fn fail(&mut self, message: String) {
        self.say(&format!("Error: {message}"));
        self.effects.failure.get_or_insert(message);
    }

    fn annotate(&mut self, annotation: Annotation) {
        self.flush();
        let mask = |text: Option<String>| text.map(|text| self.patterns.mask(&text));
        let masked = Annotation {
            message: self.patterns.mask(&annotation.message),
            title: mask(annotation.title),
            file: mask(annotation.file),
            ..annotation
        };
        self.events.push(JobEvent::Annotation { step: self.step, annotation: masked });
    }

    fn group(&mut self, title: &str) {
        self.end_group();
        self.events.push(JobEvent::GroupStarted { step: self.step, title: self.patterns.mask(title) });
        self.group_open = true;
    }

    fn end_group(&mut self) {
        self.flush();
        if std::mem::take(&mut self.group_open) {
            self.events.push(JobEvent::GroupEnded { step: self.step });
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        match self.patterns.mask_lines(&pending) {
            Cow::Borrowed(_) => self.log_owned(pending),
            Cow::Owned(masked) => self.log_owned(masked),
        }
    }

    fn log_owned(&mut self, text: String) {
        if text.len() <= MAX_LOG_TEXT {
            self.events.push(JobEvent::Log { step: Some(self.step), text });
        } else {
            self.log(&text);
        }
    }

    /// Adds masked lines, in events that are not too large.
    fn log(&mut self, masked: &str) {
        let mut text = String::new();
        for line in masked.split_inclusive('\n') {
            let mut rest = line;
            while rest.len() > MAX_LOG_TEXT / 2 {
                let end = rest.floor_char_boundary(MAX_LINE);
                let part = [&rest[..end], "\n"].concat();
                self.events
                    .push(JobEvent::Log { step: Some(self.step), text: std::mem::take(&mut text) + &part });
                rest = &rest[end..];
            }
            if text.len() + rest.len() > MAX_LOG_TEXT {
                self.events.push(JobEvent::Log { step: Some(self.step), text: std::mem::take(&mut text) });
            }
            text.push_str(rest);
        }
        if !text.is_empty() {
            self.events.push(JobEvent::Log { step: Some(self.step), text });
        }
    }
}

/// The last characters of a text, of at most `bytes` bytes.
fn last_bytes(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

#[cfg(test)]
mod tests;
