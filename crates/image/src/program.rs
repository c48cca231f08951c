//! Runs the programs of the host that a build needs, and tells what they said when they fail.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};

use crate::progress::{Progress, Reporter};

/// How many lines of a failed program are told.
const LAST_LINES: usize = 20;
/// The longest line that is kept, in bytes.
const MAX_LINE: u64 = 4096;

/// Why a program did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not installed.
    #[error("`{program}` is not installed ({package} has it)")]
    Missing {
        /// The program.
        program: String,
        /// The Debian package with it.
        package: &'static str,
    },
    /// It could not be started, or its output could not be read.
    #[error("cannot run `{program}`")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("`{program}` failed ({status}); it said last:\n{said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines, each with two spaces before it.
        said: String,
    },
}

/// A program with its arguments. It ends when this process ends, however that ends.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    command: Command,
    /// Programs that must be there, and the packages that they are in.
    needed: Vec<(String, &'static str)>,
}

impl Program {
    /// A program, and the Debian package that it is in.
    pub(crate) fn new(name: &str, package: &'static str) -> Self {
        Self::ended_by("KILL", name, package)
    }

    /// The same for a program that itself removes what it made when this process ends.
    pub(crate) fn that_cleans_up(name: &str, package: &'static str) -> Self {
        Self::ended_by("TERM", name, package)
    }

    /// `setpriv` asks for the signal and becomes the program.
    fn ended_by(signal: &str, name: &str, package: &'static str) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal, "--", name]);
        command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        Self { name: name.to_owned(), command, needed: vec![(name.to_owned(), package)] }
    }

    /// Names the program that this one starts, which then is the one that fails.
    pub(crate) fn needs(mut self, name: &str, package: &'static str) -> Self {
        self.needed.push((name.to_owned(), package));
        self.name = name.to_owned();
        self
    }

    pub(crate) fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &std::path::Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn standard_input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    pub(crate) fn standard_output(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stdout(output);
        self
    }

    /// Runs it to its end; what it says on standard error is news.
    pub(crate) fn run(mut self, report: Reporter<'_>) -> Result<(), ProgramError> {
        self.check_installed()?;
        let name = self.name;
        let failed = |source| ProgramError::Run { program: name.clone(), source };
        let mut child = self.command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        let said = child.stderr.take().expect("it was asked for");
        let said = follow(said, report);
        let status = child.wait().map_err(failed)?;
        let said = said.map_err(failed)?;
        if status.success() { Ok(()) } else { Err(ProgramError::Failed { program: name, status, said }) }
    }

    /// Runs it to its end and gives its standard output, `limit` bytes at most.
    pub(crate) fn output(mut self, limit: u64) -> Result<Vec<u8>, ProgramError> {
        self.check_installed()?;
        let name = self.name;
        let failed = |source| ProgramError::Run { program: name.clone(), source };
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let errors = child.stderr.take().expect("it was asked for");
        let errors = std::thread::spawn(move || follow(errors, &|_| ()));
        let mut output = Vec::new();
        let read = child.stdout.take().expect("it was asked for").take(limit).read_to_end(&mut output);
        let status = child.wait().map_err(failed)?;
        let said = errors.join().unwrap_or_else(|_| Ok(String::new())).map_err(failed)?;
        read.map_err(failed)?;
        if status.success() { Ok(output) } else { Err(ProgramError::Failed { program: name, status, said }) }
    }

    /// That `setpriv` does not find the program should not look like a failure of the program.
    fn check_installed(&self) -> Result<(), ProgramError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        match self.needed.iter().find(|(name, _)| !is_there(name)) {
            None => Ok(()),
            Some((name, package)) => Err(ProgramError::Missing { program: name.clone(), package }),
        }
    }
}

/// Reads lines to the end; the last ones are kept.
fn follow(stream: impl Read, report: Reporter<'_>) -> io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut last: VecDeque<String> = VecDeque::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        if text.trim().is_empty() {
            continue;
        }
        report(Progress::Line(&text));
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
    Ok(last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}
