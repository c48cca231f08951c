//! `check --watch`: checks everything once, then whatever is saved and what depends on it.
//!
//! The folders of the files, of the workflows and of the configuration are watched through inotify. A saved file is checked
//! together with the files that name it after `./`, directly or through others; a saved configuration or lock is a reason
//! to check everything, a new or removed file to look for files anew. Between rounds nothing is kept but what each file
//! names ([`References`]), which is read again with the file.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use serde_json::json;

use super::checker::{Checker, with_checker};
use super::discover::{Target, is_action, targets};
use super::lock::LOCK;
use super::report::{Report, plural};
use super::{CheckArgs, CheckFormat};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::read_bytes;
use crate::{output, parallel};

/// Bytes of events that are read at once.
const BUFFER: usize = 16 * 1024;
/// How long after an event more of the same save are waited for: editors write, then rename.
const TOGETHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// Folders that are watched at most.
const MAX_FOLDERS: usize = 4096;

/// Checks until the process is ended.
pub(super) fn run(args: &CheckArgs, config: &Config) -> Result<Exit, Failure> {
    if !matches!(args.format, CheckFormat::Text | CheckFormat::Ndjson) {
        return Err(Failure::usage("`--watch` writes text or ndjson"));
    }
    let mut watch = Watch::new().map_err(cannot_watch)?;
    let mut known = find(args, &mut watch)?;
    round(args, config, &known);
    let mut references = References::default();
    references.read(&known);
    if args.format == CheckFormat::Ndjson {
        say(&json!({ "event": "watching", "files": known.len() }))?;
    }
    loop {
        let saved = watch.next().map_err(cannot_watch)?;
        let started = Instant::now();
        let everything = saved.iter().any(|path| is_setting(path, args));
        let is_known = |path: &PathBuf| path.is_file() && known.iter().any(|target| target.path == *path);
        let mut changed = Vec::new();
        if !saved.iter().all(|path| is_known(path) || is_setting(path, args)) {
            let before = std::mem::replace(&mut known, find(args, &mut watch)?);
            changed.extend(before.iter().filter(|target| !known.contains(target)).cloned());
            changed.extend(known.iter().filter(|target| !before.contains(target)).cloned());
            references.keep(&known);
        }
        let touched = known.iter().filter(|target| saved.contains(&target.path));
        let touched: Vec<_> = touched.filter(|target| !changed.contains(target)).cloned().collect();
        changed.extend(touched);
        references.read(&changed);
        if everything || !changed.is_empty() {
            let concerned = if everything { known.clone() } else { references.dependents(&known, &changed) };
            answer(args, config, &concerned, &changed, started)?;
        }
    }
}

fn say(event: &serde_json::Value) -> Result<(), Failure> {
    output::to_stdout(&format!("{event}\n"))
}

fn cannot_watch(error: rustix::io::Errno) -> Failure {
    Failure::new(Exit::Missing, std::io::Error::from(error)).while_doing("cannot watch the files")
}

/// The files to check now, their folders watched.
fn find(args: &CheckArgs, watch: &mut Watch) -> Result<Vec<Target>, Failure> {
    let root = args.reading.root();
    let known = targets(&args.files, root)?;
    let own = [root.to_owned(), root.join(".github"), root.join(".github/workflows")];
    let given = args.config.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let named = args.files.iter().filter(|path| path.is_dir()).cloned();
    let of_targets = known.iter().filter_map(|target| target.path.parent()).map(Path::to_owned);
    own.into_iter().chain(given).chain(named).chain(of_targets).for_each(|folder| watch.add(&folder));
    Ok(known)
}

/// Whether the file says how files are checked.
fn is_setting(path: &Path, args: &CheckArgs) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    matches!(name, "firedog.toml" | "actionlint.yaml" | "actionlint.yml")
        || path.ends_with(LOCK)
        || args.config.as_deref() == Some(path)
}

/// Checks what changed and what depends on it, and says so.
fn answer(
    args: &CheckArgs,
    config: &Config,
    concerned: &[Target],
    changed: &[Target],
    started: Instant,
) -> Result<(), Failure> {
    let checked = round(args, config, concerned);
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let names: Vec<String> = changed.iter().map(|target| target.name.display().to_string()).collect();
    let others = concerned.iter().filter(|target| !changed.contains(target)).count();
    if args.format == CheckFormat::Ndjson {
        return say(
            &json!({ "event": "checked", "changed": names, "others": others, "milliseconds": milliseconds }),
        );
    }
    if checked {
        let what = if names.is_empty() { "the configuration".to_owned() } else { names.join(", ") };
        let more = if others > 0 { format!(" and {}", plural(others, "other file")) } else { String::new() };
        output::to_stderr(&format!("checked {what}{more} in {milliseconds:.1} ms\n"));
    }
    Ok(())
}

/// Checks files and writes what is found; whether that was possible.
fn round(args: &CheckArgs, config: &Config, concerned: &[Target]) -> bool {
    let here: Vec<&Target> = concerned.iter().filter(|target| target.path.is_file()).collect();
    let done = with_checker(args, config, |checker: &Checker<'_>| {
        let mut report = Report::new(checker.form, config);
        parallel::in_order(&here, |target| checker.report(target), |piece| report.take(piece));
        report.finish(args.deny_warnings, config.quiet)
    });
    if let Err(failure) = &done {
        output::to_stderr(&failure.text(config.stderr));
    }
    done.is_ok()
}

/// What each file names after `./`, by the path of the file.
#[derive(Default)]
struct References(HashMap<PathBuf, Vec<String>>);

impl References {
    /// Bytes that a name may have, at most.
    const MAX_NAME: usize = 1024;

    /// Reads what the files name now. One that cannot be read names nothing.
    fn read(&mut self, files: &[Target]) {
        for target in files {
            let text = read_bytes(&target.path).unwrap_or_default();
            self.0.insert(target.path.clone(), Self::of(&String::from_utf8_lossy(&text)));
        }
    }

    /// Forgets all files but these.
    fn keep(&mut self, known: &[Target]) {
        let paths: BTreeSet<&PathBuf> = known.iter().map(|target| &target.path).collect();
        self.0.retain(|path, _| paths.contains(path));
    }

    /// The rests of lines behind each `./`: where a name ends is not known, as it may have spaces.
    fn of(text: &str) -> Vec<String> {
        let in_line = |line: &str| -> Vec<String> {
            let rest = |(at, _)| &line[at..line.floor_char_boundary(at + Self::MAX_NAME)];
            line.match_indices("./").map(rest).map(str::to_owned).collect()
        };
        text.lines().flat_map(in_line).collect()
    }

    /// The changed files and those that name them after `./`, directly or through others, in the order of `known`.
    fn dependents(&self, known: &[Target], changed: &[Target]) -> Vec<Target> {
        let mut found: BTreeSet<&Target> = changed.iter().collect();
        let mut open: Vec<&Target> = changed.iter().collect();
        while let Some(target) = open.pop() {
            let reference = reference_to(target);
            for other in known {
                let names = self.0.get(&other.path).map(Vec::as_slice).unwrap_or_default();
                if names.iter().any(|name| name.starts_with(&reference)) && found.insert(other) {
                    open.push(other);
                }
            }
        }
        known.iter().filter(|target| found.contains(target)).cloned().collect()
    }
}

/// How other files name this one: a workflow by its path, an action by its folder.
fn reference_to(target: &Target) -> String {
    let name = target.name.strip_prefix("./").unwrap_or(&target.name);
    let named = if is_action(name) { name.parent().unwrap_or(Path::new("")) } else { name };
    format!("./{}", named.display())
}

/// Folders that are watched.
struct Watch {
    queue: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Watch {
    fn new() -> rustix::io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { queue, folders: HashMap::new(), buffer: vec![MaybeUninit::uninit(); BUFFER].into() })
    }

    /// Watches a folder, if it is there. One that is watched already stays so.
    fn add(&mut self, folder: &Path) {
        let changes = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if self.folders.len() < MAX_FOLDERS
            && let Ok(id) = inotify::add_watch(&self.queue, place, changes)
        {
            self.folders.insert(id, if place == Path::new(".") { PathBuf::new() } else { place.to_owned() });
        }
    }

    /// Waits until something is saved that matters: the paths, each once.
    fn next(&mut self) -> rustix::io::Result<BTreeSet<PathBuf>> {
        let mut saved = BTreeSet::new();
        loop {
            let limit = (!saved.is_empty()).then_some(&TOGETHER);
            let ready = poll(&mut [PollFd::new(&self.queue, PollFlags::IN)], limit);
            match ready {
                Ok(0) => return Ok(saved),
                Ok(_) => self.read(&mut saved)?,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, saved: &mut BTreeSet<PathBuf>) -> rustix::io::Result<()> {
        let mut reader = Reader::new(&self.queue, &mut self.buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            };
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) else {
                continue;
            };
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            // A file that was only made is not yet written.
            let is_folder = event.events().contains(ReadFlags::ISDIR);
            let is_made = event.events().contains(ReadFlags::CREATE);
            let is_new = is_made || event.events().contains(ReadFlags::MOVED_TO);
            if (is_folder && is_new) || (!is_folder && !is_made && matters(&path)) {
                saved.insert(path);
            }
        }
    }
}

/// Whether a file can have something to do with workflows, by its name.
fn matters(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    matches!(extension, "yml" | "yaml" | "toml" | "lock")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{References, Target};

    #[test]
    fn what_names_a_changed_file_is_checked_too() {
        let root = tempfile::tempdir().expect("a folder can be made");
        let target = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a file is in a folder"))
                .expect("a folder can be made");
            std::fs::write(&path, text).expect("a file can be written");
            Target { name: PathBuf::from(name), path }
        };
        let known = [
            target("act/action.yml", "steps: []"),
            target("w/a.yml", "uses: ./w/b.yml"),
            target("w/b.yml", "uses: ./act"),
            target("w/c.yml", "run: make"),
        ];
        let mut references = References::default();
        references.read(&known);
        let check = |references: &References, changed: &[Target], expected: &[&str]| {
            let found = references.dependents(&known, changed);
            let names: Vec<String> = found.iter().map(|target| target.name.display().to_string()).collect();
            assert_eq!(names, expected, "{changed:?}");
        };
        check(&references, &known[..1], &["act/action.yml", "w/a.yml", "w/b.yml"]);
        check(&references, &known[1..2], &["w/a.yml"]);
        check(&references, &known[3..], &["w/c.yml"]);
        std::fs::write(&known[3].path, "- uses: './act' # x").expect("a file can be written");
        check(&references, &known[..1], &["act/action.yml", "w/a.yml", "w/b.yml"]);
        references.read(&known[3..]);
        check(&references, &known[..1], &["act/action.yml", "w/a.yml", "w/b.yml", "w/c.yml"]);
        references.keep(&known[2..]);
        check(&references, &known[2..3], &["w/b.yml"]);
    }
}
