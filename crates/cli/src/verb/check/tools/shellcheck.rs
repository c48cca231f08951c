//! ShellCheck and what it prints.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use workflow::lint::tools::{Language, Script};

use super::process::{Folder, ToolError, call};
use super::{Remark, lay};

/// Findings about files and values that only exist in a run: files that are sourced, variables that the workflow sets,
/// comparisons and loops over what an expression has become.
const LEFT_OUT: &str = "SC1091,SC2043,SC2050,SC2154,SC2157,SC2194";
/// What GitHub's shells do: without it, each unchecked `cd` would be found.
const FAIL_AT_ONCE: &str = "set -e\n";

#[derive(Debug, Deserialize)]
struct Answer {
    comments: Vec<Comment>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    file: PathBuf,
    line: usize,
    end_line: usize,
    column: usize,
    end_column: usize,
    level: String,
    code: u32,
    message: String,
}

/// What ShellCheck says of scripts of one language.
pub(super) fn look(program: &Path, scripts: &[&Script]) -> Result<Vec<Vec<Remark>>, ToolError> {
    let shell = match scripts.first().map(|script| script.language) {
        Some(Language::Sh) => "sh",
        _ => "bash",
    };
    let folder = Folder::new()?;
    let before = |script: &Script| if script.ends_at_failure { FAIL_AT_ONCE } else { "" };
    let paths = lay(&folder, scripts, before, ".sh").map_err(ToolError::Lay)?;
    let options = ["--norc", "--format", "json1", "--exclude", LEFT_OUT, "--shell", shell, "--"];
    let mut arguments: Vec<OsString> = options.map(OsString::from).to_vec();
    arguments.extend(paths.iter().map(OsString::from));
    let printed = call(program, arguments)?;
    let answer: Answer = serde_json::from_slice(&printed).map_err(|_| ToolError::Output)?;
    let index: HashMap<&Path, usize> =
        paths.iter().enumerate().map(|(index, path)| (path.as_path(), index)).collect();
    let mut said = vec![Vec::new(); scripts.len()];
    for comment in answer.comments {
        let Some(&at) = index.get(comment.file.as_path()) else { continue };
        let lines = before(scripts[at]).lines().count();
        if comment.line <= lines {
            continue;
        }
        said[at].push(Remark {
            start: (comment.line - lines, comment.column),
            end: (comment.end_line.saturating_sub(lines).max(1), comment.end_column),
            message: format!("SC{}: {}", comment.code, comment.message),
            advice: comment.level == "style",
            help: Some(format!("https://www.shellcheck.net/wiki/SC{} tells more", comment.code)),
        });
    }
    Ok(said)
}
