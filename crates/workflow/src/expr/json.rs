//! `toJSON` and `fromJSON`.

use super::memory::{Counter, Exceeded};
use super::number::number_to_text;
use super::relaxed_json;
use super::value::Value;
use std::fmt::Write;

/// Reads a JSON document, or what GitHub's reader takes for one.
///
/// # Errors
/// GitHub's message and what is wrong with the document.
pub(crate) fn from_json(text: &str) -> Result<Value, String> {
    const MESSAGE: &str = "Error parsing JSON when evaluating fromJson";
    if text.trim().is_empty() {
        return Err(format!("{MESSAGE}: empty input"));
    }
    serde_json::from_str(text)
        .or_else(|error| relaxed_json::read(text).ok_or_else(|| format!("{MESSAGE}: {error}")))
}

/// Writes a value as GitHub does: two spaces a level, one entry a line, empty collections on one line.
pub(crate) fn to_json(value: &Value, counter: &mut Counter) -> Result<String, Exceeded> {
    let mut writer = Writer { text: String::new(), counter };
    writer.value("", value, 0)?;
    Ok(writer.text)
}

struct Writer<'a> {
    text: String,
    counter: &'a mut Counter,
}

impl Writer<'_> {
    /// Writes `value` behind `prefix`, which separates it from what is before.
    fn value(&mut self, prefix: &str, value: &Value, level: usize) -> Result<(), Exceeded> {
        match value {
            Value::Null => self.piece(prefix, "null"),
            Value::Bool(true) => self.piece(prefix, "true"),
            Value::Bool(false) => self.piece(prefix, "false"),
            Value::Number(number) => self.piece(prefix, &number_to_text(*number)),
            Value::String(text) => self.quoted(prefix, text),
            Value::Array(items) if items.is_empty() => self.piece(prefix, "[]"),
            Value::Object(object) if object.is_empty() => self.piece(prefix, "{}"),
            Value::Array(items) => {
                self.piece(prefix, "[")?;
                for (place, item) in items.iter().enumerate() {
                    self.value(&line(place > 0, level + 1), item, level + 1)?;
                }
                self.piece(&line(false, level), "]")
            }
            Value::Object(object) => {
                self.piece(prefix, "{")?;
                for (place, (key, value)) in object.iter().enumerate() {
                    self.quoted(&line(place > 0, level + 1), key)?;
                    self.value(": ", value, level + 1)?;
                }
                self.piece(&line(false, level), "}")
            }
        }
    }

    fn piece(&mut self, prefix: &str, text: &str) -> Result<(), Exceeded> {
        let start = self.text.len();
        self.text.push_str(prefix);
        self.text.push_str(text);
        self.counter.add_text(&self.text[start..])
    }

    fn quoted(&mut self, prefix: &str, text: &str) -> Result<(), Exceeded> {
        let start = self.text.len();
        self.text.push_str(prefix);
        quote(&mut self.text, text);
        self.counter.add_text(&self.text[start..])
    }
}

/// The start of a new line inside a collection.
fn line(comma: bool, level: usize) -> String {
    format!("{}\n{:indent$}", if comma { "," } else { "" }, "", indent = level * 2)
}

/// Writes `text` in quotes. Control characters and the line separators of Unicode are escaped.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (place, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => "",
            _ => continue,
        };
        out.push_str(&text[plain..place]);
        plain = place + c.len_utf8();
        out.push_str(escape);
        if escape.is_empty() {
            write!(out, "\\u{:04x}", c as u32).expect("a string takes all text");
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::{from_json, to_json};

    fn check(json: &str, written: &str) {
        let value = from_json(json).unwrap();
        assert_eq!(to_json(&value, &mut Memory::new(10_000).counter()).unwrap(), written);
    }

    #[test]
    fn layout() {
        check("[]", "[]");
        check(
            r#"{"a":{},"b":[1,[2.50,null]],"c":{"d":true}}"#,
            concat!(
                "{\n  \"a\": {},\n  \"b\": [\n    1,\n    [\n      2.5,\n      null\n    ]\n  ],\n",
                "  \"c\": {\n    \"d\": true\n  }\n}"
            ),
        );
    }

    #[test]
    fn text_is_escaped() {
        check(
            r#""\"\\/\n\r\t\b\f\u0001\u007f\u2028ü😀'<""#,
            "\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\u{7f}\\u2028ü😀'<\"",
        );
    }

    #[test]
    fn order_is_kept_and_the_last_of_equal_keys_wins() {
        check(r#"{"b":1,"a":2,"B":3}"#, "{\n  \"b\": 3,\n  \"a\": 2\n}");
    }

    #[test]
    fn mistakes() {
        for text in ["", "  ", "{", "abc", "[1", "'a"] {
            assert!(
                from_json(text).unwrap_err().starts_with("Error parsing JSON when evaluating fromJson: ")
            );
        }
        assert!(from_json(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn size_is_bounded() {
        let value = from_json("[\"0123456789\"]").unwrap();
        assert!(to_json(&value, &mut Memory::new(50).counter()).is_err());
    }
}
