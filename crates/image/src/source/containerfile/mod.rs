//! A root file system made as a containerfile says.
//!
//! The file is read whole before anything is done; what is for containers only, or not understood, is refused with its line.
//! Files are copied from one tree to another, so nothing outside of the containerfile's own folder gets into an image; only
//! `RUN` needs a folder with the root in it.
//!
//! * `parse` and `expand` read the text, `pattern` names, `copy` copies, `sandbox` runs commands, `stage` is what has been made so far.

mod copy;
mod expand;
mod parse;
mod pattern;
mod sandbox;
mod stage;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::program::ProgramError;
use crate::progress::{Progress, Reporter};
use crate::recipe::DebianPackages;
use crate::source::Root;
use crate::source::archive;
use crate::source::debian::{self, DebianError};
use crate::source::folder::{self, FolderError, Owners};
use crate::source::oci::{self, OciError, OciOrigin, ReferenceError};
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::Tree;
use parse::{Instruction, What};
use pattern::Ignored;
pub use sandbox::SandboxError;
use stage::{RunError, Stage};

/// Most stages of a containerfile.
const MAX_STAGES: usize = 100;

/// Why a containerfile makes no root file system.
#[derive(Debug, thiserror::Error)]
pub enum ContainerfileError {
    /// A file cannot be read or written.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text, or what it asks for, is refused.
    #[error("line {line}: {problem}")]
    Refused {
        /// Counted from one.
        line: usize,
        /// Why.
        problem: String,
    },
    /// An instruction cannot be followed.
    #[error("line {line}: {what}")]
    Step {
        /// Counted from one.
        line: usize,
        /// What was being done.
        what: &'static str,
        /// Why not.
        #[source]
        source: StepError,
    },
    /// The folder of the containerfile cannot be read.
    #[error("cannot read what may be copied")]
    Context(#[source] FolderError),
}

/// Why an instruction cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is no base of Debian packages.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// There is no base from a container image.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The base is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A command cannot be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A command failed.
    #[error("the command failed ({status}); it said last:\n{said}")]
    Command {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last lines.
        said: String,
    },
    /// An archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] TarError),
}

/// The line of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(usize);

impl Place {
    fn wrong(self, problem: impl Display) -> ContainerfileError {
        ContainerfileError::Refused { line: self.0, problem: problem.to_string() }
    }

    fn failed<E: Into<StepError>>(self, what: &'static str) -> impl FnOnce(E) -> ContainerfileError {
        move |source| ContainerfileError::Step { line: self.0, what, source: source.into() }
    }
}

/// What a containerfile and all its bases need.
struct Building<'a> {
    /// The folder of the containerfile: what may be copied.
    context: PathBuf,
    /// That folder as a tree, once something is copied from it.
    files: Option<Arc<Tree>>,
    /// Values for `ARG` from outside.
    arguments: &'a BTreeMap<String, String>,
    scratch: &'a Path,
    epoch: i64,
    limit: u64,
    report: Reporter<'a>,
    done: Vec<(Option<String>, Stage)>,
    /// `ARG` before the first `FROM`.
    global: BTreeMap<String, String>,
    escape: char,
}

/// The root file system that the containerfile at `path` makes; what is written on the way goes into `scratch`.
pub(crate) fn root(
    path: &Path,
    arguments: &BTreeMap<String, String>,
    scratch: &Path,
    epoch: i64,
    limit: u64,
    report: Reporter<'_>,
) -> Result<Root, ContainerfileError> {
    let text = read(path)?;
    let instructions = parse::parse(&text)?;
    let context = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut building = Building {
        context: context.to_owned(),
        files: None,
        arguments,
        scratch,
        epoch,
        limit,
        report,
        done: Vec::new(),
        global: BTreeMap::new(),
        escape: parse::escape(&text),
    };
    let mut current: Option<(Option<String>, Stage)> = None;
    for instruction in &instructions {
        report(Progress::Stage(&format!("line {}", instruction.line)));
        building.follow(instruction, &mut current)?;
    }
    let last = Place(text.lines().count().max(1));
    let (_, mut stage) = current.ok_or_else(|| last.wrong("there is no `FROM`"))?;
    stage.settle(report).map_err(last.failed("reading back what was made"))?;
    Ok(stage.into_root())
}

fn read(path: &Path) -> Result<String, ContainerfileError> {
    let failed = |source| ContainerfileError::File { operation: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(parse::MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > parse::MAX_FILE {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    String::from_utf8(bytes).map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}

impl Building<'_> {
    fn follow(
        &mut self,
        instruction: &Instruction,
        current: &mut Option<(Option<String>, Stage)>,
    ) -> Result<(), ContainerfileError> {
        let place = Place(instruction.line);
        if let What::From { base, name } = &instruction.what {
            if let Some((name, mut stage)) = current.take() {
                stage.settle(self.report).map_err(place.failed("reading back what was made"))?;
                self.done.push((name, stage));
            }
            if self.done.len() >= MAX_STAGES {
                return Err(place.wrong(format!("there are more than {MAX_STAGES} stages")));
            }
            let known = |name: &str| self.global.get(name).cloned();
            let base = expand::expand(base, self.escape, &known).map_err(|problem| place.wrong(problem))?;
            *current = Some((name.clone(), self.base(&base, place)?));
            return Ok(());
        }
        match (current, &instruction.what) {
            (Some((_, stage)), what) => self.change(stage, what, place),
            (None, What::Arg(arguments)) => {
                for (name, default) in arguments {
                    let known = |name: &str| self.global.get(name).cloned();
                    let default =
                        default.as_ref().map(|text| expand::expand(text, self.escape, &known)).transpose();
                    let default = default.map_err(|problem| place.wrong(problem))?;
                    if let Some(value) = self.arguments.get(name).cloned().or(default) {
                        self.global.insert(name.clone(), value);
                    }
                }
                Ok(())
            }
            (None, _) => Err(place.wrong("the first instruction must be `FROM`")),
        }
    }

    /// What a stage begins with: nothing, an earlier stage, Debian packages, or a container image.
    fn base(&mut self, base: &str, place: Place) -> Result<Stage, ContainerfileError> {
        if base == "scratch" {
            return Ok(Stage::new(Root::new(Tree::new(), String::new())));
        }
        if let Some((_, stage)) =
            self.done.iter().find(|(name, _)| name.as_deref() == Some(&base.to_ascii_lowercase()))
        {
            return Ok(stage.begun_from());
        }
        let scratch = self.scratch.join(format!("base-{}", self.done.len()));
        fs::create_dir(&scratch).map_err(|source| ContainerfileError::File {
            operation: "make",
            path: scratch.clone(),
            source,
        })?;
        if let Some(suite) = debian_suite(base) {
            let more = ["ca-certificates".to_owned()];
            let made = debian::root(suite, DebianPackages::Base, &more, self.epoch, &scratch, self.report);
            return made.map(Stage::new).map_err(place.failed("installing Debian"));
        }
        let origin = match base.strip_prefix("oci:") {
            Some(path) => OciOrigin::Path(self.context.join(path)),
            None => {
                let reference = base.parse().map_err(place.failed::<ReferenceError>("finding the base"))?;
                OciOrigin::Registry { reference, credentials: None }
            }
        };
        let made = oci::root(&origin, &scratch, self.limit, self.report);
        made.map(Stage::new).map_err(place.failed("reading the base"))
    }

    fn change(&mut self, stage: &mut Stage, what: &What, place: Place) -> Result<(), ContainerfileError> {
        let wrong = |problem: String| place.wrong(problem);
        match what {
            What::From { .. } => unreachable!("`FROM` begins a stage"),
            What::Env(pairs) => {
                // All are replaced before the first is set.
                let known = stage.variables();
                for (name, value) in pairs {
                    let value = expand::expand(value, self.escape, &known).map_err(wrong)?;
                    stage.environment.insert(name.clone(), value);
                }
                Ok(())
            }
            What::Label(pairs) => {
                let known = stage.variables();
                for (name, value) in pairs {
                    let name = expand::expand(name, self.escape, &known).map_err(wrong)?;
                    let value = expand::expand(value, self.escape, &known).map_err(wrong)?;
                    stage.labels.insert(name, value);
                }
                Ok(())
            }
            What::Arg(arguments) => {
                for (name, default) in arguments {
                    let known = stage.variables();
                    let default =
                        default.as_ref().map(|text| expand::expand(text, self.escape, &known)).transpose();
                    let default = default.map_err(wrong)?;
                    let outside = self.arguments.get(name).cloned();
                    if let Some(value) = outside.or(default).or_else(|| self.global.get(name).cloned()) {
                        stage.arguments.insert(name.clone(), value);
                    }
                }
                Ok(())
            }
            What::Shell(words) => {
                stage.shell.clone_from(words);
                Ok(())
            }
            What::User(user) => {
                stage.user = Some(expand::expand(user, self.escape, &stage.variables()).map_err(wrong)?);
                Ok(())
            }
            What::WorkDir(folder) => {
                let folder = expand::expand(folder, self.escape, &stage.variables()).map_err(wrong)?;
                self.settle(stage, place)?;
                stage.enter(&folder).map_err(|problem| place.wrong(problem))
            }
            What::Run(command) => {
                let scratch = self.scratch.join("sandbox");
                stage.run(command, &scratch, self.epoch, self.report).map_err(|problem| match problem {
                    RunError::User(problem) => place.wrong(problem),
                    RunError::Sandbox(SandboxError::Run(ProgramError::Failed { status, said, .. })) => {
                        ContainerfileError::Step {
                            line: place.0,
                            what: "running a command",
                            source: StepError::Command { status, said },
                        }
                    }
                    RunError::Sandbox(problem) => place.failed("running a command")(problem),
                })
            }
            What::Copy(copy) => self.copy(stage, copy, false, place),
            What::Add(copy) => self.copy(stage, copy, true, place),
        }
    }

    fn settle(&self, stage: &mut Stage, place: Place) -> Result<(), ContainerfileError> {
        stage.settle(self.report).map_err(place.failed("reading back what was made"))
    }

    fn copy(
        &mut self,
        stage: &mut Stage,
        asked: &parse::Copy,
        unpacks: bool,
        place: Place,
    ) -> Result<(), ContainerfileError> {
        self.settle(stage, place)?;
        let known = stage.variables();
        let (escape, wrong) = (self.escape, |problem: String| place.wrong(problem));
        let text = |text: &String| expand::expand(text, escape, &known).map_err(wrong);
        let sources = asked.sources.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let target = stage.absolute(&text(&asked.target)?);
        let owner = asked.owner.as_ref().map(text).transpose()?;
        let permissions = asked.permissions.as_ref().map(text).transpose()?;
        let changes = stage.changes(owner.as_deref(), permissions.as_deref()).map_err(wrong)?;
        if let Some(remote) =
            sources.iter().find(|source| source.contains("://") || source.starts_with("git@"))
        {
            return Err(place.wrong(format!(
                "`{remote}` is not in the containerfile's folder; use `RUN` with a program that downloads it"
            )));
        }
        let from = self.copied_from(asked.from.as_deref(), place)?;
        let mut found = Vec::new();
        for source in &sources {
            found.extend(copy::find(&from, source).map_err(|problem| place.wrong(problem))?);
        }
        if unpacks {
            let mut plain = Vec::new();
            for path in found {
                match self.unpacked(&from, &path, place)? {
                    None => plain.push(path),
                    Some(tree) => {
                        copy::copy(&tree, &[Vec::new()], stage.tree_mut(), &format!("{target}/"), changes)
                            .map_err(|problem| place.wrong(problem))?
                    }
                }
            }
            if plain.is_empty() {
                return Ok(());
            }
            found = plain;
        }
        copy::copy(&from, &found, stage.tree_mut(), &target, changes).map_err(|problem| place.wrong(problem))
    }

    /// The tree of a stage or of a container image, or of the containerfile's folder.
    fn copied_from(&mut self, name: Option<&str>, place: Place) -> Result<Arc<Tree>, ContainerfileError> {
        let Some(name) = name else { return self.files() };
        let by_number = name.parse::<usize>().ok().and_then(|number| self.done.get(number));
        if let Some((_, stage)) = by_number {
            return Ok(Arc::new(stage.tree().clone()));
        }
        Ok(Arc::new(self.base(name, place)?.tree().clone()))
    }

    /// The containerfile's folder, without what its `.dockerignore` names.
    fn files(&mut self) -> Result<Arc<Tree>, ContainerfileError> {
        if let Some(files) = &self.files {
            return Ok(Arc::clone(files));
        }
        (self.report)(Progress::Stage("reading what may be copied"));
        let path = self.context.join(".dockerignore");
        let ignored = match fs::read_to_string(&path) {
            Ok(text) => Ignored::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ignored::default(),
            Err(source) => return Err(ContainerfileError::File { operation: "read", path, source }),
        };
        let spool = self.scratch.join("context");
        fs::create_dir(&spool).map_err(|source| ContainerfileError::File {
            operation: "make",
            path: spool.clone(),
            source,
        })?;
        let mut tree = Tree::new();
        // What is in a folder that is left out may come back by an exception.
        let is_wanted = |path: &[u8], is_folder: bool| {
            !ignored.is_ignored(path) || (is_folder && ignored.has_exceptions())
        };
        folder::add_wanted(&mut tree, b"", &self.context, Owners::Root, &spool, &is_wanted)
            .map_err(ContainerfileError::Context)?;
        let files = Arc::new(tree);
        self.files = Some(Arc::clone(&files));
        Ok(files)
    }

    /// The tree in an archive, where the file at a path is one.
    fn unpacked(&self, from: &Tree, path: &[u8], place: Place) -> Result<Option<Tree>, ContainerfileError> {
        let Some(content) = from.content(path) else { return Ok(None) };
        let copy = self.scratch.join("added");
        let plain = self.scratch.join("added.tar");
        let file = |source| ContainerfileError::File { operation: "write", path: copy.clone(), source };
        let mut target = File::create(&copy).map_err(file)?;
        io::copy(&mut content.reader(), &mut target).map_err(file)?;
        let Ok(archive) = archive::plain(&copy, self.scratch, "added.tar", self.limit) else {
            return Ok(None);
        };
        let mut magic = [0; 5];
        let is_tar = archive.read_exact_at(&mut magic, 257).is_ok() && &magic == b"ustar";
        // The tree keeps the file open that it needs.
        for path in [&copy, &plain] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
                _ => {}
            }
        }
        if !is_tar {
            return Ok(None);
        }
        let mut tree = Tree::new();
        tarball::read_into(&mut tree, archive, Whiteouts::Keep)
            .map_err(place.failed("unpacking an archive"))?;
        Ok(Some(tree))
    }
}

/// The release in `debian` or `debian:RELEASE`. With a number or a variant it is an image of a registry.
fn debian_suite(base: &str) -> Option<&str> {
    match base.strip_prefix("debian") {
        Some("") => Some("bookworm"),
        Some(rest) => {
            let suite = rest.strip_prefix(':')?;
            let is_word = !suite.is_empty() && suite.bytes().all(|byte| byte.is_ascii_lowercase());
            (is_word && !["latest", "stable", "slim"].contains(&suite)).then_some(suite)
        }
        None => None,
    }
}
