//! Secrets of a run: from files, the environment and standard input, never from the command line.

use std::io::{IsTerminal, Read};
use std::path::Path;

use serde_json::Value;

use super::args::SecretSource;
use crate::failure::{Exit, Failure};
use crate::files;

/// The largest secret on standard input, in bytes; GitHub's own limit is 48 KiB.
const MAX_STDIN_SECRET: u64 = 1024 * 1024;

/// The secrets of a run; later ones win over earlier ones of the same name, which have no case.
pub(super) fn secrets(
    file: Option<&Path>,
    sources: &[SecretSource],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut secrets = file.map_or_else(|| Ok(Vec::new()), secrets_of_file)?;
    let mut stdin = None;
    for source in sources {
        let (name, value) = match source {
            SecretSource::Environment(name) => (name, environment(name).ok_or_else(|| unset(name))?),
            SecretSource::Stdin(name) if stdin.replace(name).is_some() => {
                return Err(Failure::usage(
                    "standard input holds one secret, but two are to be read from it",
                ));
            }
            SecretSource::Stdin(name) => (name, secret_of_stdin(name)?),
        };
        secrets.push((name.clone(), value));
    }
    Ok(secrets)
}

fn unset(name: &str) -> Failure {
    Failure::usage(format!("there is no environment variable `{name}` for the secret of that name"))
        .with_help(format!("set it, or give the value on standard input with `--secret {name}=-`"))
}

fn secret_of_stdin(name: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        crate::output::to_stderr(&format!("type the secret `{name}`, then Ctrl-D:"));
    }
    let mut value = String::new();
    stdin.take(MAX_STDIN_SECRET).read_to_string(&mut value).map_err(|error| {
        Failure::new(Exit::Usage, error)
            .while_doing(format!("cannot read the secret `{name}` from standard input"))
    })?;
    let value = value.strip_suffix('\n').unwrap_or(&value);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
}

/// Messages about this file never hold any of its text.
fn secrets_of_file(file: &Path) -> Result<Vec<(String, String)>, Failure> {
    let shown = file.display();
    let text = files::read_text(file)?;
    let wrong = |problem: String| {
        Failure::usage(format!("the secrets file `{shown}` {problem}"))
            .with_help("it holds one JSON object: {\"NAME\": \"value\", …}")
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        wrong(format!("is not valid JSON at line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(object) = value else { return Err(wrong(format!("holds {}", kind(&value)))) };
    let read = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(value) => Ok((name, value.to_string())),
        Value::Null => Ok((name, String::new())),
        other => Err(wrong(format!("holds {} as the value of `{name}`", kind(&other)))),
    };
    object.into_iter().map(read).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::SecretSource;
    use super::secrets;
    use crate::render::style::Style;
    use std::path::PathBuf;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("file.json");
        std::fs::write(&path, text).expect("a file can be written");
        (folder, path)
    }

    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let (_folder, path) = file(text);
        let found = secrets(Some(&path), &[], &|_| None);
        let found = found.as_ref().map(|secrets| {
            secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>()
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(failure), Err(part)) => {
                let text = failure.text(Style { colours: false });
                assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
            }
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn secrets_files_are_objects_of_scalars() {
        check(r#"{"A": "x", "B": 1, "C": null}"#, Ok(&[("A", "x"), ("B", "1"), ("C", "")]));
        check(r#"["hunter2"]"#, Err("holds an array"));
        check(r#"{"A": {"b": "hunter2"}}"#, Err("holds an object as the value of `A`"));
        check(r#"{"A": hunter2}"#, Err("is not valid JSON at line 1, column"));
    }

    #[test]
    fn secrets_come_from_the_environment() {
        let sources = [SecretSource::Environment("TOKEN".to_owned())];
        let found = secrets(None, &sources, &|name| (name == "TOKEN").then(|| "x".to_owned()));
        assert_eq!(found.expect("it is set"), [("TOKEN".to_owned(), "x".to_owned())]);
        let failure = secrets(None, &sources, &|_| None).expect_err("it is not set");
        let text = failure.text(Style { colours: false });
        assert!(text.contains("there is no environment variable `TOKEN`"), "{text}");
    }
}
