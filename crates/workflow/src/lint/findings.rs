//! Collects what the rules find in one file.

use std::rc::Rc;

use super::Settings;
use super::expressions::ExpressionFinding;
use super::taint::Budget;
use super::used_action::UsedAction;
use crate::diagnostic::Diagnostic;
use crate::read::MAX_DIAGNOSTICS;
use crate::rule::Rule;
use crate::source::{SourceFile, Span};

/// The findings so far: those of reading, then those of the rules.
#[derive(Debug)]
pub struct Findings<'a> {
    file: &'a SourceFile,
    settings: &'a Settings<'a>,
    rule: Option<&'static Rule>,
    /// What the types say of the file's expressions, once a rule has asked.
    expressions: Option<Rc<[ExpressionFinding]>>,
    /// The action of the reference that rules asked for last.
    used_action: Option<(Span, Option<UsedAction>)>,
    /// What following values through the file may still cost.
    budget: Budget,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a SourceFile, settings: &'a Settings<'a>, read: Vec<Diagnostic>) -> Self {
        Self {
            file,
            settings,
            rule: None,
            expressions: None,
            used_action: None,
            budget: Budget::default(),
            diagnostics: read,
        }
    }

    /// Makes `rule` the one whose findings follow.
    pub(crate) fn of(&mut self, rule: &'static Rule) -> &mut Self {
        self.rule = Some(rule);
        self
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &'a SourceFile {
        self.file
    }

    /// What following values through the file may still cost.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What the repository says about the rules.
    #[must_use]
    pub fn settings(&self) -> &'a Settings<'a> {
        self.settings
    }

    /// What the types say of the file's expressions: made once, for all rules.
    pub(super) fn expressions(
        &mut self,
        make: impl FnOnce() -> Vec<ExpressionFinding>,
    ) -> Rc<[ExpressionFinding]> {
        self.expressions.get_or_insert_with(|| make().into()).clone()
    }

    /// The action of the reference at `uses`: looked for once, for all rules.
    pub(super) fn used_action(
        &mut self,
        uses: Span,
        find: impl FnOnce() -> Option<UsedAction>,
    ) -> Option<UsedAction> {
        match &self.used_action {
            Some((known, action)) if *known == uses => action.clone(),
            _ => self.used_action.insert((uses, find())).1.clone(),
        }
    }

    /// A finding of the rule that is being checked, to be completed and added with [`Findings::push`].
    ///
    /// # Panics
    /// Outside of a [`Check`](super::Check).
    #[must_use]
    pub fn describe(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let rule = self.rule.expect("findings are described by the check of a rule");
        Diagnostic::new(rule.code, rule.severity, self.file, Some(span), message)
    }

    /// Whether there are as many findings as a file may have.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Adds a finding, once: what an alias stands for is looked at for each alias.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_known = |known: &Diagnostic| known.primary == diagnostic.primary && *known == diagnostic;
        if !self.is_full() && !self.diagnostics.iter().any(is_known) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Describes a finding and adds it.
    pub fn add(&mut self, span: Span, message: impl Into<String>) {
        self.push(self.describe(span, message));
    }

    /// Whether an error of reading touches the place: what stands there may not be what its author means.
    #[must_use]
    pub fn has_errors_in(&self, span: Span) -> bool {
        self.diagnostics.iter().filter(|finding| finding.is_error()).any(|finding| {
            finding.primary.is_some_and(|inner| span.start <= inner.start && inner.end <= span.end)
        })
    }

    /// The errors of reading.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|finding| finding.is_error())
    }

    /// All findings, in the order of the file.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        diagnostics.sort_by_key(|finding| finding.primary.map_or(0, |span| span.start));
        diagnostics
    }
}
