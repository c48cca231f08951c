//! The labels of GitHub's runners, and what they say of a machine.

/// A label of GitHub's runners, or of runners that are no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosted {
    /// GitHub has such runners.
    Present,
    /// GitHub has announced that it takes them away.
    Leaving,
    /// GitHub had them.
    Gone,
}

/// A system that runners have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Linux,
    MacOs,
    Windows,
}

/// The labels that GitHub's runner gives itself on a machine of one's own.
const OWN: [&str; 7] = ["self-hosted", "linux", "macos", "windows", "x64", "arm", "arm64"];

/// The images by the start of their labels: behind it a label ends, or a size or an architecture follows.
const IMAGES: [(&str, Hosted); 29] = [
    ("ubuntu-latest", Hosted::Present),
    ("ubuntu-slim", Hosted::Present),
    ("ubuntu-26.04", Hosted::Present),
    ("ubuntu-24.04", Hosted::Present),
    ("ubuntu-22.04", Hosted::Leaving),
    ("ubuntu-20.04", Hosted::Gone),
    ("ubuntu-18.04", Hosted::Gone),
    ("ubuntu-16.04", Hosted::Gone),
    ("windows-latest", Hosted::Present),
    ("windows-11", Hosted::Present),
    ("windows-2025", Hosted::Present),
    ("windows-2022", Hosted::Present),
    ("windows-2019", Hosted::Gone),
    ("windows-2016", Hosted::Gone),
    ("macos-latest", Hosted::Present),
    ("macos-26", Hosted::Present),
    ("macos-15", Hosted::Present),
    ("macos-14", Hosted::Leaving),
    ("macos-13", Hosted::Gone),
    ("macos-12", Hosted::Gone),
    ("macos-11.0", Hosted::Gone),
    ("macos-11", Hosted::Gone),
    ("macos-10.15", Hosted::Gone),
    ("macos-10.14", Hosted::Gone),
    ("macos-10.13", Hosted::Gone),
    ("macos-10", Hosted::Gone),
    ("xcode-27", Hosted::Present),
    ("ubuntu-latest-unstable", Hosted::Gone),
    ("macos-latest-unstable", Hosted::Gone),
];

/// What is known of a label as one of GitHub's.
pub(crate) fn hosted(label: &str) -> Option<Hosted> {
    let fits = |image: &str| match strip_prefix_ignoring_case(label, image) {
        Some(rest) => rest.is_empty() || rest.starts_with('-'),
        None => false,
    };
    let images = IMAGES.iter().filter(|(image, _)| fits(image));
    images.max_by_key(|(image, _)| image.len()).map(|(_, hosted)| *hosted)
}

/// Whether the label is one that runners on machines of one's own have by themselves.
pub(crate) fn is_own(label: &str) -> bool {
    OWN.iter().any(|own| own.eq_ignore_ascii_case(label))
}

/// The system that a label stands for, where it tells.
pub(crate) fn system(label: &str) -> Option<System> {
    let is = |start: &str| {
        strip_prefix_ignoring_case(label, start).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if is("ubuntu") || label.eq_ignore_ascii_case("linux") {
        Some(System::Linux)
    } else if is("windows") {
        Some(System::Windows)
    } else if is("macos") || is("xcode") {
        Some(System::MacOs)
    } else {
        None
    }
}

/// The labels that people are most likely to mean.
pub(crate) fn present() -> impl Iterator<Item = &'static str> {
    IMAGES.iter().filter(|(_, hosted)| *hosted == Hosted::Present).map(|(image, _)| *image).chain(OWN)
}

/// Whether a label that nobody knows looks like a mistake rather than like the name of somebody's runners: it begins
/// with a system's name, or is one word.
pub(crate) fn looks_mistaken(label: &str) -> bool {
    const SYSTEMS: [&str; 6] = ["ubuntu", "windows", "macos", "linux", "osx", "xcode"];
    let is_word = label.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word || SYSTEMS.iter().any(|system| strip_prefix_ignoring_case(label, system).is_some())
}

/// Whether a label fits a pattern in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern.eq_ignore_ascii_case(label) };
    let Some(label) = strip_prefix_ignoring_case(label, start) else { return false };
    let ends = label.char_indices().map(|(index, _)| index).chain([label.len()]);
    // A pattern has few stars, and a label few letters.
    ends.into_iter().any(|index| matches(rest, &label[index..]))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::{Hosted, System, hosted, looks_mistaken, matches, system};

    #[test]
    fn labels_of_github() {
        let check = |label: &str, expected: Option<Hosted>| assert_eq!(hosted(label), expected, "{label}");
        for label in
            ["ubuntu-latest", "Ubuntu-24.04-arm", "macOS-15-intel", "windows-11-arm", "ubuntu-24.04-16core"]
        {
            check(label, Some(Hosted::Present));
        }
        check("macos-14-xlarge", Some(Hosted::Leaving));
        for label in ["ubuntu-20.04", "macos-10.15", "macos-11.0", "windows-2019", "macos-13-large"] {
            check(label, Some(Hosted::Gone));
        }
        for label in ["ubuntu", "ubuntu-24.10", "linux-latest", "macos-1", "gpu", "", "ubuntu-24.04.1"] {
            check(label, None);
        }
    }

    #[test]
    fn systems() {
        let check = |label: &str, expected: Option<System>| assert_eq!(system(label), expected, "{label}");
        check("ubuntu-latest", Some(System::Linux));
        check("LINUX", Some(System::Linux));
        check("windows", Some(System::Windows));
        check("macos-15", Some(System::MacOs));
        check("self-hosted", None);
        check("linuxish", None);
    }

    #[test]
    fn mistakes_and_names_of_others() {
        assert!(looks_mistaken("gpu") && looks_mistaken("linux-latest") && looks_mistaken("ubuntu24"));
        assert!(!looks_mistaken("depot-ubuntu-24.04-4") && !looks_mistaken("team-runner"));
    }

    #[test]
    fn patterns() {
        for (pattern, label) in
            [("gpu", "GPU"), ("depot-*", "depot-ubuntu"), ("*", ""), ("a*c*", "abcd"), ("*-arm", "x-y-arm")]
        {
            assert!(matches(pattern, label), "{pattern} {label}");
        }
        for (pattern, label) in [("gpu", "gpus"), ("a*c", "abcd"), ("depot-*", "depot")] {
            assert!(!matches(pattern, label), "{pattern} {label}");
        }
    }
}
