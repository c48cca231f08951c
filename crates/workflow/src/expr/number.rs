//! Numbers to text and text to numbers, as GitHub converts them.

use std::fmt::Write;

/// The number that `text` stands for, NaN when it stands for none. Blank text is 0.
///
/// Decimal with sign, fraction and exponent; `0x` and `0o` without a sign, read as 32-bit two's complement; `Infinity`.
pub(crate) fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    let bytes = text.as_bytes();
    match bytes {
        [] => 0.0,
        [b'0', b'x', digits @ ..] if !digits.is_empty() => radix(digits, 16),
        [b'0', b'o', digits @ ..] if !digits.is_empty() => radix(digits, 8),
        _ if bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => infinity(text),
    }
}

fn radix(digits: &[u8], radix: u32) -> f64 {
    let mut number: u32 = 0;
    for &digit in digits {
        let Some(value) = char::from(digit).to_digit(radix) else { return f64::NAN };
        let Some(next) = number.checked_mul(radix).and_then(|number| number.checked_add(value)) else {
            return f64::NAN;
        };
        number = next;
    }
    f64::from(number.cast_signed())
}

fn infinity(text: &str) -> f64 {
    let (sign, name) = match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if name.eq_ignore_ascii_case("infinity") { sign * f64::INFINITY } else { f64::NAN }
}

/// The decimal digits that GitHub keeps of a number.
const DIGITS: usize = 15;

/// Writes `number` as .NET's format `G15` does, except that negative zero is `0`.
pub(crate) fn number_to_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "an integer below 10^15 fits")]
        return (number as i64).to_string();
    }
    let scientific = format!("{number:.precision$e}", precision = DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    arrange(sign, digits.trim_end_matches('0'), exponent)
}

/// Places the decimal point in `digits`, the first of which has the weight 10^`exponent`.
fn arrange(sign: &str, digits: &str, exponent: i32) -> String {
    let mut text = String::with_capacity(24);
    text.push_str(sign);
    let point = usize::try_from(exponent);
    match point {
        Ok(before) if before < DIGITS => {
            let integral = (before + 1).min(digits.len());
            text.push_str(&digits[..integral]);
            text.extend(std::iter::repeat_n('0', before + 1 - integral));
            if integral < digits.len() {
                text.push('.');
                text.push_str(&digits[integral..]);
            }
        }
        Err(_) if exponent > -5 => {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
            text.push_str(digits);
        }
        _ => {
            text.push_str(&digits[..1]);
            if digits.len() > 1 {
                text.push('.');
                text.push_str(&digits[1..]);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(text, "E{sign}{:02}", exponent.unsigned_abs()).expect("a string takes all text");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{number_to_text, parse_number};

    #[test]
    fn numbers_are_written_with_fifteen_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-2.0, "-2"),
            (0.5, "0.5"),
            (-0.5, "-0.5"),
            (123_456.789, "123456.789"),
            (0.845_512_408_225_570_1, "0.84551240822557"),
            (0.1 + 0.2, "0.3"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1E-05"),
            (1.25e-7, "1.25E-07"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1E+15"),
            (1_234_567_890_123_456.0, "1.23456789012346E+15"),
            (99_999_999_999_999.96, "100000000000000"),
            (999_999_999_999_999.9, "1E+15"),
            (1e21, "1E+21"),
            (1.5e300, "1.5E+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(number_to_text(number), text);
        }
    }

    #[test]
    fn text_is_read_as_a_number() {
        for (text, number) in [
            ("", 0.0),
            (" \t\n", 0.0),
            (" +1.5 ", 1.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1.2E+2", 120.0),
            ("0xfF", 255.0),
            ("0xffffffff", -1.0),
            ("0o17", 15.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("+infinity", f64::INFINITY),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
        for text in [
            "abc",
            "NaN",
            "inf",
            "nan",
            "1 2",
            "0x",
            "0xg",
            "0x100000000",
            "-0x1",
            "0X1",
            "0o8",
            "1e",
            ".",
            "+",
            "--1",
            "1_0",
            "0b1",
        ] {
            assert!(parse_number(text).is_nan(), "{text:?}");
        }
    }
}
