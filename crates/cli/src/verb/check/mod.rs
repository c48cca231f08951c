//! `firedog check`: what is wrong with workflow and action files.
//!
//! Files are found ([`discover`]), read and checked on all cores after the repository's [`configuration`], changed where
//! that is asked for ([`fix`]); other programs look at their scripts ([`tools`]), and what is found is written in the
//! chosen form ([`report`]).

mod configuration;
mod discover;
mod explain;
mod fix;
mod glob;
mod lock;
mod report;
mod tools;

use std::path::PathBuf;

use clap::ValueEnum;
use workflow::diagnostic::{Diagnostic, Parsed};
use workflow::lint::tools::{scripts_of_action, scripts_of_workflow};
use workflow::lint::{Settings, check_action, check_workflow, examine_action, examine_workflow, settle};
use workflow::read::{ReadOptions, Strictness};
use workflow::source::SourceFile;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::LocalActions;
use crate::reading::ReadingArgs;
use crate::{files, parallel};
use discover::Target;
use report::{Form, Piece, Report};
use tools::{Examined, Tool, Tools};

pub(crate) use configuration::Configuration;
pub(crate) use discover::is_action;
pub(crate) use lock::Lock;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Workflows, actions when they are named action.yml or action.yaml, or folders of them [default: all workflows and
    /// actions of ROOT]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the findings are written: for people, as one JSON object, one object a line, SARIF 2.1.0, or workflow commands
    /// that GitHub shows at the lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: CheckFormat,
    /// The least severity that is shown and counts [default: warning for text and github, info for the others]
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<LeastSeverity>,
    /// End with exit code 1 also for warnings that are shown
    #[arg(long)]
    deny_warnings: bool,
    /// Explain a rule, with an example; list all rules without CODE
    #[arg(long, value_name = "CODE", num_args = 0..=1)]
    explain: Option<Option<String>>,
    /// Make the changes that findings come with, and show them as a diff
    #[arg(long)]
    fix: bool,
    /// Show the changes that `--fix` would make; end with exit code 1 if there are any
    #[arg(long, conflicts_with = "fix")]
    diff: bool,
    /// The configuration: firedog.toml, or one of actionlint [default: firedog.toml or actionlint.yaml of ROOT or
    /// ROOT/.github]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which programs look at scripts: shellcheck, ruff, pyflakes [default: those that are installed]
    #[arg(long, value_name = "TOOL", value_delimiter = ',', conflicts_with = "no_tools")]
    tools: Vec<Tool>,
    /// No other program looks at scripts
    #[arg(long)]
    no_tools: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Ndjson,
    Sarif,
    Github,
    /// Only for `--explain`: the source of `docs/rules.md`.
    #[value(hide = true)]
    Markdown,
}

/// The least severity that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeastSeverity {
    Error,
    Warning,
    Info,
}

pub(crate) fn run(args: &CheckArgs, config: &Config) -> Result<Exit, Failure> {
    if let Some(code) = &args.explain {
        return explain::run(code.as_deref(), args.format, config);
    }
    if args.format == CheckFormat::Markdown {
        return Err(Failure::usage("only `--explain` is written as markdown"));
    }
    let root = args.reading.root();
    let resolver = args.reading.called_workflows();
    let configuration = Configuration::load(root, args.config.as_deref(), config)?;
    let actions = LocalActions::new(root).with_lock(Lock::of(root, config)?);
    let checker = Checker {
        options: args.reading.options(&resolver, Strictness::Author),
        settings: configuration.settings(&actions),
        configuration: &configuration,
        root: root.canonicalize().ok(),
        form: Form::new(args.format, args.severity, config),
    };
    let targets = discover::targets(&args.files, root)?;
    let mut report = Report::new(checker.form, config);
    if args.fix || args.diff {
        let mut changes = fix::Changes::new(args.diff, checker.form);
        let work = |target: &Target| checker.fix(target);
        parallel::in_order(&targets, work, |(piece, change)| {
            change.into_iter().for_each(|change| changes.take(&change, &mut report, config));
            // The findings of files that are only shown are not asked for.
            if args.fix || piece.is_failure() {
                report.take(piece);
            }
        });
        return changes.finish(report, args.deny_warnings, config);
    }
    let tools = match args.no_tools {
        true => None,
        false => Tools::find(&args.tools, checker.root.as_deref(), config)?,
    };
    match tools {
        Some(tools) => checker.report_with(tools, &targets, &mut report),
        None => parallel::in_order(&targets, |target| checker.report(target), |piece| report.take(piece)),
    }
    report.finish(args.deny_warnings, config.quiet)
}

/// Checks files of one repository.
struct Checker<'a> {
    options: ReadOptions<'a>,
    settings: Settings<'a>,
    configuration: &'a Configuration,
    /// ROOT as an absolute path.
    root: Option<PathBuf>,
    form: Form,
}

impl Checker<'_> {
    fn read(&self, target: &Target) -> Result<SourceFile, Failure> {
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

    fn report(&self, target: &Target) -> Piece {
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
    fn report_with(&self, mut tools: Tools, targets: &[Target], report: &mut Report) {
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
    fn fix(&self, target: &Target) -> (Piece, Option<fix::Change>) {
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
