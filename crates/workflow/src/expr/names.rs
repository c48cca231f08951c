//! Which names an expression may use in the place where it stands.

use super::contexts::Contexts;
use super::functions::{Availability, Function, Signature};
use std::sync::Arc;

/// The names that a place admits: contexts, status functions and `hashFiles`. The other functions are admitted everywhere.
///
/// A place's names are usually a constant:
/// `const STEP_RUN: Names = Names::of(&["github", "env", "steps"]).with_hash_files();`
#[derive(Clone, Debug)]
pub struct Names {
    contexts: Admitted,
    status: StatusFunctions,
    hash_files: bool,
}

#[derive(Clone, Debug)]
enum Admitted {
    Any,
    Constant(&'static [&'static str]),
    /// Those of a constant list whose bit is set, the first being the lowest.
    Chosen(&'static [&'static str], u32),
    Shared(Arc<[Arc<str>]>),
}

/// Which form of `success()`, `failure()`, `always()` and `cancelled()` a place admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusFunctions {
    /// They are unknown functions.
    #[default]
    None,
    /// They take no argument: the condition of a step.
    Step,
    /// `success` and `failure` may name jobs: the condition of a job.
    Job,
}

impl Names {
    /// No context and only the functions that are known everywhere.
    pub const fn none() -> Self {
        Self::of(&[])
    }

    /// Every name that is written like one, and every function.
    pub const fn any() -> Self {
        Self { contexts: Admitted::Any, status: StatusFunctions::Job, hash_files: true }
    }

    /// These contexts.
    pub const fn of(contexts: &'static [&'static str]) -> Self {
        Self { contexts: Admitted::Constant(contexts), status: StatusFunctions::None, hash_files: false }
    }

    /// The contexts that have a value in `contexts`.
    pub fn of_contexts(contexts: &Contexts) -> Self {
        let names = contexts.iter().map(|(name, _)| Arc::from(name)).collect();
        Self { contexts: Admitted::Shared(names), ..Self::none() }
    }

    /// The contexts of the list, at most 32, whose bits are set in `mask`; that of the first is the lowest.
    pub(crate) const fn chosen(list: &'static [&'static str], mask: u32) -> Self {
        Self { contexts: Admitted::Chosen(list, mask), status: StatusFunctions::None, hash_files: false }
    }

    /// Also the status functions, in this form.
    #[must_use]
    pub const fn with_status(mut self, status: StatusFunctions) -> Self {
        self.status = status;
        self
    }

    /// Also `hashFiles`.
    #[must_use]
    pub const fn with_hash_files(mut self) -> Self {
        self.hash_files = true;
        self
    }

    /// Whether the place admits the context `name`, in any case.
    pub fn admits_context(&self, name: &str) -> bool {
        match &self.contexts {
            Admitted::Any => true,
            Admitted::Constant(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
            Admitted::Chosen(list, mask) => list
                .iter()
                .enumerate()
                .any(|(place, known)| mask & (1 << place) != 0 && known.eq_ignore_ascii_case(name)),
            Admitted::Shared(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
        }
    }

    /// The contexts that are admitted; none when every name is.
    pub fn contexts(&self) -> Option<impl Iterator<Item = &str>> {
        let (constant, mask, shared): (&[&str], u32, &[Arc<str>]) = match &self.contexts {
            Admitted::Any => return None,
            Admitted::Constant(names) => (names, u32::MAX, &[]),
            Admitted::Chosen(list, mask) => (list, *mask, &[]),
            Admitted::Shared(names) => (&[], 0, names),
        };
        let is_chosen = move |place: usize| place >= 32 || mask & (1 << place) != 0;
        let constant =
            constant.iter().enumerate().filter(move |(place, _)| is_chosen(*place)).map(|(_, name)| *name);
        Some(constant.chain(shared.iter().map(|name| &**name)))
    }

    /// The form of the status functions that is admitted.
    pub fn status(&self) -> StatusFunctions {
        self.status
    }

    /// Whether the place admits neither a context nor a further function. GitHub admits no expression at all there.
    pub fn is_empty(&self) -> bool {
        let contexts = self.contexts().is_some_and(|mut names| names.next().is_none());
        contexts && self.status == StatusFunctions::None && !self.hash_files
    }

    /// The function called `name`, in any case, with the number of arguments that the place admits.
    pub(crate) fn function(&self, name: &str) -> Option<Signature> {
        let mut signature = Function::signature(name)?;
        match signature.availability {
            Availability::Everywhere => {}
            Availability::HashFiles if self.hash_files => {}
            Availability::Status { takes_jobs } => match self.status {
                StatusFunctions::None => return None,
                StatusFunctions::Job if takes_jobs => signature.max = super::functions::MAX_ARGUMENTS,
                StatusFunctions::Step | StatusFunctions::Job => {}
            },
            Availability::HashFiles => return None,
        }
        Some(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, StatusFunctions};

    const STEP: Names = Names::of(&["github", "steps"]).with_status(StatusFunctions::Step).with_hash_files();

    #[test]
    fn names_are_admitted_without_case() {
        assert!(STEP.admits_context("GitHub"));
        assert!(!STEP.admits_context("secrets"));
        assert!(Names::any().admits_context("secrets"));
        assert_eq!(STEP.contexts().unwrap().collect::<Vec<_>>(), ["github", "steps"]);
    }

    #[test]
    fn functions_depend_on_the_place() {
        assert!(Names::none().function("TOJSON").is_some());
        assert!(Names::none().function("success").is_none());
        assert!(Names::none().function("hashFiles").is_none());
        assert!(STEP.function("hashfiles").is_some());
        assert_eq!(STEP.function("Success").unwrap().max, 0);
        assert_eq!(Names::any().function("Success").unwrap().max, 255);
        assert_eq!(Names::any().function("always").unwrap().max, 0);
    }

    #[test]
    fn names_are_chosen_from_a_list() {
        let names = Names::chosen(&["github", "steps", "env"], 0b101);
        assert!(names.admits_context("Env") && !names.admits_context("steps"));
        assert_eq!(names.contexts().unwrap().collect::<Vec<_>>(), ["github", "env"]);
        assert!(Names::chosen(&["github"], 0).is_empty());
    }

    #[test]
    fn a_place_without_names_admits_no_expression() {
        assert!(Names::none().is_empty());
        assert!(!STEP.is_empty());
        assert!(!Names::any().is_empty());
    }
}
