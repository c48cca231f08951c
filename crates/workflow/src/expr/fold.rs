//! Comparison of text without regard to case, as .NET's `OrdinalIgnoreCase` does it.
//!
//! Each code point is upper-cased by itself and never becomes two: `ß` stays `ß`. Dotless `ı` and long `ſ` keep their case,
//! so that no text outside ASCII equals text inside it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::Hasher;

/// The upper case of one code point, where that is one code point.
fn upper_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    match c {
        'ı' | 'ſ' => c,
        // Greek letters with iota subscript: their full upper case is two letters, their simple one is the title case.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shift(c, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shift(c, 9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => c,
            }
        }
    }
}

fn shift(c: char, by: u32) -> char {
    char::from_u32(c as u32 + by).unwrap_or(c)
}

/// `text` in upper case.
pub(crate) fn upper(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Cow::Owned(text.to_ascii_uppercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(upper_char).collect())
}

/// Whether two texts are equal without regard to case.
pub(crate) fn equal(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    left.chars().map(upper_char).eq(right.chars().map(upper_char))
}

/// The order of two texts without regard to case, by UTF-16 code unit.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    left.chars().map(|c| utf16_rank(upper_char(c))).cmp(right.chars().map(|c| utf16_rank(upper_char(c))))
}

/// Orders code points as their UTF-16 code units: those written with surrogates come before U+E000.
fn utf16_rank(c: char) -> u32 {
    match c as u32 {
        code @ 0xe000..=0xffff => code + 0x0020_0000,
        code => code,
    }
}

/// Whether `text` starts with `prefix` without regard to case.
pub(crate) fn starts_with(text: &str, prefix: &str) -> bool {
    let mut chars = text.chars();
    prefix.chars().all(|p| chars.next().is_some_and(|c| upper_char(c) == upper_char(p)))
}

/// Whether `text` ends with `suffix` without regard to case.
pub(crate) fn ends_with(text: &str, suffix: &str) -> bool {
    let mut chars = text.chars().rev();
    suffix.chars().rev().all(|s| chars.next().is_some_and(|c| upper_char(c) == upper_char(s)))
}

/// Whether `text` contains `part` without regard to case; linear in the length of both.
pub(crate) fn contains(text: &str, part: &str) -> bool {
    upper(text).contains(upper(part).as_ref())
}

/// Feeds `text` to `hasher` so that texts that are [`equal`] hash alike.
pub(crate) fn hash(text: &str, hasher: &mut impl Hasher) {
    let mut block = [0u8; 64];
    if text.len() <= block.len() && text.is_ascii() {
        let block = &mut block[..text.len()];
        block.copy_from_slice(text.as_bytes());
        block.make_ascii_uppercase();
        hasher.write(block);
        hasher.write_u8(0xff);
        return;
    }
    let mut used = 0;
    for c in text.chars() {
        if used + 4 > block.len() {
            hasher.write(&block[..used]);
            used = 0;
        }
        used += upper_char(c).encode_utf8(&mut block[used..]).len();
    }
    hasher.write(&block[..used]);
    hasher.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use super::{compare, contains, ends_with, equal, hash, starts_with};
    use std::cmp::Ordering;
    use std::hash::{DefaultHasher, Hasher};

    fn hashed(text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash(text, &mut hasher);
        hasher.finish()
    }

    #[test]
    fn equal_texts_hash_alike() {
        for (left, right, same) in [
            ("github", "GitHub", true),
            ("ü", "Ü", true),
            ("абв", "АБВ", true),
            ("ß", "SS", false),
            ("ı", "I", false),
            ("ſ", "S", false),
            ("ᾳ", "ᾼ", true),
            ("a", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(equal(left, right), same, "{left} {right}");
            assert_eq!(hashed(left) == hashed(right), same, "{left} {right}");
            assert_eq!(compare(left, right) == Ordering::Equal, same, "{left} {right}");
        }
    }

    #[test]
    fn order_is_of_utf16() {
        assert_eq!(compare("\u{10000}", "\u{ffff}"), Ordering::Less);
        assert_eq!(compare("a", "B"), Ordering::Less);
        assert_eq!(compare("_", "a"), Ordering::Greater);
    }

    #[test]
    fn parts_are_found_without_case() {
        assert!(starts_with("Straße", "STRAß"));
        assert!(!starts_with("a", "ab"));
        assert!(ends_with("asdf_ü", "Ü"));
        assert!(contains("Hello, Wörld", "WÖR"));
        assert!(contains("anything", ""));
        assert!(!contains("", "x"));
    }
}
