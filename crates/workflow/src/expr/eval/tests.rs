use super::super::{Contexts, Names, Value, parse};
use super::{HashFilesError, HostFunctions, JobStatus, NoHost, eval, eval_within};
use serde_json::json;

/// A host with a status and the hashes that are known.
struct Host {
    status: Option<JobStatus>,
    hashes: Vec<(&'static str, &'static str)>,
}

impl HostFunctions for Host {
    fn status(&self) -> Option<JobStatus> {
        self.status
    }

    fn status_of(&self, jobs: &[String]) -> Option<JobStatus> {
        Some(if jobs.iter().any(|job| job == "bad") { JobStatus::Failure } else { JobStatus::Success })
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
        let known = self.hashes.iter().find(|(pattern, _)| *pattern == patterns.join("|"));
        known.map(|(_, hash)| (*hash).to_owned()).ok_or(HashFilesError::Pending)
    }
}

fn contexts() -> Contexts {
    let json = json!({
        "github": {"actor": "Mona", "Event": {"inputs": {"n": 5}, "labels": [{"name": "bug"}, {"name": "ci"}, 7]}},
        "matrix": {"os": ["linux", "windows"], "version": 1.5, "*": "star"},
        "empty": {},
        "steps": {"a": {"outputs": {"x": "1"}}, "b": {"outputs": {"x": "2", "y": [1, [2]]}}},
    });
    Contexts::from_object(Value::from_json(&json).as_object().unwrap())
}

fn check(source: &str, expected: serde_json::Value) {
    let expr = parse(source, &Names::any()).unwrap();
    let value = eval(&expr, &contexts(), &NoHost).unwrap();
    assert_eq!(value.to_json(), expected, "{source}");
}

fn check_error(source: &str, message: &str) {
    let expr = parse(source, &Names::any()).unwrap();
    let error = eval(&expr, &contexts(), &NoHost).unwrap_err();
    assert_eq!(error.message, message, "{source}");
}

#[test]
fn operators_give_operands() {
    check("'' || github.actor || 'x'", json!("Mona"));
    check("github && 0 && 'x'", json!(0));
    check("!github.nothing", json!(true));
    check("1 < 2 == true", json!(true));
    check("null >= null && !(null > null)", json!(true));
    check("github.event == github.event", json!(true));
    check("fromJSON('[]') == fromJSON('[]')", json!(false));
    check("", json!(null));
}

#[test]
fn properties() {
    check("GITHUB.EVENT.Inputs.N", json!(5));
    check("github['event']['labels'][1].name", json!("ci"));
    check("matrix.os[1.9]", json!("windows"));
    check("matrix.os['1']", json!("windows"));
    check("matrix.os[-1]", json!(null));
    check("matrix.os.linux", json!(null));
    check("matrix['*']", json!("star"));
    check("unset.a.b", json!(null));
    check("github.actor.name", json!(null));
}

#[test]
fn a_star_indexes_the_items() {
    check("github.event.labels.*.name", json!(["bug", "ci"]));
    check("steps.*.outputs.x", json!(["1", "2"]));
    check("steps.*.outputs.*", json!(["1", "2", [1, [2]]]));
    check("steps.*.outputs.y[1]", json!([[2]]));
    check("(steps.*.outputs).x", json!(["1", "2"]));
    check("(null || steps.*.outputs).x", json!(["1", "2"]));
    check("steps.*.outputs.x[0]", json!([]));
    check("github.actor.*", json!([]));
    check("empty.*.a.b", json!([]));
    check("join(steps.*.outputs.x, '+')", json!("1+2"));
    check("contains(github.event.labels.*.name, 'BUG')", json!(true));
}

#[test]
fn functions() {
    check("format('{0}-{{{1}}}', 'a', github)", json!("a-{Object}"));
    check("join(matrix.os)", json!("linux,windows"));
    check("join(matrix.os, github)", json!("linux,windows"));
    check("join(github)", json!(""));
    check("join(1.50)", json!("1.5"));
    check("toJSON(matrix.os)", json!("[\n  \"linux\",\n  \"windows\"\n]"));
    check("fromJSON('{\"a\": [1]}').a[0]", json!(1));
    check("case(false, 1, true, 2, 3)", json!(2));
    check("startsWith(null, '') && endsWith(123, 23) && contains('ABC', 'b')", json!(true));
    check("contains(github, 'x') || startsWith(matrix.os, '')", json!(false));
}

#[test]
fn what_is_not_needed_is_not_evaluated() {
    check("true || fromJSON('bad')", json!(true));
    check("format('a', fromJSON('bad'))", json!("a"));
    check("case(true, 1, fromJSON('bad'))", json!(1));
    check("contains(github, fromJSON('bad'))", json!(false));
    check("join(fromJSON('[1]'), fromJSON('bad'))", json!("1"));
    check("github.actor[fromJSON('bad')]", json!(null));
}

#[test]
fn mistakes() {
    check_error("case(1, 2, 3)", "case predicate must evaluate to a boolean value");
    check_error(
        "format('{1}', 1)",
        "The following format string references more arguments than were supplied: {1}",
    );
    check_error("format('{', 1)", "The following format string is invalid: {");
    check_error("format('{0:x}', 1)", "The format specifiers 'x' are not valid for objects of type 'Number'");
    check_error("fromJSON(' ')", "Error parsing JSON when evaluating fromJson: empty input");
    check_error("hashFiles('a''b', 1)", "hashFiles('a''b, 1') failed. there is no workspace");
}

#[test]
fn status_functions() {
    let holds = |source: &str, status: Option<JobStatus>| {
        let expr = parse(source, &Names::any()).unwrap();
        eval(&expr, &Contexts::new(), &Host { status, hashes: Vec::new() }).unwrap() == Value::Bool(true)
    };
    for (status, expected) in [
        (None, [true, false, false]),
        (Some(JobStatus::Success), [true, false, false]),
        (Some(JobStatus::Failure), [false, true, false]),
        (Some(JobStatus::Cancelled), [false, false, true]),
    ] {
        let found = ["success()", "failure()", "cancelled()"].map(|source| holds(source, status));
        assert_eq!(found, expected, "{status:?}");
        assert!(holds("always()", status));
    }
    assert!(holds("success('good')", Some(JobStatus::Failure)));
    assert!(holds("failure('good', 'bad')", None));
}

#[test]
fn a_hash_that_is_not_known_is_asked_for() {
    let expr = parse("hashFiles('a', 'b') || 'x'", &Names::any()).unwrap();
    let mut host = Host { status: None, hashes: Vec::new() };
    let error = eval(&expr, &Contexts::new(), &host).unwrap_err();
    assert_eq!(error.pending(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
    host.hashes.push(("a|b", "abc"));
    assert_eq!(eval(&expr, &Contexts::new(), &host), Ok(Value::from("abc")));
}

#[test]
fn memory_is_bounded() {
    let contexts =
        Contexts::new().with("a", "x".repeat(1000)).with("list", Value::from(vec![Value::Null; 1000]));
    let within = |source: &str, bytes: usize| {
        let expr = parse(source, &Names::any()).unwrap();
        eval_within(&expr, &contexts, &NoHost, bytes).map_err(|error| error.message)
    };
    assert!(within("a", 2100).is_ok());
    let message = "The maximum allowed memory size was exceeded while evaluating the following expression: ";
    assert_eq!(within("a == 'b'", 2000), Err(format!("{message}(a == 'b')")));
    assert_eq!(within("1 == format('{0}{0}', a)", 4000), Err(format!("{message}format('{{0}}{{0}}', a)")));
    assert_eq!(within("list.*", 4000), Err(format!("{message}list[*]")));
    assert_eq!(within("toJSON(list)", 4000), Err(format!("{message}toJSON(list)")));
    // What was needed for an operand that is finished does not count.
    assert!(within("startsWith(a, 'x') && startsWith(a, 'x') && startsWith(a, 'x')", 5000).is_ok());
}
