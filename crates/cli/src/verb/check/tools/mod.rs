//! `shellcheck` and `ruff` or `pyflakes` on the scripts of steps, where they are installed.
//!
//! Scripts are written to a private folder and given to a tool many at a time, several processes at once, each with a time
//! limit; no shell is involved. What a tool said of a script is kept ([`cache`]) for the next call.

mod cache;
mod process;
mod python;
mod shellcheck;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::lint::tools::{Language, PYFLAKES, SHELLCHECK, Script};
use workflow::rule::Rule;
use workflow::source::{SourceFile, Span};

use crate::config::Config;
use crate::failure::Failure;
use crate::{output, parallel};
use cache::Cache;
use process::Folder;

/// Scripts that one process is given.
const BATCH: usize = 24;

/// A program that looks at scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Tool {
    Shellcheck,
    Ruff,
    Pyflakes,
}

/// The tools that are used.
#[derive(Debug)]
pub(super) struct Tools {
    programs: Vec<(Tool, PathBuf)>,
    cache: Cache,
}

/// What a tool said of a script: places in the script, from 1, in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remark {
    start: (usize, usize),
    end: (usize, usize),
    message: String,
    /// Whether it is about style only.
    advice: bool,
    help: Option<String>,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Shellcheck => "shellcheck",
            Self::Ruff => "ruff",
            Self::Pyflakes => "pyflakes",
        }
    }

    fn rule(self) -> &'static Rule {
        match self {
            Self::Shellcheck => &SHELLCHECK,
            Self::Ruff | Self::Pyflakes => &PYFLAKES,
        }
    }

    fn is_for(self, language: Language) -> bool {
        (self == Self::Shellcheck) == matches!(language, Language::Bash | Language::Sh)
    }

    /// What the tool says of scripts of one language, in their order.
    fn call(self, program: &Path, scripts: &[&Script]) -> Result<Vec<Vec<Remark>>, process::ToolError> {
        match self {
            Self::Shellcheck => shellcheck::look(program, scripts),
            Self::Ruff => python::ruff(program, scripts),
            Self::Pyflakes => python::pyflakes(program, scripts),
        }
    }
}

impl Tools {
    /// The tools of `wanted`, or without a choice those that are installed; none where nothing is. `root` is an absolute
    /// path.
    pub(super) fn find(
        wanted: &[Tool],
        root: Option<&Path>,
        config: &Config,
    ) -> Result<Option<Self>, Failure> {
        let find = |tool: &Tool| Some((*tool, on_path(tool.name(), config.search_path.as_deref()?)?));
        let mut programs: Vec<_> = match wanted {
            [] => Tool::value_variants().iter().filter_map(find).collect(),
            wanted => wanted.iter().filter_map(find).collect(),
        };
        if let Some(missing) = wanted.iter().find(|tool| !programs.iter().any(|(found, _)| found == *tool)) {
            let message = format!("`{}` is not installed", missing.name());
            return Err(Failure::missing(message));
        }
        if programs.iter().any(|(tool, _)| *tool == Tool::Ruff) {
            // It finds what Pyflakes finds, faster.
            programs.retain(|(tool, _)| *tool != Tool::Pyflakes);
        }
        let cache = Cache::open(config.cache.as_deref(), root);
        Ok((!programs.is_empty()).then_some(Self { programs, cache }))
    }

    /// Looks at the scripts of files and adds what is found to the findings of each; `is_on` tells which rules are.
    pub(super) fn look(&mut self, files: &mut [Examined], is_on: impl Fn(&str) -> bool) {
        let programs = std::mem::take(&mut self.programs);
        for (tool, program) in programs.iter().filter(|(tool, _)| is_on(tool.rule().code)) {
            self.look_with(*tool, program, files);
        }
        self.programs = programs;
        self.cache.save();
    }

    fn look_with(&mut self, tool: Tool, program: &Path, files: &mut [Examined]) {
        let identity = cache::identity(program);
        let mut remarks: Vec<(usize, usize, Vec<Remark>)> = Vec::new();
        let mut open: Vec<Open<'_>> = Vec::new();
        for (file, examined) in files.iter().enumerate() {
            for (index, script) in examined.scripts.iter().enumerate() {
                if !tool.is_for(script.language) {
                    continue;
                }
                let key = cache::key(&identity, script);
                match self.cache.get(&key) {
                    Some(known) => remarks.push((file, index, known)),
                    None => open.push(Open { file, index, script, key }),
                }
            }
        }
        open.sort_by_key(|open| open.script.language as u8);
        let of_one_language = open.chunk_by(|left, right| left.script.language == right.script.language);
        let batches: Vec<&[Open<'_>]> = of_one_language.flat_map(|same| same.chunks(BATCH)).collect();
        let mut failure = None;
        let work = |batch: &&[Open<'_>]| {
            let scripts: Vec<&Script> = batch.iter().map(|open| open.script).collect();
            tool.call(program, &scripts)
        };
        let mut next = batches.iter();
        parallel::in_order(&batches, work, |said| match (next.next(), said) {
            (Some(batch), Ok(said)) => {
                for (Open { file, index, key, .. }, said) in batch.iter().zip(said) {
                    self.cache.put(key.clone(), said.clone());
                    remarks.push((*file, *index, said));
                }
            }
            (_, Err(error)) => failure = Some(error),
            (None, Ok(_)) => {}
        });
        if let Some(error) = failure {
            output::to_stderr(&format!("note: `{}` did not look at all scripts: {error}", tool.name()));
        }
        for (at, index, said) in remarks {
            let Examined { file, found, scripts } = &mut files[at];
            found.extend(said.iter().map(|remark| finding(tool.rule(), file, &scripts[index], remark)));
        }
    }
}

/// A script that a tool has to see.
struct Open<'a> {
    /// Its file, by index, and its index in that.
    file: usize,
    index: usize,
    script: &'a Script,
    /// Its key in the cache.
    key: String,
}

/// A file that was examined, its findings not yet settled.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) file: SourceFile,
    pub(super) found: Vec<Diagnostic>,
    pub(super) scripts: Vec<Script>,
}

fn finding(rule: &Rule, file: &SourceFile, script: &Script, remark: &Remark) -> Diagnostic {
    let severity = if remark.advice { Severity::Info } else { rule.severity };
    let text = script.written.text();
    let (first, end) = (offset(text, remark.start), offset(text, remark.end));
    let start = script.written.place(first);
    // The place behind the last character: what follows it may be on another line.
    let last = text[..end].char_indices().next_back().filter(|(last, _)| *last >= first);
    let end = last.map_or(start, |(last, character)| {
        script.written.place(last) + u32::try_from(character.len_utf8()).unwrap_or(1)
    });
    let finding = Diagnostic::new(rule.code, severity, file, Some(script.span), remark.message.as_str())
        .with_label(Span { start, end }, "here");
    match &remark.help {
        Some(help) => finding.with_help(help.as_str()),
        None => finding,
    }
}

/// The byte of a place in a text; the end where there is no such place.
fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(length) => start += length + 1,
            None => return text.len(),
        }
    }
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let character = text[start..end].char_indices().nth(column.saturating_sub(1));
    character.map_or(end, |(offset, _)| start + offset)
}

/// The program of this name in a list of folders.
fn on_path(name: &str, folders: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(is_program)
}

/// Scripts as files of a folder, each with lines before it: the paths, in their order.
fn lay(
    folder: &Folder,
    scripts: &[&Script],
    before: fn(&Script) -> &'static str,
    ending: &str,
) -> std::io::Result<Vec<PathBuf>> {
    let lay_one = |(index, script): (usize, &&Script)| {
        let text = format!("{}{}", before(script), script.written.text());
        folder.write(&format!("{index}{ending}"), &text)
    };
    scripts.iter().enumerate().map(lay_one).collect()
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn places_in_scripts() {
        let check = |line, column, expected| assert_eq!(offset("äb\nc\n", (line, column)), expected);
        check(1, 1, 0);
        check(1, 2, 2);
        check(1, 9, 3);
        check(2, 1, 4);
        check(9, 1, 6);
    }
}
