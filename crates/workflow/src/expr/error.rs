//! What can be wrong with an expression.

/// When a mistake was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A symbol that is none of the language.
    Lexing,
    /// A symbol that may not stand where it stands, an unknown name, a wrong number of arguments, an unexpected end, too
    /// deep or too long.
    Parsing,
    /// A mistake that shows only with the values.
    Evaluation,
}

impl Stage {
    /// The name in machine-readable output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lexing => "lexing",
            Self::Parsing => "parsing",
            Self::Evaluation => "evaluation",
        }
    }
}

/// A mistake in an expression or of its evaluation. The message is GitHub's, with the position where GitHub names one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// When it was found.
    pub stage: Stage,
    /// GitHub's text.
    pub message: String,
    /// Where in the expression, in characters from 1.
    pub position: Option<usize>,
    /// Where in the text that was handed in, in bytes from 0.
    pub offset: Option<usize>,
    pub(crate) pending: Option<Box<[String]>>,
}

impl ExprError {
    pub(crate) fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage, message: message.into(), position: None, offset: None, pending: None }
    }

    pub(crate) fn evaluation(message: impl Into<String>) -> Self {
        Self::new(Stage::Evaluation, message)
    }

    /// A mistake at the byte `offset` of `source`, about the text `token` there.
    pub(crate) fn located(stage: Stage, what: &str, token: &str, source: &str, offset: usize) -> Self {
        let position = source[..offset].chars().count() + 1;
        Self {
            stage,
            message: format!("{what}: '{token}'. Located at position {position} within expression: {source}"),
            position: Some(position),
            offset: Some(offset),
            pending: None,
        }
    }

    pub(crate) fn pending_hash_files(patterns: Vec<String>) -> Self {
        let mut error = Self::evaluation("the hash of files is not known yet");
        error.pending = Some(patterns.into_boxed_slice());
        error
    }

    /// The patterns of a `hashFiles` whose answer is not known yet: fetch it, then evaluate again.
    pub fn pending(&self) -> Option<&[String]> {
        self.pending.as_deref()
    }

    /// The same error of an expression that starts at the byte `start` of a longer text.
    pub(crate) fn moved_by(mut self, start: usize) -> Self {
        self.offset = Some(self.offset.unwrap_or(0) + start);
        self
    }
}
