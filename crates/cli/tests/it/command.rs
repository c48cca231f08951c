//! Calls the real binary in a folder and with a state folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A repository's folder and a state folder; both are removed at the end.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a call did.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir(folder.path().join("root")).expect("a folder can be made");
        Self { folder }
    }

    /// A repository with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    /// A call that can be changed before it starts.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedog"));
        let inherited = [
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "SHELL",
            "TERM",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
            "SOURCE_DATE_EPOCH",
        ];
        for name in inherited {
            command.env_remove(name);
        }
        command.current_dir(self.root()).env("HOME", self.folder.path());
        command.env("XDG_STATE_HOME", self.folder.path().join("xdg"));
        // What stands behind `--` is another program's.
        let own = arguments.iter().position(|argument| *argument == "--").unwrap_or(arguments.len());
        command.args(&arguments[..own]).arg("--state-dir").arg(self.state()).args(&arguments[own..]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls and waits.
    pub(crate) fn call(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments).output().expect("the binary starts"))
    }

    /// Calls without waiting.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary starts")
    }

    /// Text with this place's folders as `[ROOT]` and `[STATE]`.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let name = |path: &Path| path.display().to_string();
        text.replace(&name(&self.root()), "[ROOT]").replace(&name(&self.state()), "[STATE]")
    }
}

/// A test that is skipped must be seen to be.
pub(crate) fn skipped(reason: &str) {
    use std::io::Write;
    // There is no other place to say it.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {reason}");
}

pub(crate) fn answer(output: Output) -> Answer {
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

impl Answer {
    /// Standard output as NDJSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).expect("each line is a JSON object");
        self.stdout.lines().map(read).collect()
    }

    /// The events of one kind.
    pub(crate) fn of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// The lines that steps printed, without what the runner says itself before a step's own output.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.of("log")
            .iter()
            .map(|event| event["line"].as_str().expect("a line is text").to_owned())
            .collect()
    }

    /// Conclusions of all steps, in the order in which they ended.
    pub(crate) fn steps(&self) -> Vec<String> {
        let conclusion = |event: &Value| event["conclusion"].as_str().expect("it is text").to_owned();
        self.of("step_finished").iter().map(conclusion).collect()
    }

    /// How the run ended, by its last event.
    pub(crate) fn conclusion(&self) -> String {
        let events = self.events();
        let last = events.last().unwrap_or_else(|| panic!("there are no events: {}", self.stderr));
        assert_eq!(last["event"], "run_finished", "{}", self.stderr);
        last["conclusion"].as_str().expect("it is text").to_owned()
    }
}
