//! Conditions that keep the pull requests of strangers away.

use crate::expr::{Comparison, Expr, Node, NodeKind};
use crate::lint::nodes::path_of;

/// What a condition keeps away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guard {
    /// Nothing.
    Open,
    /// Some strangers, or all until somebody has looked: it asks for labels, authors or actors.
    Partial,
    /// All strangers, or the event.
    Safe,
}

/// What must hold for a job or step to run for `event`.
pub(crate) fn of(condition: &Expr, event: &str) -> Guard {
    condition.root().map_or(Guard::Open, |root| of_node(root, event))
}

fn of_node(node: Node<'_>, event: &str) -> Guard {
    match node.kind() {
        NodeKind::And(operands) => {
            operands.map(|operand| of_node(operand, event)).max().unwrap_or(Guard::Open)
        }
        NodeKind::Or(operands) => {
            operands.map(|operand| of_node(operand, event)).min().unwrap_or(Guard::Open)
        }
        NodeKind::Compare(comparison, left, right) => of_comparison(comparison, left, right, event),
        NodeKind::Not(operand) => match path_of(operand) {
            Some(path) if is_fork(&path) => Guard::Safe,
            _ => Guard::Open,
        },
        NodeKind::Call(_, mut arguments) => {
            let asks = arguments.any(|argument| {
                format!("{argument}").to_ascii_lowercase().split(['.', '[']).any(is_of_trust)
            });
            if asks { Guard::Partial } else { Guard::Open }
        }
        _ => Guard::Open,
    }
}

fn of_comparison(comparison: Comparison, left: Node<'_>, right: Node<'_>, event: &str) -> Guard {
    let (Some(path), other) = (match path_of(left) {
        Some(path) => (Some(path), right),
        None => (path_of(right), left),
    }) else {
        return Guard::Open;
    };
    let equal = comparison == Comparison::Equal;
    match other.kind() {
        NodeKind::String(text) if path == "github.event_name" => {
            match equal == text.eq_ignore_ascii_case(event) {
                // It asks for this event.
                true => Guard::Open,
                false if equal || text.eq_ignore_ascii_case(event) => Guard::Safe,
                false => Guard::Open,
            }
        }
        NodeKind::String(text) if path == "github.event.workflow_run.event" => {
            let is_pull_request = text.starts_with("pull_request");
            if equal != is_pull_request { Guard::Safe } else { Guard::Open }
        }
        NodeKind::Bool(value) if is_fork(&path) => match value != equal {
            true => Guard::Safe,
            false => Guard::Open,
        },
        _ if equal && is_repository_of_head(&path) => Guard::Safe,
        _ if equal && path_of(other).is_some_and(|path| is_repository_of_head(&path)) => Guard::Safe,
        _ if path.split('.').any(is_of_trust) => Guard::Partial,
        _ => Guard::Open,
    }
}

fn is_fork(path: &str) -> bool {
    path == "github.event.pull_request.head.repo.fork"
        || path == "github.event.workflow_run.head_repository.fork"
}

/// The repository that the code is of; in a comparison it is the own one.
fn is_repository_of_head(path: &str) -> bool {
    let head = path
        .strip_prefix("github.event.pull_request.head.")
        .or_else(|| path.strip_prefix("github.event.workflow_run.head_repository."));
    head.is_some_and(|rest| {
        matches!(
            rest,
            "repo.full_name"
                | "repo.id"
                | "repo.owner.login"
                | "repo.owner.id"
                | "user.login"
                | "user.id"
                | "full_name"
                | "id"
                | "owner.login"
        )
    })
}

/// Names of what tells who did something, or that somebody has looked.
fn is_of_trust(name: &str) -> bool {
    matches!(
        name,
        "actor"
            | "triggering_actor"
            | "author_association"
            | "labels"
            | "label"
            | "login"
            | "merged"
            | "sender"
    )
}

#[cfg(test)]
mod tests {
    use super::{Guard, of};
    use crate::expr::{Names, parse};

    #[test]
    fn conditions() {
        let check = |text: &str, expected: Guard| {
            let condition = parse(text, &Names::any()).expect("an expression");
            assert_eq!(of(&condition, "pull_request_target"), expected, "{text}");
        };
        check("success()", Guard::Open);
        check(
            "success() && (github.event.pull_request.head.repo.full_name == github.repository)",
            Guard::Safe,
        );
        check("github.repository == github.event.pull_request.head.repo.full_name", Guard::Safe);
        check("github.event.pull_request.head.repo.full_name != github.repository", Guard::Open);
        check("!github.event.pull_request.head.repo.fork", Guard::Safe);
        check("github.event.pull_request.head.repo.fork == false", Guard::Safe);
        check("github.event.pull_request.head.repo.fork == true", Guard::Open);
        check("github.event_name == 'push'", Guard::Safe);
        check("github.event_name != 'push'", Guard::Open);
        check("github.event_name != 'pull_request_target'", Guard::Safe);
        check("github.event_name == 'pull_request_target'", Guard::Open);
        check("github.event_name == 'push' || github.event_name == 'pull_request_target'", Guard::Open);
        check("github.event_name == 'push' || !github.event.pull_request.head.repo.fork", Guard::Safe);
        check("contains(github.event.pull_request.labels.*.name, 'safe to test')", Guard::Partial);
        check("github.event.pull_request.author_association == 'MEMBER'", Guard::Partial);
        check("github.actor == 'octocat' || github.event_name == 'push'", Guard::Partial);
        check("github.event.workflow_run.event == 'push'", Guard::Safe);
        check("github.event.workflow_run.event == 'pull_request'", Guard::Open);
        check("github.event.workflow_run.conclusion == 'success'", Guard::Open);
    }
}
