//! Versions of Firecracker, and which of them this crate works with.

use std::fmt;
use std::str::FromStr;

/// A version of Firecracker, such as `1.13.0`; what follows a `-` or `+` tells builds apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    build: String,
}

impl Version {
    /// The first that is supported: it takes `track_dirty_pages` when it loads a snapshot, and describes devices by ACPI.
    pub const FIRST: (u32, u32) = (1, 13);

    /// The major version after the last that is supported; another one means another API.
    pub const BEFORE: u32 = 2;

    /// Whether this crate works with it.
    pub fn is_supported(&self) -> bool {
        (self.major, self.minor) >= Self::FIRST && self.major < Self::BEFORE
    }

    /// What is supported, for a person.
    pub fn supported() -> String {
        let (major, minor) = Self::FIRST;
        format!("{major}.{minor} up to, but not, {}.0", Self::BEFORE)
    }
}

/// It is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no version of the form `1.2.3`")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, build) = match text.find(['-', '+']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let is_legal = |character: char| character.is_ascii_alphanumeric() || "-+._".contains(character);
        let mut numbers = numbers.split('.');
        let mut number = || -> Result<u32, NoVersion> {
            let digits = numbers.next().ok_or(NoVersion)?;
            let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_plain { digits.parse().map_err(|_| NoVersion) } else { Err(NoVersion) }
        };
        let (major, minor, patch) = (number()?, number()?, number()?);
        if numbers.next().is_some() || build.len() > 64 || !build.chars().all(is_legal) {
            return Err(NoVersion);
        }
        Ok(Self { major, minor, patch, build: build.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}{}", self.major, self.minor, self.patch, self.build)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::Version;

    fn check(text: &str, supported: Option<bool>) {
        let version = text.parse::<Version>();
        assert_eq!(version.map(|version| version.is_supported()).ok(), supported, "{text}");
    }

    #[test]
    fn what_is_supported() {
        check("1.13.0", Some(true));
        check("v1.16.1", Some(true));
        check("1.17.0-dev", Some(true));
        check("1.12.9", Some(false));
        check("0.25.0", Some(false));
        check("2.0.0", Some(false));
        for text in ["", "1", "1.13", "1.13.0.0", "1.x.0", "1.+3.0", "1.13.0-dev\n", "99999999999.0.0"] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn a_version_reads_as_it_is_written(major: u32, minor: u32, patch: u32, build in "(-[a-z0-9.]{1,9})?") {
            let text = format!("{major}.{minor}.{patch}{build}");
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC*") {
            drop(text.parse::<Version>());
        }
    }
}
