//! Sizes in bytes as people write them: `1.5 GiB`, `200kB`, `17`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// There is no number at the start.
    Number(String),
    /// The unit is not known.
    Unit(String),
    /// The size does not fit.
    TooLarge(String),
}

const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1000),
    ("mb", 1000 * 1000),
    ("gb", 1000 * 1000 * 1000),
    ("tb", 1000 * 1000 * 1000 * 1000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for ByteSize {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number
            .parse()
            .map_err(|_| ParseError::Number(text.to_owned()))?;
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" => 1,
            unit => match UNITS.iter().find(|(name, _)| *name == unit) {
                Some((_, factor)) => *factor,
                None => return Err(ParseError::Unit(unit.to_owned())),
            },
        };
        let bytes = number * factor as f64;
        if bytes >= u64::MAX as f64 {
            return Err(ParseError::TooLarge(text.to_owned()));
        }
        Ok(ByteSize(bytes.round() as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        // Rounding to one place must not show 1024.0 of a smaller unit.
        while unit + 1 < NAMES.len() && value >= 1023.95 {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 {
            write!(f, "{} B", self.0)
        } else {
            write!(f, "{value:.1} {}", NAMES[unit])
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Number(text) => write!(f, "`{text}` does not start with a number"),
            ParseError::Unit(unit) => write!(f, "unknown unit `{unit}`"),
            ParseError::TooLarge(text) => write!(f, "`{text}` is too large"),
        }
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, bytes: u64) {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }

    #[test]
    fn plain_numbers_are_bytes() {
        check("0", 0);
        check("17", 17);
        check(" 17 B ", 17);
    }

    #[test]
    fn decimal_and_binary_units_differ() {
        check("2kB", 2000);
        check("2 KiB", 2048);
        check("1.5 GiB", 3 << 29);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!("x".parse::<ByteSize>(), Err(ParseError::Number("x".into())));
        assert_eq!(
            "1 parsec".parse::<ByteSize>(),
            Err(ParseError::Unit("parsec".into()))
        );
        assert_eq!(
            "99999999 TiB".parse::<ByteSize>(),
            Err(ParseError::TooLarge("99999999 TiB".into()))
        );
    }
}
