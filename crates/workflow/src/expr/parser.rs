//! Tokens to a tree: operator precedence with two explicit stacks, so that no nesting in the source can exhaust the call
//! stack. Mistakes are found in the order in which GitHub finds them.

use super::ast::{Comparison, Expr, Extent, NodeId, Syntax, Tree};
use super::error::{ExprError, Stage};
use super::functions::{Function, Signature};
use super::lexer::{Lexer, Operator, Token, TokenKind};
use super::names::Names;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// The most levels that the tree of an expression may have.
pub const MAX_DEPTH: u32 = 50;

/// The most UTF-16 code units that the text of an expression may have.
pub const MAX_LENGTH: usize = 21_000;

/// Parses the text of an expression, without `${{ }}`. Blank text is an expression whose value is null.
///
/// # Errors
/// Text that is no expression, or one with a name that `names` does not admit.
pub fn parse(source: &str, names: &Names) -> Result<Expr, ExprError> {
    if is_too_long(source) {
        return Err(ExprError::new(Stage::Parsing, format!("Exceeded max expression length {MAX_LENGTH}")));
    }
    with_scratch(|scratch| {
        let mut parser = Parser { source, names, scratch };
        parser.part(0, source.len())?;
        Ok(parser.finish_tree(false))
    })
}

/// The condition `success() && (…)`, the expression being at `part` of `source`. None where the expression has a mistake
/// or calls a status function.
pub(super) fn parse_condition(source: &str, part: Range<usize>, names: &Names) -> Option<Expr> {
    if is_too_long(source) {
        return None;
    }
    with_scratch(|scratch| {
        let mut parser = Parser { source, names, scratch };
        let signature = names.function("success")?;
        parser.call(signature, name_at_start("success"), 0).ok()?;
        parser.part(part.start, part.end).ok().filter(|has_root| *has_root)?;
        let is_status =
            |(syntax, _): &(Syntax, u32)| matches!(syntax, Syntax::Call(function, _) if function.is_status());
        if parser.scratch.nodes.iter().skip(1).any(is_status) {
            return None;
        }
        parser.logical(Operator::And, "success() ".len());
        parser.is_shallow().then(|| parser.finish_tree(false))
    })
}

/// The call `format('…', …)` that stands for a text: `template` is the text between its quotes, `arguments` are the others'
/// places in `source`. None where one of them has a mistake.
pub(super) fn parse_format(
    source: &str,
    template: Range<usize>,
    arguments: &[Range<usize>],
    names: &Names,
) -> Option<Expr> {
    if is_too_long(source) {
        return None;
    }
    with_scratch(|scratch| {
        let mut parser = Parser { source, names, scratch };
        let text = unquote(&source[template.start - 1..template.end + 1]);
        parser.finish(Syntax::String(text), template.start - 1, 1);
        for argument in arguments {
            parser.part(argument.start, argument.end).ok().filter(|has_root| *has_root)?;
        }
        parser.call(names.function("format")?, name_at_start("format"), 0).ok()?;
        parser.is_shallow().then(|| parser.finish_tree(true))
    })
}

/// The token of a function's name with which a source begins.
fn name_at_start(name: &str) -> Token {
    Token { kind: TokenKind::Function, start: 0, end: name.len() }
}

fn is_too_long(source: &str) -> bool {
    source.len() > MAX_LENGTH && source.encode_utf16().count() > MAX_LENGTH
}

/// The lists of a parser, kept for the next expression: most are short and many.
#[derive(Default)]
struct Scratch {
    nodes: Vec<(Syntax, u32)>,
    operands: Vec<NodeId>,
    finished: Vec<Operand>,
    waiting: Vec<Waiting>,
}

fn with_scratch<T>(parse: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.nodes.clear();
        scratch.operands.clear();
        scratch.finished.clear();
        scratch.waiting.clear();
        parse(scratch)
    })
}

/// A finished operand and the levels of its tree.
#[derive(Clone, Copy)]
struct Operand {
    id: NodeId,
    depth: u32,
}

/// An operator that waits for its operands.
#[derive(Clone, Copy)]
enum Waiting {
    Group,
    /// `[`
    Index(Token),
    Dereference(Token),
    Operator(Operator, Token),
    /// A call with the number of its arguments so far and of the operands before them.
    Call {
        signature: Signature,
        name: Token,
        below: usize,
    },
}

impl Waiting {
    /// How strongly the operator binds; 0 for those that only their closing symbol ends.
    fn precedence(self) -> u8 {
        match self {
            Self::Group | Self::Index(_) | Self::Call { .. } => 0,
            Self::Dereference(_) => 19,
            Self::Operator(operator, _) => precedence(operator),
        }
    }
}

fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Not => 16,
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => 11,
        Operator::Equal | Operator::NotEqual => 10,
        Operator::And => 6,
        Operator::Or => 5,
    }
}

struct Parser<'a> {
    source: &'a str,
    names: &'a Names,
    scratch: &'a mut Scratch,
}

impl Parser<'_> {
    /// Parses the expression between the two places: one operand more, or none where it is blank.
    fn part(&mut self, start: usize, end: usize) -> Result<bool, ExprError> {
        let mut lexer = Lexer::new(&self.source[..end], start);
        let mut last = None;
        while let Some(token) = lexer.next_token() {
            self.take(token)?;
            last = Some(token);
        }
        let Some(last) = last else { return Ok(false) };
        let dangling =
            matches!(last.kind, TokenKind::Function | TokenKind::Dereference | TokenKind::Operator(_));
        if dangling || lexer.is_open() {
            return Err(self.error(Stage::Parsing, "Unexpected end of expression", last));
        }
        self.flush(1);
        if !self.is_shallow() {
            return Err(ExprError::new(Stage::Parsing, format!("Exceeded max expression depth {MAX_DEPTH}")));
        }
        Ok(true)
    }

    /// Whether the last operand has not too many levels.
    fn is_shallow(&self) -> bool {
        let last = self.scratch.finished.last().expect("a sequence that the lexer admits leaves one operand");
        last.depth <= MAX_DEPTH
    }

    fn finish_tree(&mut self, is_text: bool) -> Expr {
        Expr {
            tree: Arc::new(Tree {
                source: Arc::from(self.source),
                nodes: self.scratch.nodes.drain(..).collect(),
                operands: self.scratch.operands.as_slice().into(),
                is_text,
            }),
        }
    }

    fn error(&self, stage: Stage, what: &str, token: Token) -> ExprError {
        ExprError::located(stage, what, &self.source[token.start..token.end], self.source, token.start)
    }

    fn take(&mut self, token: Token) -> Result<(), ExprError> {
        let extent = Extent { start: token.start as u32, end: token.end as u32 };
        match token.kind {
            TokenKind::Malformed => return Err(self.error(Stage::Lexing, "Unexpected symbol", token)),
            TokenKind::Misplaced => return Err(self.error(Stage::Parsing, "Unexpected symbol", token)),
            TokenKind::Null => self.leaf(Syntax::Null, token),
            TokenKind::Bool(value) => self.leaf(Syntax::Bool(value), token),
            TokenKind::Number(number) => self.leaf(Syntax::Number(number), token),
            TokenKind::String => {
                let text = unquote(&self.source[token.start..token.end]);
                self.leaf(Syntax::String(text), token);
            }
            TokenKind::Property => self.leaf(Syntax::Property(extent), token),
            TokenKind::Wildcard => self.leaf(Syntax::Wildcard, token),
            TokenKind::Context => {
                if !self.names.admits_context(&self.source[token.start..token.end]) {
                    return Err(self.error(Stage::Parsing, "Unrecognized named-value", token));
                }
                self.leaf(Syntax::Context(extent), token);
            }
            TokenKind::Function => {
                let Some(signature) = self.names.function(&self.source[token.start..token.end]) else {
                    return Err(self.error(Stage::Parsing, "Unrecognized function", token));
                };
                self.scratch.waiting.push(Waiting::Call {
                    signature,
                    name: token,
                    below: self.scratch.finished.len(),
                });
            }
            // The call itself already waits.
            TokenKind::StartParameters => {}
            TokenKind::StartGroup => self.scratch.waiting.push(Waiting::Group),
            TokenKind::StartIndex => {
                self.flush(19);
                self.scratch.waiting.push(Waiting::Index(token));
            }
            TokenKind::Dereference => {
                self.flush(19);
                self.scratch.waiting.push(Waiting::Dereference(token));
            }
            TokenKind::Operator(Operator::Not) => {
                self.scratch.waiting.push(Waiting::Operator(Operator::Not, token))
            }
            TokenKind::Operator(operator) => {
                self.flush(precedence(operator));
                self.scratch.waiting.push(Waiting::Operator(operator, token));
            }
            TokenKind::Separator => self.flush(1),
            TokenKind::EndGroup | TokenKind::EndIndex | TokenKind::EndParameters => return self.close(),
        }
        Ok(())
    }

    fn leaf(&mut self, syntax: Syntax, token: Token) {
        self.finish(syntax, token.start, 1);
    }

    fn finish(&mut self, syntax: Syntax, at: usize, depth: u32) {
        let id = self.scratch.nodes.len() as NodeId;
        self.scratch.nodes.push((syntax, at as u32));
        self.scratch.finished.push(Operand { id, depth });
    }

    fn pop(&mut self) -> Operand {
        self.scratch.finished.pop().expect("the lexer admits an operator only with its operands")
    }

    /// Builds the waiting operators that bind at least as strongly as `precedence`, down to what is open.
    fn flush(&mut self, precedence: u8) {
        while let Some(waiting) = self.scratch.waiting.pop_if(|waiting| waiting.precedence() >= precedence) {
            match waiting {
                Waiting::Dereference(token) => self.index(token),
                Waiting::Operator(Operator::Not, token) => {
                    let operand = self.pop();
                    self.finish(Syntax::Not(operand.id), token.start, operand.depth + 1);
                }
                Waiting::Operator(operator, token) => self.binary(operator, token),
                Waiting::Group | Waiting::Index(_) | Waiting::Call { .. } => {
                    unreachable!("an open symbol has no precedence")
                }
            }
        }
    }

    fn index(&mut self, token: Token) {
        let index = self.pop();
        let base = self.pop();
        let depth = 1 + base.depth.max(index.depth);
        self.finish(Syntax::Index(base.id, index.id), token.start, depth);
    }

    fn binary(&mut self, operator: Operator, token: Token) {
        let comparison = match operator {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::And | Operator::Or | Operator::Not => return self.logical(operator, token.start),
        };
        let right = self.pop();
        let left = self.pop();
        let depth = 1 + left.depth.max(right.depth);
        self.finish(Syntax::Compare(comparison, left.id, right.id), token.start, depth);
    }

    /// Joins two operands by `&&` or `||`; one that is itself so joined gives its operands to the new node.
    fn logical(&mut self, operator: Operator, at: usize) {
        let right = self.pop();
        let left = self.pop();
        let mut extent = Extent { start: self.scratch.operands.len() as u32, end: 0 };
        let mut depth = 0;
        for (place, operand) in [left, right].into_iter().enumerate() {
            match self.joined(operator, operand) {
                Some(inner) => {
                    depth = depth.max(operand.depth);
                    // A chain grows in place, so that its length does not count twice.
                    if place == 0 && inner.end as usize == self.scratch.operands.len() {
                        extent.start = inner.start;
                    } else {
                        self.scratch.operands.extend_from_within(inner.range());
                    }
                }
                None => {
                    depth = depth.max(operand.depth + 1);
                    self.scratch.operands.push(operand.id);
                }
            }
        }
        extent.end = self.scratch.operands.len() as u32;
        let syntax = if operator == Operator::And { Syntax::And(extent) } else { Syntax::Or(extent) };
        self.finish(syntax, at, depth);
    }

    fn joined(&self, operator: Operator, operand: Operand) -> Option<Extent> {
        match (operator, &self.scratch.nodes[operand.id as usize].0) {
            (Operator::And, Syntax::And(extent)) | (Operator::Or, Syntax::Or(extent)) => Some(*extent),
            _ => None,
        }
    }

    /// Builds what the closing symbol ends.
    fn close(&mut self) -> Result<(), ExprError> {
        self.flush(1);
        match self
            .scratch
            .waiting
            .pop()
            .expect("the lexer admits a closing symbol only after its opening one")
        {
            Waiting::Index(token) => self.index(token),
            Waiting::Call { signature, name, below } => return self.call(signature, name, below),
            Waiting::Group | Waiting::Dereference(_) | Waiting::Operator(..) => {}
        }
        Ok(())
    }

    fn call(&mut self, signature: Signature, name: Token, below: usize) -> Result<(), ExprError> {
        let arguments = self.scratch.finished.len() - below;
        let mistake = if arguments < signature.min {
            Some("Too few parameters supplied")
        } else if arguments > signature.max {
            Some("Too many parameters supplied")
        } else if signature.function == Function::Case && arguments.is_multiple_of(2) {
            Some("Even number of parameters supplied, requires an odd number of parameters")
        } else {
            None
        };
        if let Some(what) = mistake {
            return Err(self.error(Stage::Parsing, what, name));
        }
        let start = self.scratch.operands.len() as u32;
        let depth = 1 + self.scratch.finished[below..].iter().map(|operand| operand.depth).max().unwrap_or(0);
        self.scratch.operands.extend(self.scratch.finished.drain(below..).map(|operand| operand.id));
        let extent = Extent { start, end: self.scratch.operands.len() as u32 };
        self.finish(Syntax::Call(signature.function, extent), name.start, depth);
        Ok(())
    }
}

/// The text between the quotes of a literal, where two quotes stand for one.
fn unquote(literal: &str) -> Arc<str> {
    let inner = &literal[1..literal.len() - 1];
    if inner.contains('\'') { Arc::from(inner.replace("''", "'")) } else { Arc::from(inner) }
}

#[cfg(test)]
mod tests {
    use super::super::{ExprError, Names, Stage, StatusFunctions};
    use super::parse;

    const NAMES: Names = Names::of(&["github", "a", "b", "c"]).with_status(StatusFunctions::Step);

    fn check(source: &str, written: &str) {
        let expr = parse(source, &NAMES).unwrap();
        assert_eq!(expr.root().map(|root| root.to_string()).unwrap_or_default(), written, "{source:?}");
    }

    fn check_error(source: &str, message: &str) -> ExprError {
        let error = parse(source, &NAMES).unwrap_err();
        let located =
            format!(". Located at position {} within expression: {source}", error.position.unwrap_or(0));
        assert_eq!(error.message.replace(&located, ""), message, "{source:?}");
        error
    }

    #[test]
    fn precedence() {
        check("a || b && c == 1 > 2", "(a || (b && (c == (1 > 2))))");
        check("a == b == c", "((a == b) == c)");
        check("!a.b[0] == !!b", "(!a.b[0] == !!b)");
        check("a && b && (c && a) && b", "(a && b && c && a && b)");
        check("a && (b || c || (a && b)) || c", "((a && (b || c || (a && b))) || c)");
        check("(a && (b)).c", "(a && b).c");
        check("format('{0}', a && b, c).b", "format('{0}', (a && b), c).b");
        check("a[b[c || a]].*", "a[b[(c || a)]][*]");
        check("GitHub.Event", "GitHub.Event");
        check("", "");
        check(" \n", "");
    }

    #[test]
    fn mistakes_have_a_position() {
        assert_eq!(check_error("a && 'ü' == d", "Unrecognized named-value: 'd'").position, Some(13));
        assert_eq!(check_error("'ü' + 1", "Unexpected symbol: '+'").offset, Some(5));
        check_error("f(1)", "Unrecognized function: 'f'");
        check_error("hashFiles('a')", "Unrecognized function: 'hashFiles'");
        check_error("contains('a')", "Too few parameters supplied: 'contains'");
        check_error("toJson(a, b)", "Too many parameters supplied: 'toJson'");
        check_error("success(a)", "Too many parameters supplied: 'success'");
        check_error(
            "case(true, 1, false, 2)",
            "Even number of parameters supplied, requires an odd number of parameters: 'case'",
        );
        check_error("a ==", "Unexpected end of expression: '=='");
        check_error("a.", "Unexpected end of expression: '.'");
        check_error("(a", "Unexpected end of expression: 'a'");
        check_error("toJson(", "Unexpected end of expression: '('");
        check_error("a)", "Unexpected symbol: ')'");
    }

    #[test]
    fn stages() {
        for (source, stage) in [("a $", Stage::Lexing), ("a a", Stage::Parsing), ("d", Stage::Parsing)] {
            assert_eq!(parse(source, &NAMES).unwrap_err().stage, stage, "{source:?}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let nested = |levels: usize| format!("{}a", "!".repeat(levels));
        assert!(parse(&nested(49), &NAMES).is_ok());
        assert_eq!(check_error(&nested(50), "Exceeded max expression depth 50").position, None);
        check_error(&"a && (b || ".repeat(40), "Unexpected end of expression: '||'");
        assert!(parse(&format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000)), &NAMES).is_ok());
        assert!(parse(&vec!["a"; 4000].join(" && "), &NAMES).is_ok());
        check_error(&"a".repeat(21_001), "Exceeded max expression length 21000");
        assert!(parse(&format!("'{}'", "ü".repeat(20_998)), &NAMES).is_ok());
    }
}
