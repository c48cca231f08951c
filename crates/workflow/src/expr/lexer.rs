//! Text to tokens. A token that may not follow the one before it is marked as misplaced, so that the parser builds only
//! sequences that it can build.

use super::number::parse_number;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// `(` of a grouping
    StartGroup,
    /// `(` of a call
    StartParameters,
    /// `[`
    StartIndex,
    /// `)` of a grouping
    EndGroup,
    /// `)` of a call
    EndParameters,
    /// `]`
    EndIndex,
    /// `,`
    Separator,
    /// `.`
    Dereference,
    /// `*`
    Wildcard,
    Operator(Operator),
    Null,
    Bool(bool),
    Number(f64),
    /// With its quotes.
    String,
    /// A name after `.`
    Property,
    /// A name before `(`
    Function,
    /// Any other name.
    Context,
    /// No token of the language.
    Malformed,
    /// A token that may not stand here.
    Misplaced,
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Not,
    NotEqual,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
}

/// A token and its bytes in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What has been opened and not yet closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Group,
    Parameters,
    Index,
}

/// Reads one token after the other.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    last: Option<TokenKind>,
    open: Vec<Open>,
}

impl<'a> Lexer<'a> {
    /// Reads `source` from the byte `start` on.
    pub(crate) fn new(source: &'a str, start: usize) -> Self {
        Self { source, at: start, last: None, open: Vec::new() }
    }

    /// Whether something is open after the last token.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next token, none at the end.
    pub(crate) fn next_token(&mut self) -> Option<Token> {
        self.at = skip_space(self.source, self.at);
        let first = *self.source.as_bytes().get(self.at)?;
        let start = self.at;
        let kind = match first {
            b'(' if self.last == Some(TokenKind::Function) => self.single(TokenKind::StartParameters),
            b'(' => self.single(TokenKind::StartGroup),
            b'[' => self.single(TokenKind::StartIndex),
            b')' if self.open.last() == Some(&Open::Parameters) => self.single(TokenKind::EndParameters),
            b')' => self.single(TokenKind::EndGroup),
            b']' => self.single(TokenKind::EndIndex),
            b',' => self.single(TokenKind::Separator),
            b'*' => self.single(TokenKind::Wildcard),
            b'\'' => self.string(),
            b'!' | b'>' | b'<' | b'=' | b'&' | b'|' => self.operator(first),
            b'.' if self.operand_may_follow() => self.number(),
            b'.' => self.single(TokenKind::Dereference),
            b'-' | b'+' | b'0'..=b'9' => self.number(),
            _ => self.name(),
        };
        let kind = if self.admit(kind) { kind } else { TokenKind::Misplaced };
        self.last = Some(kind);
        Some(Token { kind, start, end: self.at })
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    fn string(&mut self) -> TokenKind {
        let bytes = self.source.as_bytes();
        self.at += 1;
        loop {
            match (bytes.get(self.at), bytes.get(self.at + 1)) {
                (None, _) => return TokenKind::Malformed,
                (Some(b'\''), Some(b'\'')) => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return TokenKind::String;
                }
                _ => self.at += 1,
            }
        }
    }

    fn operator(&mut self, first: u8) -> TokenKind {
        let second = self.source.as_bytes().get(self.at + 1).copied();
        let (operator, length) = match (first, second) {
            (b'!', Some(b'=')) => (Operator::NotEqual, 2),
            (b'=', Some(b'=')) => (Operator::Equal, 2),
            (b'>', Some(b'=')) => (Operator::GreaterOrEqual, 2),
            (b'<', Some(b'=')) => (Operator::LessOrEqual, 2),
            (b'&', Some(b'&')) => (Operator::And, 2),
            (b'|', Some(b'|')) => (Operator::Or, 2),
            (b'!', _) => (Operator::Not, 1),
            (b'>', _) => (Operator::Greater, 1),
            (b'<', _) => (Operator::Less, 1),
            _ => {
                self.at += 1;
                self.skip_to_boundary(false);
                return TokenKind::Malformed;
            }
        };
        self.at += length;
        TokenKind::Operator(operator)
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        self.skip_to_boundary(true);
        let number = parse_number(&self.source[start..self.at]);
        if number.is_nan() { TokenKind::Malformed } else { TokenKind::Number(number) }
    }

    fn name(&mut self) -> TokenKind {
        let start = self.at;
        let bytes = &self.source.as_bytes()[start..];
        let length = bytes.iter().take_while(|byte| is_of_name(**byte)).count();
        let ends = matches!(bytes.get(length), None | Some(b'.' | b' ' | b'(' | b')' | b',' | b'[' | b']'));
        if ends && is_start_of_name(bytes[0]) {
            self.at += length;
        } else {
            self.at += self.source[start..].chars().next().map_or(1, char::len_utf8);
            self.skip_to_boundary(false);
        }
        let name = &self.source[start..self.at];
        if !ends && !is_name(name) || !is_start_of_name(bytes[0]) {
            return TokenKind::Malformed;
        }
        if self.last == Some(TokenKind::Dereference) {
            return TokenKind::Property;
        }
        match name {
            "null" => TokenKind::Null,
            "true" => TokenKind::Bool(true),
            "false" => TokenKind::Bool(false),
            "NaN" => TokenKind::Number(f64::NAN),
            "Infinity" => TokenKind::Number(f64::INFINITY),
            _ if self.source[skip_space(self.source, self.at)..].starts_with('(') => TokenKind::Function,
            _ => TokenKind::Context,
        }
    }

    /// Moves to the end of a word; a number also takes dots.
    fn skip_to_boundary(&mut self, dots: bool) {
        let bytes = self.source.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let is_boundary = match byte {
                b'.' => !dots,
                b'(' | b'[' | b')' | b']' | b',' | b'!' | b'>' | b'<' | b'=' | b'&' | b'|' => true,
                0x80.. => self.source[self.at..].starts_with(char::is_whitespace),
                byte => char::from(*byte).is_whitespace(),
            };
            if is_boundary {
                return;
            }
            self.at += 1;
            while !self.source.is_char_boundary(self.at) {
                self.at += 1;
            }
        }
    }

    /// Whether an operand, a `!` or a `(` may follow the last token.
    fn operand_may_follow(&self) -> bool {
        matches!(
            self.last,
            None | Some(
                TokenKind::Separator
                    | TokenKind::StartGroup
                    | TokenKind::StartIndex
                    | TokenKind::StartParameters
                    | TokenKind::Operator(_)
            )
        )
    }

    /// Whether `.` or `[` may follow the last token.
    fn access_may_follow(&self) -> bool {
        matches!(
            self.last,
            Some(
                TokenKind::EndGroup
                    | TokenKind::EndParameters
                    | TokenKind::EndIndex
                    | TokenKind::Wildcard
                    | TokenKind::Property
                    | TokenKind::Context
            )
        )
    }

    /// Whether an operand ends with the last token.
    fn operand_has_ended(&self) -> bool {
        self.access_may_follow()
            || matches!(
                self.last,
                Some(TokenKind::Null | TokenKind::Bool(_) | TokenKind::Number(_) | TokenKind::String)
            )
    }

    /// Whether `kind` may follow the last token; keeps account of what is open.
    fn admit(&mut self, kind: TokenKind) -> bool {
        match kind {
            TokenKind::StartGroup => self.operand_may_follow() && self.opens(Open::Group),
            TokenKind::StartParameters => self.opens(Open::Parameters),
            TokenKind::StartIndex => self.access_may_follow() && self.opens(Open::Index),
            TokenKind::EndGroup => self.operand_has_ended() && self.closes(Open::Group),
            TokenKind::EndParameters => {
                let empty = self.last == Some(TokenKind::StartParameters);
                (empty || self.operand_has_ended()) && self.closes(Open::Parameters)
            }
            TokenKind::EndIndex => self.operand_has_ended() && self.closes(Open::Index),
            TokenKind::Separator => self.operand_has_ended() && self.open.last() == Some(&Open::Parameters),
            TokenKind::Dereference => self.access_may_follow(),
            TokenKind::Wildcard => {
                matches!(self.last, Some(TokenKind::StartIndex | TokenKind::Dereference))
            }
            TokenKind::Operator(Operator::Not) => self.operand_may_follow(),
            TokenKind::Operator(_) => self.operand_has_ended(),
            TokenKind::Property => true,
            TokenKind::Null
            | TokenKind::Bool(_)
            | TokenKind::Number(_)
            | TokenKind::String
            | TokenKind::Function
            | TokenKind::Context => self.operand_may_follow(),
            // The parser ends at these.
            TokenKind::Malformed | TokenKind::Misplaced => true,
        }
    }

    fn opens(&mut self, what: Open) -> bool {
        self.open.push(what);
        true
    }

    fn closes(&mut self, what: Open) -> bool {
        self.open.pop() == Some(what)
    }
}

fn skip_space(source: &str, from: usize) -> usize {
    match source.as_bytes().get(from) {
        Some(b'!'..=b'~') | None => from,
        _ => {
            let rest = &source[from..];
            from + (rest.len() - rest.trim_start().len())
        }
    }
}

/// Whether `text` is a name: a letter or `_`, then letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|first| is_start_of_name(*first)) && bytes.iter().all(|byte| is_of_name(*byte))
}

fn is_start_of_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::{Lexer, TokenKind};

    /// The tokens of `source` as texts, up to the first that is malformed, marked with `%`, or misplaced, marked with `?`.
    fn check(source: &str, expected: &str) {
        let mut lexer = Lexer::new(source, 0);
        let mut found = Vec::new();
        while let Some(token) = lexer.next_token() {
            let text = &source[token.start..token.end];
            let mark = match token.kind {
                TokenKind::Malformed => '%',
                TokenKind::Misplaced => '?',
                _ => {
                    found.push(text.to_owned());
                    continue;
                }
            };
            found.push(format!("{mark}{text}"));
            break;
        }
        assert_eq!(found.join(" "), expected, "{source:?}");
    }

    #[test]
    fn tokens() {
        check("github.event[0].*", "github . event [ 0 ] . *");
        check("!a&&b||c!=d", "! a && b || c != d");
        check("format ( 'it''s', .5 )", "format ( 'it''s' , .5 )");
        check("a.b-c_d == -1.5e+3", "a . b-c_d == -1.5e+3");
        check("a\u{a0}\n== b", "a == b");
    }

    #[test]
    fn symbols_that_may_not_stand_where_they_stand() {
        check("a b", "a ?b");
        check("\"a\"", "%\"a\"");
        check("a =  b", "a %=");
        check("a &b", "a %&b");
        check("'open", "%'open");
        check("1+2", "%1+2");
        check("a.1", "a . ?1");
        check("a..b", "a . ?.");
        check("(1]", "( 1 ?]");
        check("f(1,)", "f ( 1 , ?)");
        check("f(,1)", "f ( ?,");
        check("(1,2)", "( 1 ?,");
        check("()", "( ?)");
        check("'a'.b", "'a' ?.");
        check("*", "?*");
        check("a !b", "a ?!");
        check("wörld", "%wörld");
    }
}
