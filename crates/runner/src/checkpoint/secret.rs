//! Secrets out of what is kept, and in again.
//!
//! Where a text holds the value of a secret, the secret's name is kept in its place; the value comes again from where secrets
//! come from. A value that a step masked itself has no name: it is lost, and that is said.
//!
//! A text without secrets is kept as it is. Any other is [`MARK`] and a JSON array of its pieces.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::output::mask::Masker;

/// What a text with pieces begins with, and one that begins so by itself.
const MARK: char = '\0';

/// What stands in place of a value that is lost.
const LOST: &str = "***";

/// A piece of a text.
#[derive(Serialize, Deserialize)]
enum Piece {
    #[serde(rename = "text")]
    Text(String),
    #[serde(rename = "secret")]
    Secret(String),
}

/// What hides secrets.
pub(crate) struct Hiding<'a> {
    /// Names and values, the longest values first.
    secrets: Vec<(&'a str, &'a str)>,
    masker: &'a Masker,
    lost: usize,
}

impl<'a> Hiding<'a> {
    pub(crate) fn new(secrets: &'a [(String, String)], masker: &'a Masker) -> Self {
        let filled = secrets.iter().filter(|(_, value)| !value.trim().is_empty());
        let mut secrets: Vec<(&str, &str)> =
            filled.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self { secrets, masker, lost: 0 }
    }

    /// Hides the secrets in all texts of a document. Returns in how many texts a value was lost.
    pub(crate) fn hide(mut self, document: &mut Value) -> usize {
        each_text(document, &mut |text| self.text(text));
        self.lost
    }

    fn text(&mut self, text: &mut String) {
        if !text.starts_with(MARK) && !self.masker.finds(text) {
            return;
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((at, (name, value))) = self.first(rest) {
            self.plain(&rest[..at], &mut pieces);
            pieces.push(Piece::Secret(name.to_owned()));
            rest = &rest[at + value.len()..];
        }
        self.plain(rest, &mut pieces);
        let pieces = serde_json::to_string(&pieces).expect("texts can be written as JSON");
        *text = format!("{MARK}{pieces}");
    }

    /// The secret that begins first in the text, the longest of those.
    fn first(&self, text: &str) -> Option<(usize, (&'a str, &'a str))> {
        let found = self.secrets.iter().filter_map(|secret| Some((text.find(secret.1)?, *secret)));
        found.min_by_key(|(at, _)| *at)
    }

    /// A text without a secret that has a name; what a step masked is lost.
    fn plain(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        if text.is_empty() {
            return;
        }
        let masked = self.masker.mask(text);
        // A piece that was next to a secret may look like a part of one; text that changes is lost either way.
        self.lost += usize::from(masked != text && masked.contains(LOST));
        pieces.push(Piece::Text(masked));
    }
}

/// Puts secrets back in all texts of a document.
///
/// # Errors
/// The name of the first secret that is missing; or none, where the document is damaged.
pub(crate) fn reveal(document: &mut Value, secrets: &[(String, String)]) -> Result<(), Option<String>> {
    let mut result = Ok(());
    each_text(document, &mut |text| {
        if let Err(missing) = reveal_text(text, secrets) {
            result = Err(missing);
        }
    });
    result
}

fn reveal_text(text: &mut String, secrets: &[(String, String)]) -> Result<(), Option<String>> {
    let Some(pieces) = text.strip_prefix(MARK) else { return Ok(()) };
    let pieces: Vec<Piece> = serde_json::from_str(pieces).map_err(|_| None)?;
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.push_str(&text),
            Piece::Secret(name) => {
                let known = secrets.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(&name));
                whole.push_str(&known.ok_or(Some(name))?.1);
            }
        }
    }
    *text = whole;
    Ok(())
}

/// Changes every text of a document, names of properties too.
pub(crate) fn each_text(document: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match document {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(entries) => {
            let old = std::mem::take(entries);
            for (mut name, mut value) in old {
                change(&mut name);
                each_text(&mut value, change);
                entries.insert(name, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};
    use serde_json::{Value, json};

    use super::{Hiding, reveal};
    use crate::output::mask::Masker;

    fn secrets() -> Vec<(String, String)> {
        [("TOKEN", "hunter2"), ("LONG", "hunter2-and-more"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    fn masker(secrets: &[(String, String)]) -> Masker {
        Masker::new(secrets.iter().map(|(_, value)| value.as_str())).unwrap()
    }

    /// What is kept of a document, and how many texts lost a value.
    fn hidden(document: &Value, masked: &[&str]) -> (Value, usize) {
        let secrets = secrets();
        let masker = masker(&secrets);
        masked.iter().for_each(|value| masker.add(value).unwrap());
        let mut kept = document.clone();
        let lost = Hiding::new(&secrets, &masker).hide(&mut kept);
        (kept, lost)
    }

    fn check(document: &Value) {
        let (mut kept, lost) = hidden(document, &[]);
        assert!(!kept.to_string().contains("hunter2"), "{kept}");
        assert_eq!(lost, 0);
        reveal(&mut kept, &secrets()).unwrap();
        assert_eq!(kept, *document);
    }

    #[test]
    fn secrets_go_and_come_back() {
        check(&json!({"env": {"A": "hunter2", "B": "x hunter2 y hunter2-and-more z", "C": "none"}}));
        check(&json!(["hunter2hunter2", "", null, 7, true, {"hunter2": "as a name"}]));
        check(&json!("\0begins like a text with pieces"));
        check(&json!("\0[{\"secret\":\"TOKEN\"}]"));
    }

    #[test]
    fn what_has_no_secret_is_kept_as_it_is() {
        let document = json!({"env": {"A": "text"}});
        assert_eq!(hidden(&document, &[]), (document, 0));
    }

    #[test]
    fn values_that_steps_masked_are_lost() {
        let (mut kept, lost) = hidden(&json!({"A": "x made-up y hunter2", "B": "text"}), &["made-up"]);
        assert_eq!(lost, 1);
        assert!(!kept.to_string().contains("made-up"));
        reveal(&mut kept, &secrets()).unwrap();
        assert_eq!(kept, json!({"A": "x *** y hunter2", "B": "text"}));
    }

    #[test]
    fn encodings_of_secrets_are_lost() {
        // In base64.
        let (kept, lost) = hidden(&json!("aHVudGVyMg=="), &[]);
        assert_eq!((kept.to_string().contains("aHVudGVyMg"), lost), (false, 1));
    }

    #[test]
    fn a_missing_secret_is_named() {
        let (mut kept, _) = hidden(&json!(["hunter2"]), &[]);
        assert_eq!(reveal(&mut kept, &[]), Err(Some("TOKEN".to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(parts in prop::collection::vec("hunter2|-and-more|[a-c\\x00\"\\[ ]{0,4}", 0..12)) {
            let (mut kept, lost) = hidden(&Value::String(parts.concat()), &[]);
            reveal(&mut kept, &secrets()).unwrap();
            if lost == 0 {
                assert_eq!(kept, Value::String(parts.concat()));
            }
        }
    }
}
