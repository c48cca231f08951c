//! JSON as GitHub's reader admits it beyond the standard: comments, texts in single quotes and with line breaks in them,
//! property names without quotes, a comma after the last entry, hexadecimal and octal integers, NaN and the infinities.

use super::object::Object;
use super::value::Value;

/// The most collections in one another.
const MAX_DEPTH: usize = 64;

/// Reads a document; none when it is not even JSON in this sense.
pub(crate) fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.skip_space()?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// The longest start of the rest whose characters `admits`.
    fn take_while(&mut self, admits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !admits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Skips white space and comments; none for a comment that does not end.
    fn skip_space(&mut self) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start();
            if self.take("/*") {
                self.rest = self.rest.split_once("*/")?.1;
            } else if self.take("//") {
                self.take_while(|c| c != '\n' && c != '\r');
            } else {
                return Some(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space()?;
        match self.rest.chars().next()? {
            '[' | '{' if depth == MAX_DEPTH => None,
            '[' => self.array(depth + 1),
            '{' => self.object(depth + 1),
            '"' | '\'' => self.string().map(Value::from),
            '0'..='9' | '.' => self.number(),
            '-' if !self.rest.starts_with("-I") => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Value> {
        match self.take_while(|c| c == '-' || is_name(c)) {
            "null" => Some(Value::Null),
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            "NaN" => Some(f64::NAN.into()),
            "Infinity" => Some(f64::INFINITY.into()),
            "-Infinity" => Some(f64::NEG_INFINITY.into()),
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.next()?;
        let mut items = Vec::new();
        loop {
            self.skip_space()?;
            if self.take("]") {
                return Some(items.into());
            }
            items.push(self.value(depth)?);
            self.skip_space()?;
            if !self.take(",") && !self.rest.starts_with(']') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.next()?;
        let mut object = Object::new();
        loop {
            self.skip_space()?;
            if self.take("}") {
                return Some(object.into());
            }
            let key = match self.rest.chars().next()? {
                '"' | '\'' => self.string()?,
                _ => self.take_while(is_name).to_owned(),
            };
            self.skip_space()?;
            if key.is_empty() && !self.rest.starts_with(':') || !self.take(":") {
                return None;
            }
            object.insert(key, self.value(depth)?);
            self.skip_space()?;
            if !self.take(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.next()?;
        let mut units: Vec<u16> = Vec::new();
        let mut text = String::new();
        loop {
            let c = self.next()?;
            let escaped = if c == '\\' { Some(self.escape()?) } else { None };
            if let Some(Escaped::Unit(unit)) = escaped {
                units.push(unit);
                continue;
            }
            if !units.is_empty() {
                text.push_str(&String::from_utf16_lossy(&units));
                units.clear();
            }
            match escaped {
                Some(Escaped::Char(c)) => text.push(c),
                _ if c == quote => return Some(text),
                _ => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<Escaped> {
        Some(Escaped::Char(match self.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c @ ('"' | '\'' | '\\' | '/') => c,
            'u' => {
                let digits = self.rest.get(..4)?;
                self.rest = &self.rest[4..];
                let all_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let unit = u16::from_str_radix(digits, 16).ok().filter(|_| all_digits)?;
                return Some(Escaped::Unit(unit));
            }
            _ => return None,
        }))
    }

    #[expect(clippy::cast_precision_loss, reason = "every number of the language is a double")]
    fn number(&mut self) -> Option<Value> {
        let text = self.take_while(|c| matches!(c, '+' | '-' | '.' | 'x' | 'X') || c.is_ascii_hexdigit());
        let integer =
            |digits: &str, radix| i64::from_str_radix(digits, radix).ok().map(|number| number as f64);
        let digits = text.as_bytes();
        let number = match digits {
            [b'0', b'x' | b'X', ..] => integer(&text[2..], 16)?,
            [b'0', b'0'..=b'9', ..] => integer(&text[1..], 8)?,
            _ => text.parse().ok()?,
        };
        Some(Value::Number(number))
    }
}

enum Escaped {
    Char(char),
    /// A UTF-16 code unit, which may be half of a character.
    Unit(u16),
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    fn check(text: &str, expected: serde_json::Value) {
        assert_eq!(read(text).map(|value| value.to_json()), Some(expected), "{text:?}");
    }

    #[test]
    fn what_the_standard_does_not_admit() {
        check("['a', \"it's\", 'it\\'s',]", json!(["a", "it's", "it's"]));
        check("{a: 1, $b_2: {}, 'c d': [], }", json!({"a": 1, "$b_2": {}, "c d": []}));
        check("/* a */ [ // b\n 1 /**/ ]", json!([1]));
        check("[0x1F, 017, .5, -.5, 1.]", json!([31, 15, 0.5, -0.5, 1]));
        check("[NaN, Infinity, -Infinity]", json!(["NaN", "Infinity", "-Infinity"]));
        check("'a\nb\\u00fc\\ud83d\\ude00\\ud83d'", json!("a\nbü😀\u{fffd}"));
    }

    #[test]
    fn what_is_no_json_at_all() {
        for text in [
            "",
            "abc",
            "[1",
            "{",
            "{a}",
            "{:1}x",
            "[1 2]",
            "[,]",
            "1 2",
            "'a",
            "/* a",
            "{a:1 b:2}",
            "-",
            "1e",
            "'\\x'",
            "'\\u+123'",
            "08",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert!(read(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_some());
        assert!(read(&"[".repeat(100_000)).is_none());
    }
}
