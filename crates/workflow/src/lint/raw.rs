//! The expressions of a scalar where they stand in the file: the model has one expression for a whole text.

use crate::expr::text::{Piece, pieces};
use crate::expr::{Expr, Names, parse};
use crate::source::{SourceFile, Span};

/// One `${{ … }}` of a scalar.
#[derive(Clone, Debug)]
pub(crate) struct RawExpression {
    /// With `${{` and `}}`.
    pub(crate) span: Span,
    /// What stands between them.
    pub(crate) expression: Expr,
}

/// The expressions of the scalar at `span`, in its order. One that the notation of the scalar changes (escapes in
/// double quotes) is left out.
pub(crate) fn expressions(file: &SourceFile, span: Span) -> Vec<RawExpression> {
    let text = file.slice(span);
    let single_quoted = text.starts_with('\'');
    let piece = |piece| {
        let Ok(Piece::Expression { outer, inner }) = piece else { return None };
        let source = &text[inner];
        let expression = match single_quoted && source.contains("''") {
            true => parse(&source.replace("''", "'"), &Names::any()),
            false => parse(source, &Names::any()),
        };
        let start = span.start as usize;
        let span = Span::new(start + outer.start, start + outer.end);
        Some(RawExpression { span, expression: expression.ok()? })
    };
    pieces(text).filter_map(piece).collect()
}
