//! Names of images: short, lower case, and never mistaken for a digest or a path.

/// The longest name of an image, in bytes.
const MAX_NAME: usize = 63;

/// The text is no name for an image.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no name for an image: up to {MAX_NAME} of `a-z`, `0-9`, `.`, `_` and `-`, with a letter or digit first"
)]
pub struct NameError(String);

/// Checks a name.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins_well = name.bytes().next().is_some_and(is_word);
    let is_plain = name.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte));
    if begins_well && is_plain && name.len() <= MAX_NAME {
        Ok(())
    } else {
        Err(NameError(name.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_a_plain_word() {
        for good in ["ci", "minimal", "ubuntu-24.04", "a_b", "0"] {
            assert!(super::check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-x", "A", "a/b", "a b", "ä", &"a".repeat(64)] {
            assert!(super::check(bad).is_err(), "{bad}");
        }
    }
}
