//! Marks and colours, one look for every verb.

use run::status::Conclusion;

/// Whether text may be coloured, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether the reader shows colours.
    pub(crate) colours: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Text in the colour of a conclusion.
    pub(crate) fn concluded(self, conclusion: Conclusion, text: &str) -> String {
        match conclusion {
            Conclusion::Success => self.green(text),
            Conclusion::Failure => self.red(text),
            Conclusion::Cancelled => self.yellow(text),
            Conclusion::Skipped => self.dim(text),
        }
    }

    /// The mark of a conclusion.
    pub(crate) fn mark(self, conclusion: Conclusion) -> String {
        let mark = match conclusion {
            Conclusion::Success => "✓",
            Conclusion::Failure => "✗",
            Conclusion::Cancelled | Conclusion::Skipped => "⊘",
        };
        self.concluded(conclusion, mark)
    }
}
