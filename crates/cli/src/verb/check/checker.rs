//! Reads and checks files of one repository, as its configuration says.

use std::path::PathBuf;

use workflow::diagnostic::{Diagnostic, Parsed};
use workflow::lint::tools::{scripts_of_action, scripts_of_workflow};
use workflow::lint::{Settings, check_action, check_workflow, examine_action, examine_workflow, settle};
use workflow::read::{CalledFiles, ReadOptions, Strictness};
use workflow::source::SourceFile;

use super::CheckArgs;
use super::configuration::Configuration;
use super::discover::{Target, is_action};
use super::fix;
use super::lock::Lock;
use super::report::{Form, Piece, Report};
use super::tools::{Examined, Tools};
use crate::config::Config;
use crate::failure::Failure;
use crate::files::{self, LocalActions};
use crate::parallel;

/// Calls `work` with the checker of the repository that the arguments name, its configuration read anew.
pub(super) fn with_checker<R>(
    args: &CheckArgs,
    config: &Config,
    work: impl FnOnce(&Checker<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let root = args.reading.root();
    let resolver = args.reading.called_workflows();
    let called = CalledFiles::default();
    let configuration = Configuration::load(root, args.config.as_deref(), config)?;
    let actions = LocalActions::new(root).with_lock(Lock::of(root, config)?);
    work(&Checker {
        options: ReadOptions { called: Some(&called), ..args.reading.options(&resolver, Strictness::Author) },
        settings: configuration.settings(&actions),
        configuration: &configuration,
        root: root.canonicalize().ok(),
        form: Form::new(args.format, args.severity, config),
    })
}

/// Checks files of one repository.
pub(super) struct Checker<'a> {
    options: ReadOptions<'a>,
    settings: Settings<'a>,
    configuration: &'a Configuration,
    /// ROOT as an absolute path.
    pub(super) root: Option<PathBuf>,
    pub(super) form: Form,
}

impl Checker<'_> {
    pub(super) fn read(&self, target: &Target) -> Result<SourceFile, Failure> {
        files::read_as(&target.path, self.form.name(&target.name, self.root.as_deref()))
    }

    /// Everything that is found in a file.
    fn check(&self, target: &Target, file: &SourceFile) -> Vec<Diagnostic> {
        let found = if is_action(&target.name) {
            check_action(file, &self.options, &self.settings).diagnostics
        } else {
            check_workflow(file, &self.options, &self.settings).diagnostics
        };
        self.wanted(target, found)
    }

    /// The findings that the configuration does not ignore.
    fn wanted(&self, target: &Target, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        if self.configuration.has_ignores() && !found.is_empty() {
            self.configuration.retain(&self.in_repository(target), &mut found);
        }
        found
    }

    /// The path of a file relative to ROOT, or its name where it is not in it.
    fn in_repository(&self, target: &Target) -> PathBuf {
        let absolute = target.path.canonicalize().ok();
        let inside = absolute.as_deref().zip(self.root.as_deref());
        inside.and_then(|(path, root)| path.strip_prefix(root).ok()).unwrap_or(&target.name).to_owned()
    }

    pub(super) fn report(&self, target: &Target) -> Piece {
        match self.read(target) {
            Ok(file) => self.form.write(&file, self.check(target, &file)),
            Err(failure) => Form::failed(failure),
        }
    }

    /// Everything but what tools say, and the scripts that they are to see.
    fn examine(&self, target: &Target) -> Result<Examined, Failure> {
        let file = self.read(target)?;
        let (found, scripts) = if is_action(&target.name) {
            let Parsed { value, diagnostics } = examine_action(&file, &self.options, &self.settings);
            (diagnostics, value.map(|action| scripts_of_action(&file, &action)))
        } else {
            let Parsed { value, diagnostics } = examine_workflow(&file, &self.options, &self.settings);
            (diagnostics, value.map(|workflow| scripts_of_workflow(&file, &workflow)))
        };
        Ok(Examined { file, found, scripts: scripts.unwrap_or_default() })
    }

    /// Reports all files after other programs have looked at their scripts.
    pub(super) fn report_with(&self, mut tools: Tools, targets: &[Target], report: &mut Report) {
        let mut examined = Vec::with_capacity(targets.len());
        let mut read = Vec::with_capacity(targets.len());
        let work = |target: &Target| (target.clone(), self.examine(target));
        parallel::in_order(targets, work, |(target, result)| match result {
            Ok(file) => {
                examined.push(file);
                read.push(target);
            }
            Err(failure) => report.take(Form::failed(failure)),
        });
        tools.look(&mut examined, |code| self.settings.is_on(code));
        let files: Vec<_> = read.iter().zip(&examined).collect();
        let write = |(target, examined): &(&Target, &Examined)| {
            let found = settle(&examined.file, examined.found.clone(), &self.settings);
            self.form.write(&examined.file, self.wanted(target, found))
        };
        parallel::in_order(&files, write, |piece| report.take(piece));
    }

    /// A file with its changes made, not yet written; what is left to find then.
    pub(super) fn fix(&self, target: &Target) -> (Piece, Option<fix::Change>) {
        let file = match self.read(target) {
            Ok(file) => file,
            Err(failure) => return (Form::failed(failure), None),
        };
        let before = file.text().clone();
        let check = |file: &SourceFile| self.check(target, file);
        let fixed = fix::fix(file, check, |finding| self.form.shows(finding));
        let change = (fixed.count > 0).then(|| fix::Change {
            path: target.path.clone(),
            before,
            after: fixed.file.clone(),
            count: fixed.count,
        });
        (self.form.write(&fixed.file, fixed.found), change)
    }
}
