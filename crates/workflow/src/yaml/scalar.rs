//! The types of scalars: YAML 1.2's core schema as GitHub's reader applies it.

use std::sync::Arc;

use super::NodeKind;
use super::shared::shared;

/// Why a scalar is refused.
#[derive(Debug, PartialEq)]
pub(super) enum ScalarError {
    /// The text does not fit the tag or, for a plain scalar, the type that its form says.
    Invalid(&'static str),
    /// A tagged scalar in quotes or a block.
    Style(String),
    /// A tag that is not `!!str`, `!!bool`, `!!int`, `!!float` or `!!null`.
    Tag(String),
}

/// The value of a plain scalar without a tag.
pub(super) fn plain(text: &str) -> Result<NodeKind, ScalarError> {
    // Nothing but text begins with another character.
    if !matches!(
        text.as_bytes().first(),
        None | Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F')
    ) {
        return Ok(NodeKind::String(shared(text)));
    }
    if let Some(value) = null(text).or_else(|| boolean(text)) {
        return Ok(value);
    }
    if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Ok(NodeKind::String(shared(text)));
    }
    if let Some(value) = integer(text)? {
        return Ok(value);
    }
    Ok(float(text).unwrap_or_else(|| NodeKind::String(shared(text))))
}

/// The value of a scalar with a tag, `core` being the tag's name in the core schema.
pub(super) fn tagged(
    text: &str,
    core: Option<&str>,
    tag: &str,
    plain: bool,
) -> Result<NodeKind, ScalarError> {
    if core == Some("str") {
        return Ok(NodeKind::String(Arc::from(text)));
    }
    if !plain {
        return Err(ScalarError::Style(tag.to_owned()));
    }
    match core {
        Some("bool") => boolean(text).ok_or(ScalarError::Invalid("bool")),
        Some("int") => integer(text)?.ok_or(ScalarError::Invalid("int")),
        Some("float") => float(text).ok_or(ScalarError::Invalid("float")),
        Some("null") => null(text).ok_or(ScalarError::Invalid("null")),
        _ => Err(ScalarError::Tag(tag.to_owned())),
    }
}

fn null(text: &str) -> Option<NodeKind> {
    matches!(text, "" | "null" | "Null" | "NULL" | "~").then_some(NodeKind::Null)
}

fn boolean(text: &str) -> Option<NodeKind> {
    match text {
        "true" | "True" | "TRUE" => Some(NodeKind::Bool(true)),
        "false" | "False" | "FALSE" => Some(NodeKind::Bool(false)),
        _ => None,
    }
}

/// Decimal integers of any size, hexadecimal and octal ones of 32 bits, which GitHub reads as signed.
fn integer(text: &str) -> Result<Option<NodeKind>, ScalarError> {
    let radix = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        valid.then(|| u32::from_str_radix(digits, radix).map_err(|_| ScalarError::Invalid("int")))
    };
    let bits = if let Some(digits) = text.strip_prefix("0x") {
        radix(digits, 16)
    } else if let Some(digits) = text.strip_prefix("0o") {
        radix(digits, 8)
    } else {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return Ok(if valid { text.parse().ok().map(NodeKind::Number) } else { None });
    };
    bits.transpose().map(|bits| bits.map(|bits| NodeKind::Number(f64::from(bits.cast_signed()))))
}

fn float(text: &str) -> Option<NodeKind> {
    let value = match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY,
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY,
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        _ if is_decimal(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(NodeKind::Number(value))
}

/// Whether the text is `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
