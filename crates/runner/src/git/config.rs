//! git's configuration files, as far as they stand alone.

use std::iter::Peekable;
use std::str::Chars;

/// The variables of one file in its order: `section.subsection.name`, section and name in lower case.
pub(super) type Variables = Vec<(String, String)>;

/// Reads a file. `None` where only git itself can tell what holds: when the file includes others, or has a mistake.
pub(super) fn parse(text: &str) -> Option<Variables> {
    let mut reader = Reader { text: text.chars().peekable() };
    let mut variables = Vec::new();
    let mut section = String::new();
    loop {
        match reader.text.peek() {
            None => return Some(variables),
            Some(character) if character.is_whitespace() => drop(reader.text.next()),
            Some('#' | ';') => reader.skip_line(),
            Some('[') => {
                section = reader.section()?;
                if section == "include" || section.starts_with("includeif.") {
                    return None;
                }
            }
            Some(_) => {
                let (name, value) = reader.variable()?;
                variables.push((format!("{section}.{name}"), value));
            }
        }
    }
}

struct Reader<'a> {
    text: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn skip_line(&mut self) {
        self.text.by_ref().find(|character| *character == '\n');
    }

    fn skip_blanks(&mut self) {
        while self.text.next_if(|character| matches!(character, ' ' | '\t' | '\r')).is_some() {}
    }

    fn word(&mut self, allowed: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while let Some(character) = self.text.next_if(|character| allowed(*character)) {
            word.push(character.to_ascii_lowercase());
        }
        word
    }

    /// `[name]`, `[name "subsection"]` or the old `[name.subsection]`.
    fn section(&mut self) -> Option<String> {
        self.text.next();
        let mut section =
            self.word(|character| character.is_ascii_alphanumeric() || "-.".contains(character));
        self.skip_blanks();
        if self.text.next_if_eq(&'"').is_some() {
            section.push('.');
            loop {
                match self.text.next()? {
                    '"' => break,
                    '\n' => return None,
                    '\\' => section.push(self.text.next()?),
                    other => section.push(other),
                }
            }
        }
        (self.text.next()? == ']').then_some(section)
    }

    /// `name = value`, or a `name` alone, which is true.
    fn variable(&mut self) -> Option<(String, String)> {
        let name = self.word(|character| character.is_ascii_alphanumeric() || character == '-');
        self.skip_blanks();
        match self.text.peek() {
            _ if name.is_empty() => None,
            Some('=') => {
                self.text.next();
                Some((name, self.value()?))
            }
            None | Some('\n') => Some((name, "true".to_owned())),
            Some('#' | ';') => {
                self.skip_line();
                Some((name, "true".to_owned()))
            }
            Some(_) => None,
        }
    }

    fn value(&mut self) -> Option<String> {
        self.skip_blanks();
        let mut value = String::new();
        // What of the value is not blanks at its end.
        let mut length = 0;
        let mut quoted = false;
        loop {
            match self.text.next() {
                None | Some('\n') if quoted => return None,
                None | Some('\n') => break,
                Some('#' | ';') if !quoted => {
                    self.skip_line();
                    break;
                }
                Some('"') => {
                    quoted = !quoted;
                    length = value.len();
                    continue;
                }
                Some('\\') => match self.text.next()? {
                    '\n' => continue,
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    character @ ('"' | '\\') => value.push(character),
                    _ => return None,
                },
                Some(blank) if blank.is_whitespace() && !quoted => {
                    value.push(blank);
                    continue;
                }
                Some(other) => value.push(other),
            }
            length = value.len();
        }
        value.truncate(length);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::parse;

    fn check(text: &str, expected: Option<&[(&str, &str)]>) {
        let found = parse(text);
        let found: Option<Vec<(&str, &str)>> = found
            .as_ref()
            .map(|found| found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn names_have_their_section() {
        check("[core]\n\tbare = false\n", Some(&[("core.bare", "false")]));
        check("[Remote \"Origin\"]URL=x", Some(&[("remote.Origin.url", "x")]));
        check("[remote.origin] url = x", Some(&[("remote.origin.url", "x")]));
        check("[a \"b \\\"c\\\\\"] d", Some(&[("a.b \"c\\.d", "true")]));
    }

    #[test]
    fn values_end_before_blanks_and_comments() {
        check(
            "[a]\n b = c  d \t\n e = f # g\n h ; i\n# j\n",
            Some(&[("a.b", "c  d"), ("a.e", "f"), ("a.h", "true")]),
        );
        check("[a]\nb = \" c # \" d\\n\\\n e\r\n", Some(&[("a.b", " c #  d\n e")]));
        check("[a]\nb =\nc = \"\"\n", Some(&[("a.b", ""), ("a.c", "")]));
    }

    #[test]
    fn what_only_git_can_tell_is_left_to_it() {
        for text in [
            "[include]\npath = x",
            "[includeIf \"gitdir:/\"]\npath = x",
            "[a",
            "[a]\n=",
            "[a]\nb c",
            "[a]\nb = \\q",
            "[a]\nb = \"c\n",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]\"\\\\#;=a \\n.]{0,40}") {
            parse(&text);
        }
    }
}
