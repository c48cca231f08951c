//! What is said of a run that goes on from another one, and of a step that is tried again.

use run::event::CheckpointKind;
use run::id::RunId;
use run::job::{Extent, Resume};

use super::style::Style;
use super::text::shown;

/// Where a run goes on from.
pub(crate) fn resumed(resume: &Resume, from: &RunId, style: Style) -> String {
    let what = match resume.extent {
        Extent::Rest => "goes on from",
        Extent::Step => "tries only",
    };
    let job = shown(resume.job.as_str(), false).into_owned();
    style.cyan(&format!("{what} step {} of `{job}` in run {from}", resume.step))
}

/// What a checkpoint brings back.
pub(crate) fn restored(kind: CheckpointKind) -> &'static str {
    match kind {
        CheckpointKind::Memory => "memory, processes and disk are as they were",
        CheckpointKind::Files => "files are as they were; processes that ran in the background are not there",
    }
}

/// That a step is tried again.
pub(crate) fn rolled_back(step: &str, attempt: u32, attempts: u32) -> String {
    format!("↻ {step} failed; all is as it was before it, attempt {attempt} of {attempts} follows")
}
