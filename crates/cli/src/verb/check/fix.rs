//! `--fix` and `--diff`: the changes that findings come with, made round by round until nothing is left to change.
//!
//! Invariants: what no edit touches stays byte for byte; a round that would make GitHub refuse more than before is not
//! made; a file that changed since it was read is not written.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::TextDiff;
use workflow::diagnostic::{Diagnostic, Edit, Fix};
use workflow::source::SourceFile;

use super::CheckFormat;
use super::report::{Form, Report, plural};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::read_bytes;
use crate::output;
use crate::render::style::Style;

/// Rounds of changes: one change may bring up another.
const MAX_ROUNDS: usize = 10;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Lines around a change that a diff shows.
const CONTEXT: usize = 3;

/// A file after its changes.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The file as it is then.
    pub(super) file: SourceFile,
    /// What is left to find.
    pub(super) found: Vec<Diagnostic>,
    /// How many findings were mended.
    pub(super) count: usize,
}

/// A file's change that can be written.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// Its text before, without a byte-order mark.
    pub(super) before: Arc<str>,
    pub(super) after: SourceFile,
    /// How many findings it mends.
    pub(super) count: usize,
}

/// The changes of all files while they are shown and written.
#[derive(Debug)]
pub(super) struct Changes {
    /// Whether nothing is written.
    only_shown: bool,
    /// Whether standard output is there for diffs.
    output_is_free: bool,
    count: usize,
    files: usize,
    /// The first failure to show.
    broken: Option<Failure>,
}

impl Changes {
    pub(super) fn new(only_shown: bool, form: Form) -> Self {
        let output_is_free = only_shown || form.format == CheckFormat::Text;
        Self { only_shown, output_is_free, count: 0, files: 0, broken: None }
    }

    /// Shows the change of a file, then makes it. A failure is one of the report.
    pub(super) fn take(&mut self, change: &Change, report: &mut Report, config: &Config) {
        let diff = diff(&change.before, &change.after);
        if self.output_is_free {
            let shown = output::to_stdout(&coloured(&diff, config.stdout));
            self.broken = self.broken.take().or(shown.err());
        } else {
            output::to_stderr(&coloured(&diff, config.stderr));
        }
        if !self.only_shown
            && let Err(failure) = write(&change.path, &change.before, &change.after)
        {
            return report.take(Form::failed(failure));
        }
        self.count += change.count;
        self.files += 1;
    }

    /// Says what was changed, and what is left.
    pub(super) fn finish(
        self,
        report: Report,
        deny_warnings: bool,
        config: &Config,
    ) -> Result<Exit, Failure> {
        if let Some(failure) = self.broken {
            return Err(failure);
        }
        if !config.quiet && (self.count > 0 || self.only_shown) {
            let verb = if self.only_shown { "would mend" } else { "mended" };
            let (count, files) = (plural(self.count, "finding"), plural(self.files, "file"));
            output::to_stderr(&format!("{verb} {count} in {files}"));
        }
        match (self.only_shown, self.count) {
            (true, 0) => Ok(report.exit(false)),
            (true, _) => Ok(Exit::Negative),
            (false, _) => report.finish(deny_warnings, config.quiet),
        }
    }
}

fn coloured(diff: &str, style: Style) -> String {
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => style.green(line),
        Some(b'-') => style.red(line),
        Some(b'@') => style.cyan(line),
        _ => line.to_owned(),
    };
    match style.colours {
        true => diff.split_inclusive('\n').map(line).collect(),
        false => diff.to_owned(),
    }
}

/// Makes the changes of all findings for which `wanted` holds; `check` finds them.
pub(super) fn fix(
    file: SourceFile,
    check: impl Fn(&SourceFile) -> Vec<Diagnostic>,
    wanted: impl Fn(&Diagnostic) -> bool,
) -> Fixed {
    let found = check(&file);
    let mut fixed = Fixed { file, found, count: 0 };
    if fixed.file.malformed().is_some() {
        return fixed;
    }
    for _ in 0..MAX_ROUNDS {
        let fixes =
            fixed.found.iter().filter(|finding| wanted(finding) && finding.file == *fixed.file.name());
        let chosen = choose(fixes.filter_map(|finding| finding.fix.as_ref()), &fixed.file);
        if chosen.is_empty() {
            break;
        }
        let text = apply(fixed.file.text(), &chosen);
        let file = SourceFile::new(fixed.file.name().clone(), text);
        let found = check(&file);
        if errors(&found) > errors(&fixed.found) {
            break;
        }
        fixed = Fixed { file, found, count: fixed.count + chosen.len() };
    }
    fixed
}

fn errors(found: &[Diagnostic]) -> usize {
    found.iter().filter(|finding| finding.is_error()).count()
}

/// The fixes that can be made together, in the order of the file: of those that touch each other the first.
fn choose<'a>(fixes: impl Iterator<Item = &'a Fix>, file: &SourceFile) -> Vec<&'a Fix> {
    let mut taken: Vec<(u32, u32)> = Vec::new();
    let mut chosen: Vec<&Fix> = Vec::new();
    let text = file.text();
    for fix in fixes {
        let fits = |edit: &Edit| {
            text.get(edit.span.start as usize..edit.span.end as usize).is_some_and(|old| *old != *edit.text)
        };
        let spans: Vec<_> = fix.edits.iter().map(|edit| (edit.span.start, edit.span.end)).collect();
        let apart = |(start, end): &(u32, u32)| taken.iter().all(|(from, to)| end < from || start > to);
        if !spans.is_empty() && fix.edits.iter().all(fits) && spans.iter().all(apart) {
            taken.extend(spans);
            chosen.push(fix);
        }
    }
    chosen
}

fn apply(text: &str, fixes: &[&Fix]) -> String {
    let mut edits: Vec<&Edit> = fixes.iter().flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    // Lines that are put in end as those of the file do.
    let windows = text.find('\n').is_some_and(|newline| text[..newline].ends_with('\r'));
    let mut changed = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        let start = edit.span.start as usize;
        changed.push_str(&text[done..start.max(done)]);
        match windows {
            true => changed.push_str(&edit.text.replace('\n', "\r\n")),
            false => changed.push_str(&edit.text),
        }
        done = (edit.span.end as usize).max(done);
    }
    changed + &text[done..]
}

/// The unified diff of a file; empty where nothing changes.
fn diff(before: &str, after: &SourceFile) -> String {
    let name = after.name().strip_prefix("./").unwrap_or(after.name());
    let (old, new) = match name.starts_with('/') {
        true => (name.to_owned(), name.to_owned()),
        false => (format!("a/{name}"), format!("b/{name}")),
    };
    let diff = TextDiff::from_lines(before, &**after.text());
    diff.unified_diff().context_radius(CONTEXT).header(&old, &new).to_string()
}

/// Writes a file that had the text `before`: all or nothing, and not where it has changed since.
fn write(path: &Path, before: &str, after: &SourceFile) -> Result<(), Failure> {
    replace(path, before, after.text()).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing(format!("cannot write `{}`", path.display()))
    })
}

fn replace(path: &Path, before: &str, after: &str) -> io::Result<()> {
    // A link stays one: what it leads to is written.
    let path = path.canonicalize()?;
    let bytes = read_bytes(&path)?;
    let mark = bytes.strip_prefix(BYTE_ORDER_MARK).map_or(&[][..], |_| BYTE_ORDER_MARK);
    if bytes[mark.len()..] != *before.as_bytes() {
        return Err(io::Error::other("it has changed since it was checked"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.firedog-{}", std::process::id()));
    let written = write_new(&beside, &[mark, after.as_bytes()], fs::metadata(&path)?.permissions())
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written
}

fn write_new(path: &Path, parts: &[&[u8]], permissions: fs::Permissions) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(permissions)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use workflow::diagnostic::{Diagnostic, Edit, Severity};
    use workflow::source::{SourceFile, Span};

    use super::{Fixed, diff, fix, write};

    /// Finds each `a` and would write `b` for it, and each `bb` and would write `c`.
    fn check(file: &SourceFile) -> Vec<Diagnostic> {
        let finding = |start: usize, old: &str, new: &str| {
            let span = Span::new(start, start + old.len());
            let edit = Edit { span, text: new.to_owned() };
            Diagnostic::new("x", Severity::Warning, file, Some(span), "m").with_fix("t", vec![edit])
        };
        let each = |old: &'static str, new: &'static str| {
            file.text().match_indices(old).map(move |(start, _)| finding(start, old, new)).collect::<Vec<_>>()
        };
        [each("a", "b"), each("bb", "c")].concat()
    }

    fn fixed(text: &str) -> Fixed {
        fix(SourceFile::new("f", text), check, |_| true)
    }

    #[test]
    fn changes_bring_up_others() {
        let fixed = fixed("x aa y");
        assert_eq!(&**fixed.file.text(), "x c y");
        assert!(fixed.found.is_empty());
    }

    #[test]
    fn what_would_break_the_file_is_not_done() {
        let check = |file: &SourceFile| {
            let span = Some(Span::new(0, 1));
            let severity = if &**file.text() == "good" { Severity::Warning } else { Severity::Error };
            let edit = Edit { span: Span::new(0, 4), text: "bad".into() };
            vec![Diagnostic::new("x", severity, file, span, "m").with_fix("t", vec![edit])]
        };
        let fixed = fix(SourceFile::new("f", "good"), check, |_| true);
        assert_eq!((&**fixed.file.text(), fixed.count), ("good", 0));
    }

    #[test]
    fn diffs_name_the_file() {
        let after = SourceFile::new("./x.yml", "one\r\nTWO\r\n");
        assert_eq!(
            diff("one\r\ntwo\r\n", &after),
            "--- a/x.yml\n+++ b/x.yml\n@@ -1,2 +1,2 @@\n one\r\n-two\r\n+TWO\r\n"
        );
        assert_eq!(diff("one\r\nTWO\r\n", &after), "");
    }

    #[test]
    fn files_are_replaced_whole_or_not() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("f");
        fs::write(&path, b"\xEF\xBB\xBFold\r\n").expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("the mode can be set");
        let after = SourceFile::new("f", "new\r\n");
        write(&path, "old\r\n", &after).expect("it is as it was read");
        assert_eq!(fs::read(&path).expect("it is there"), b"\xEF\xBB\xBFnew\r\n");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o640);
        let failure = write(&path, "old\r\n", &after).expect_err("it is not as it was read");
        assert!(failure.cause().ends_with("it has changed since it was checked"), "{}", failure.cause());
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }

    proptest! {
        #[test]
        fn what_no_edit_touches_stays(text in "[abxä\r\n]{0,40}") {
            let fixed = fixed(&text);
            let rest = |text: &str| text.replace(['a', 'b', 'c'], "");
            prop_assert_eq!(rest(fixed.file.text()), rest(&text));
            prop_assert!(!fixed.file.text().contains('a'));
        }
    }
}
