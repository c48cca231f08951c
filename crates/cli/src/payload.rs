//! Payloads of events, as people give them.

use std::path::Path;

use workflow::event::{EventError, catalog, check};
use workflow::expr::{Object, Value};

use crate::failure::{Exit, Failure};
use crate::render::text::shown;
use crate::{files, output};

/// The payload in the file, checked to be one of the event; an empty object where no file is given.
pub(crate) fn read(event: &str, file: Option<&Path>) -> Result<Value, Failure> {
    let payload = match file {
        Some(file) => Value::from_json(&files::read_json(file)?),
        None => Object::new().into(),
    };
    match check(event, &payload) {
        Ok(()) => Ok(payload),
        Err(error) => Err(refusal(error, file)),
    }
}

/// The same for a workflow that is named, and runs whatever the event is called: an event that does not exist is only
/// noted.
pub(crate) fn read_for_any_event(event: &str, file: Option<&Path>) -> Result<Value, Failure> {
    if catalog::find(event).is_some() {
        return read(event, file);
    }
    let meant = catalog::meant(event).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    output::to_stderr(&format!("note: GitHub has no event `{}`{meant}", shown(event, false)));
    // A called workflow may have any payload that is an object.
    read("workflow_call", file)
}

fn refusal(error: EventError, file: Option<&Path>) -> Failure {
    let help = help(&error);
    let failure = Failure::new(Exit::Usage, error);
    let failure = match file {
        Some(file) => failure.while_doing(format!("`{}` cannot be used", file.display())),
        None => failure,
    };
    failure.with_help(help)
}

fn help(error: &EventError) -> String {
    match error {
        EventError::Unknown { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
        EventError::Unknown { meant: None, .. } => "`firedog event list` lists GitHub's events".to_owned(),
        EventError::Shape { .. } => "a payload is the JSON object that GitHub sends to webhooks".to_owned(),
        EventError::Other { like, .. } => format!("`--event {like}` is the event of this payload"),
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::render::style::Style;

    fn check(event: &str, text: Option<&str>, expected: &[&str]) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("payload.json");
        std::fs::write(&path, text.unwrap_or_default()).expect("a file can be written");
        let failure = read(event, text.map(|_| path.as_path())).err();
        let found = failure.map(|failure| failure.text(Style { colours: false })).unwrap_or_default();
        assert_eq!(found.is_empty(), expected.is_empty(), "{event} {text:?}: {found}");
        expected.iter().for_each(|part| assert!(found.contains(part), "{part} is not in {found}"));
    }

    #[test]
    fn payloads_are_objects_of_their_event() {
        check("push", None, &[]);
        check("push", Some(r#"{"ref": "refs/heads/main"}"#), &[]);
        check("push", Some("[1]"), &["payload.json` cannot be used", "is an array, not an object"]);
        check("push", Some("{"), &["payload.json` is not valid JSON"]);
        check(
            "push",
            Some(r#"{"issue": {}}"#),
            &["one of the event `issues`, not of `push`", "help: `--event issues`"],
        );
        check("psuh", None, &["GitHub has no event `psuh`", "did you mean `push`?"]);
        check("coffee", None, &["`firedog event list` lists"]);
    }
}
