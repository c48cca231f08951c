//! Names of hosts, as they are compared: lower case, no dot at the end.

use std::fmt;

/// The longest name, in bytes.
const MAX_NAME: usize = 253;

/// The longest part of a name between dots, in bytes.
const MAX_LABEL: usize = 63;

/// A name of a host: letters, digits, `-` and `_` in parts between dots, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Reads a name, with or without a dot at its end; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_name = text.len() <= MAX_NAME && text.split('.').all(is_label);
        is_name.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The name in lower case, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a name below the other one, not the other one itself.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        self.0.strip_suffix(&*other.0).is_some_and(|above| above.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
