//! What contexts and functions are, in words for people.

use workflow::expr::Function;

/// A function in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionWords {
    /// How it is called.
    pub(crate) signature: &'static str,
    /// What it gives.
    pub(crate) summary: &'static str,
    /// Whether it is called without arguments.
    pub(crate) takes_nothing: bool,
}

/// A function in words.
pub(crate) fn of_function(function: Function) -> FunctionWords {
    let (signature, summary) = match function {
        Function::Case => (
            "case(condition, value, …, default)",
            "The value behind the first condition that is true, the last argument if none is.",
        ),
        Function::Contains => (
            "contains(search, item)",
            "Whether a text contains another one, without regard to case, or a list contains an item.",
        ),
        Function::EndsWith => {
            ("endsWith(text, suffix)", "Whether a text ends with another one, without regard to case.")
        }
        Function::Format => (
            "format(template, value, …)",
            "The template with `{0}`, `{1}`, … replaced by the values. Braces are written twice: `{{`.",
        ),
        Function::FromJson => ("fromJSON(text)", "The value that a JSON text stands for."),
        Function::Join => (
            "join(list, separator)",
            "The items of a list as one text; the separator is `,` if none is given.",
        ),
        Function::StartsWith => {
            ("startsWith(text, prefix)", "Whether a text starts with another one, without regard to case.")
        }
        Function::ToJson => ("toJSON(value)", "A value as indented JSON text."),
        Function::Always => ("always()", "True, also after a failure and a cancellation."),
        Function::Cancelled => ("cancelled()", "Whether the run was cancelled."),
        Function::Failure => ("failure()", "Whether a step before, or a job that is needed, has failed."),
        Function::Success => {
            ("success()", "Whether no step before, and no job that is needed, has failed or was cancelled.")
        }
        Function::HashFiles => (
            "hashFiles(pattern, …)",
            "One SHA-256 over all files of the workspace that the patterns match; empty if none does.",
        ),
    };
    FunctionWords { signature, summary, takes_nothing: signature.ends_with("()") }
}

/// A context in words; empty for a name that is none.
pub(crate) fn of_context(name: &str) -> &'static str {
    match name {
        "github" => "The run and the event that started it.",
        "inputs" => "The inputs of the workflow or the action.",
        "vars" => "The configuration variables of the repository, the organization and the environment.",
        "needs" => "The results and outputs of the jobs that this one needs.",
        "strategy" => "The strategy of the job, and which leg of its matrix this is.",
        "matrix" => "The values of this leg of the matrix.",
        "secrets" => "The secrets that the run may use; they are masked in logs.",
        "steps" => "The outputs and results of the steps before that have an `id`.",
        "job" => "The job that runs: its status, container and services.",
        "runner" => "The machine that runs the job.",
        "env" => "The environment variables that the workflow, the job and the step set.",
        "jobs" => "The results and outputs of the jobs of a workflow that is called.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use workflow::schema::Place;

    use super::{of_context, of_function};

    #[test]
    fn every_context_and_function_has_words() {
        let step = Place::workflow()
            .child("jobs")
            .and_then(|jobs| jobs.child("a")?.child("steps")?.item()?.child("if"));
        let step = step.expect("the condition of a step");
        assert!(step.contexts().iter().all(|name| !of_context(name).is_empty()));
        for function in step.functions() {
            let words = of_function(function);
            assert!(words.signature.starts_with(function.name()) && !words.summary.is_empty(), "{words:?}");
        }
    }
}
