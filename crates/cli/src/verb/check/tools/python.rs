//! Ruff and Pyflakes, and what they print.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use workflow::lint::tools::{PLACEHOLDER, Script};

use super::process::{Folder, ToolError, call};
use super::{Remark, lay};

/// As many placeholders are no name that anybody gives.
const PLACEHOLDERS: usize = 5;

#[derive(Debug, Deserialize)]
struct Violation {
    code: Option<String>,
    message: String,
    filename: PathBuf,
    location: Location,
    end_location: Location,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Location {
    row: usize,
    column: usize,
}

fn laid(scripts: &[&Script]) -> Result<(Folder, Vec<PathBuf>), ToolError> {
    let folder = Folder::new()?;
    let paths = lay(&folder, scripts, |_| "", ".py").map_err(ToolError::Lay)?;
    Ok((folder, paths))
}

fn arguments(options: &[&str], paths: &[PathBuf]) -> Vec<OsString> {
    options.iter().map(OsString::from).chain(paths.iter().map(OsString::from)).collect()
}

/// The script of a file that a tool names, in whatever form.
fn index_of(paths: &[PathBuf], named: &Path) -> Option<usize> {
    paths.iter().position(|path| path.file_name() == named.file_name())
}

/// Whether a message is about what stands in the place of an expression.
fn is_of_placeholder(message: &str) -> bool {
    message.contains(&String::from(PLACEHOLDER).repeat(PLACEHOLDERS))
}

/// What Ruff says, by its rules that are Pyflakes'.
pub(super) fn ruff(program: &Path, scripts: &[&Script]) -> Result<Vec<Vec<Remark>>, ToolError> {
    let (_folder, paths) = laid(scripts)?;
    let options =
        ["check", "--isolated", "--no-cache", "--quiet", "--select", "F", "--output-format", "json", "--"];
    let printed = call(program, arguments(&options, &paths))?;
    let violations: Vec<Violation> = serde_json::from_slice(&printed).map_err(|_| ToolError::Output)?;
    let mut said = vec![Vec::new(); scripts.len()];
    for violation in violations {
        let Some(at) = index_of(&paths, &violation.filename) else { continue };
        if is_of_placeholder(&violation.message) {
            continue;
        }
        let code = violation.code.map(|code| format!("{code}: ")).unwrap_or_default();
        said[at].push(Remark {
            start: (violation.location.row, violation.location.column),
            end: (violation.end_location.row, violation.end_location.column),
            message: format!("{code}{}", violation.message),
            advice: false,
            help: None,
        });
    }
    Ok(said)
}

/// What Pyflakes says: `FILE:LINE:COLUMN: MESSAGE` lines; others are the code that it shows.
pub(super) fn pyflakes(program: &Path, scripts: &[&Script]) -> Result<Vec<Vec<Remark>>, ToolError> {
    let (_folder, paths) = laid(scripts)?;
    let printed = call(program, arguments(&[], &paths))?;
    let printed = String::from_utf8_lossy(&printed);
    let mut said = vec![Vec::new(); scripts.len()];
    for line in printed.lines() {
        let Some((at, remark)) = remark_of(line, &paths) else { continue };
        if !is_of_placeholder(&remark.message) {
            said[at].push(remark);
        }
    }
    Ok(said)
}

fn remark_of(line: &str, paths: &[PathBuf]) -> Option<(usize, Remark)> {
    let mut parts = line.splitn(4, ':');
    let at = index_of(paths, Path::new(parts.next()?))?;
    let (row, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let message = parts.next()?.trim().to_owned();
    Some((at, Remark { start: (row, column), end: (row, column), message, advice: false, help: None }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{is_of_placeholder, remark_of};

    #[test]
    fn lines_of_pyflakes() {
        let paths = [PathBuf::from("/t/0.py"), PathBuf::from("/t/1.py")];
        let (at, remark) = remark_of("/t/1.py:2:7: undefined name 'x'", &paths).expect("it is a remark");
        assert_eq!((at, remark.start, remark.message.as_str()), (1, (2, 7), "undefined name 'x'"));
        assert_eq!(remark_of("    print(x", &paths), None);
        assert_eq!(remark_of("/t/2.py:1:1: m", &paths), None);
    }

    #[test]
    fn placeholders_are_not_found() {
        assert!(is_of_placeholder("undefined name '____________'"));
        assert!(!is_of_placeholder("undefined name '__name'"));
    }
}
