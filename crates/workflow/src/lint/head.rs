//! Steps that check out the code of a pull request, and steps that run it.

use crate::expr::Expr;
use crate::model::{Step, StepKind};
use crate::source::{SourceFile, Span};
use crate::template::{Token, TokenKind};

use super::uses::Remote;

/// Code of a stranger in the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    /// What names it, such as `github.event.pull_request.head.sha`.
    pub(crate) source: String,
    /// Where that stands.
    pub(crate) span: Span,
    /// The folder below the workspace.
    pub(crate) path: Option<&'a str>,
}

/// What is of the pull request, below `github`.
const OF_PULL_REQUEST: [&str; 8] = [
    "head_ref",
    "event.pull_request.head.sha",
    "event.pull_request.head.ref",
    "event.pull_request.head.label",
    "event.pull_request.head.repo.full_name",
    "event.pull_request.head.repo.clone_url",
    "event.pull_request.head.user.login",
    "event.pull_request.merge_commit_sha",
];

/// What is of the pull request that started the other workflow, below `github`.
const OF_WORKFLOW_RUN: [&str; 5] = [
    "event.workflow_run.head_sha",
    "event.workflow_run.head_branch",
    "event.workflow_run.head_commit.id",
    "event.workflow_run.head_repository.full_name",
    "event.workflow_run.pull_requests",
];

/// The code of strangers that a step checks out for `event`.
pub(crate) fn checked_out<'a>(step: &'a Step, file: &SourceFile, event: &str) -> Option<Head<'a>> {
    match &step.kind {
        StepKind::Uses { uses, with: Some(with) }
            if Remote::parse(&uses.value).is_some_and(|remote| remote.is("actions/checkout")) =>
        {
            let value = |name: &str| with.entry(name).map(|entry| &entry.value);
            let path = value("path").and_then(Token::as_str).filter(|path| !matches!(*path, "." | "./"));
            let named = ["ref", "repository"].into_iter().filter_map(value);
            let mut sources = named.filter_map(|token| Some((source(token, file, event)?, token.span)));
            let (source, span) = sources.next()?;
            Some(Head { source, span, path })
        }
        StepKind::Run { run, .. } => {
            let text = file.slice(run.span);
            if !text.contains("git ") && !text.contains("gh pr checkout") {
                return None;
            }
            let (source, span) = text.lines().find_map(|line| in_command(line, text, run.span, event))?;
            Some(Head { source, span, path: None })
        }
        _ => None,
    }
}

/// What of a pull request a value names.
fn source(token: &Token, file: &SourceFile, event: &str) -> Option<String> {
    let TokenKind::Expression(expression) = &token.kind else { return None };
    if event != "workflow_run" && names_pull(file.slice(token.span)) {
        return Some(file.slice(token.span).trim_matches(['"', '\'']).to_owned());
    }
    named(expression, event)
}

/// Whether a text is a reference to the code of pull requests: `refs/pull/…`.
fn names_pull(text: &str) -> bool {
    text.contains("refs/pull/") || text.contains("pull/${{")
}

fn named(expression: &Expr, event: &str) -> Option<String> {
    let known: &[&str] = if event == "workflow_run" { &OF_WORKFLOW_RUN } else { &OF_PULL_REQUEST };
    expression.contexts().find_map(|reference| {
        let text = reference.to_string();
        // Outputs are called so where a step has asked for the pull request: `steps.pull.outputs.head_sha`.
        let is_output = ["steps", "needs"].iter().any(|known| known.eq_ignore_ascii_case(reference.context));
        if is_output
            && reference.names().nth(2).is_some_and(|output| output.to_ascii_lowercase().contains("head"))
        {
            return Some(text);
        }
        let below = text.get(..7).filter(|start| start.eq_ignore_ascii_case("github."))?;
        let rest = &text[below.len()..];
        let fits =
            |path: &&&str| rest.get(..path.len()).is_some_and(|start| start.eq_ignore_ascii_case(path));
        known.iter().find(fits).map(|_| text.clone())
    })
}

/// Commands of git by which code comes into the workspace.
const FETCHES: [&str; 7] =
    ["git checkout", "git fetch", "git switch", "git pull", "git merge", "git reset", "git clone"];

/// What of a pull request a line of a script checks out.
fn in_command(line: &str, script: &str, span: Span, event: &str) -> Option<(String, Span)> {
    let start = span.start as usize + (line.as_ptr() as usize - script.as_ptr() as usize);
    let indent = line.len() - line.trim_start().len();
    let place = Span::new(start + indent, start + line.trim_end().len());
    if line.trim_start().starts_with('#') {
        return None;
    }
    if line.contains("gh pr checkout") && event != "workflow_run" {
        return Some(("gh pr checkout".into(), place));
    }
    if !FETCHES.iter().any(|command| line.contains(command)) {
        return None;
    }
    if event != "workflow_run" && names_pull(line) {
        return Some((line.trim().to_owned(), place));
    }
    let known: &[&str] = if event == "workflow_run" { &OF_WORKFLOW_RUN } else { &OF_PULL_REQUEST };
    let named = known.iter().find(|path| line.contains(&format!("github.{path}")))?;
    Some((format!("github.{named}"), place))
}

/// Programs that run code of the folder that they are called in.
const PROGRAMS: [&str; 52] = [
    "ansible-playbook",
    "ant",
    "bash",
    "bazel",
    "bazelisk",
    "bun",
    "bundle",
    "cargo",
    "cmake",
    "composer",
    "conan",
    "deno",
    "docker",
    "dotnet",
    "flutter",
    "go",
    "gradle",
    "gradlew",
    "gulp",
    "hatch",
    "hugo",
    "jekyll",
    "just",
    "lerna",
    "make",
    "meson",
    "mill",
    "mix",
    "mvn",
    "mvnw",
    "ninja",
    "node",
    "nox",
    "npm",
    "npx",
    "nx",
    "pdm",
    "php",
    "pip",
    "pip3",
    "pnpm",
    "poetry",
    "pre-commit",
    "pytest",
    "python",
    "python3",
    "rake",
    "sbt",
    "swift",
    "tox",
    "uv",
    "yarn",
];

/// Actions that run code of the workspace.
const ACTIONS: [&str; 9] = [
    "docker/build-push-action",
    "docker/bake-action",
    "gradle/gradle-build-action",
    "pre-commit/action",
    "cypress-io/github-action",
    "bahmutov/npm-install",
    "borales/actions-yarn",
    "actions/jekyll-build-pages",
    "goreleaser/goreleaser-action",
];

/// Where a step runs code of the workspace, or of the folder `path` in it.
pub(crate) fn runs_code(step: &Step, file: &SourceFile, path: Option<&str>) -> Option<Span> {
    match &step.kind {
        StepKind::Run { run, working_directory, .. } => {
            let text = file.slice(run.span);
            let is_there = path.is_none_or(|path| {
                let path = path.trim_start_matches("./").trim_end_matches('/');
                let folder = working_directory.as_ref().and_then(Token::as_str);
                text.contains(path) || folder.is_some_and(|folder| folder.contains(path))
            });
            (is_there && text.lines().any(runs_program)).then_some(run.span)
        }
        StepKind::Uses { uses, with } => {
            let is_local = uses
                .value
                .strip_prefix("./")
                .is_some_and(|local| path.is_none_or(|path| local.starts_with(path)));
            let is_known = path.is_none()
                && Remote::parse(&uses.value).is_some_and(|remote| {
                    let is_remote = |with: &Token| {
                        with.entry("context").is_some_and(|context| context.value.has_expression())
                    };
                    ACTIONS.iter().any(|action| remote.is(action)) && !with.as_ref().is_some_and(is_remote)
                });
            (is_local || is_known).then_some(uses.span)
        }
        StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => None,
    }
}

/// Whether a line calls a program that runs code of the workspace.
fn runs_program(line: &str) -> bool {
    let line = line.trim_start_matches(['|', '>', '-', '"', '\'', ' ', '\t']);
    if line.starts_with('#') {
        return false;
    }
    line.split(['&', '|', ';', '(', '`']).any(|command| {
        let mut words = command.split_whitespace().skip_while(|word| {
            matches!(*word, "sudo" | "time" | "then" | "do" | "else" | "exec" | "env" | "if" | "!")
                || word.contains('=')
        });
        let Some(program) = words.next() else { return false };
        let is_elsewhere = match program {
            "docker" => {
                !words.next().is_some_and(|word| matches!(word, "build" | "buildx" | "compose" | "bake"))
            }
            "go" => words.next().is_some_and(|word| matches!(word, "install" | "env" | "version")),
            "pip" | "pip3" => !words.any(|word| matches!(word, "-r" | "-e" | ".") || word.starts_with("./")),
            "npm" | "pnpm" | "yarn" => {
                words.any(|word| matches!(word, "-g" | "--global" | "global" | "--version"))
            }
            "bash" | "python" | "python3" | "node" | "php" => {
                words.next().is_none_or(|word| word.starts_with('-') || word.starts_with('/'))
            }
            _ => false,
        };
        program.starts_with("./") || PROGRAMS.contains(&program) && !is_elsewhere
    })
}

#[cfg(test)]
mod tests {
    use super::runs_program;

    #[test]
    fn lines_that_run_code_of_the_workspace() {
        let check = |line: &str, expected: bool| assert_eq!(runs_program(line), expected, "{line}");
        check("  npm ci && npm test", true);
        check("sudo make install", true);
        check("CI=1 ./test.sh", true);
        check("x=$(python setup.py --version)", true);
        check("docker build .", true);
        check("docker run --rm alpine", false);
        check("# make", false);
        check("echo make", false);
        check("npm install -g typescript", false);
        check("pip install black", false);
        check("pip install -r requirements.txt", true);
        check("gh pr comment \"$URL\"", false);
    }
}
