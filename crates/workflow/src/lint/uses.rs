//! What the `uses` of a step or of a job names.

use memchr::{memchr, memchr2};

use crate::source::{SourceFile, Span};

/// The length of a full commit hash in hexadecimal digits.
const COMMIT: usize = 40;
/// The shortest hash that git abbreviates a commit to.
const SHORTEST_COMMIT: usize = 7;

/// An action or workflow of a repository at a version: `owner/repository[/path]@version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote<'a> {
    /// `owner/repository`.
    pub(crate) repository: &'a str,
    /// What follows it, without the slash; empty for the repository's root.
    pub(crate) path: &'a str,
    /// The branch, tag or commit.
    pub(crate) version: &'a str,
}

/// Owners that are GitHub itself: who runs workflows trusts them already.
const GITHUB: [&str; 2] = ["actions", "github"];

impl<'a> Remote<'a> {
    /// Reads a reference; none where it is local, an image or no reference.
    pub(crate) fn parse(uses: &'a str) -> Option<Self> {
        let bytes = uses.as_bytes();
        if uses.starts_with('.') || uses.starts_with("$/") {
            return None;
        }
        let at = memchr(b'@', bytes)?;
        let slash = memchr(b'/', &bytes[..at])?;
        let end = memchr(b'/', &bytes[slash + 1..at]).map_or(at, |length| slash + 1 + length);
        if memchr2(b':', b'$', bytes).is_some() && (uses.contains("://") || uses.contains("${{")) {
            return None;
        }
        let (path, version) = (uses[end..at].trim_start_matches('/'), &uses[at + 1..]);
        (!version.is_empty()).then_some(Self { repository: &uses[..end], path, version })
    }

    /// The owner of the repository.
    pub(crate) fn owner(&self) -> &'a str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// Whether it is in this repository, `owner/name`.
    pub(crate) fn is_of(&self, repository: &str) -> bool {
        self.repository.eq_ignore_ascii_case(repository)
    }

    /// Whether it is `owner/name[/path]`.
    pub(crate) fn is(&self, action: &str) -> bool {
        let length = match self.path.len() {
            0 => self.repository.len(),
            path => self.repository.len() + 1 + path,
        };
        // Most are told apart by their lengths.
        action.len() == length
            && action.get(..self.repository.len()).is_some_and(|start| self.is_of(start))
            && action[self.repository.len()..].trim_start_matches('/').eq_ignore_ascii_case(self.path)
    }

    /// Whether GitHub itself owns it.
    pub(crate) fn is_of_github(&self) -> bool {
        GITHUB.iter().any(|owner| owner.eq_ignore_ascii_case(self.owner()))
    }

    /// Whether the version is a whole commit, which nobody can move.
    pub(crate) fn is_pinned(&self) -> bool {
        self.version.len() == COMMIT && is_hexadecimal(self.version)
    }

    /// Whether the version looks like a commit that was cut.
    pub(crate) fn is_short_commit(&self) -> bool {
        (SHORTEST_COMMIT..COMMIT).contains(&self.version.len()) && is_hexadecimal(self.version)
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What follows a scalar on its line.
pub(crate) fn behind(file: &SourceFile, span: Span) -> &str {
    let rest = file.text().get(span.end as usize..).unwrap_or_default();
    &rest[..memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len())]
}

/// How the line ends on which the byte `at` is, as new lines beside it should.
pub(crate) fn line_end(file: &SourceFile, at: usize) -> &'static str {
    let rest = file.text().get(at..).unwrap_or_default();
    let end = rest.find('\n').unwrap_or_default();
    if rest[..end].ends_with('\r') { "\r\n" } else { "\n" }
}

/// The version that a comment behind a reference names, `# v4.1.0`, and its place.
pub(crate) fn version_comment(file: &SourceFile, span: Span) -> Option<(&str, Span)> {
    let rest = behind(file, span);
    let hash = memchr(b'#', rest.as_bytes())
        .filter(|hash| rest[..*hash].trim_matches(['"', '\'', ' ', '\t']).is_empty())?;
    let mut words = rest[hash + 1..].split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
    let named = |word: &&str| {
        let word = word.strip_prefix("tag=").unwrap_or(word);
        word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) && word.len() < COMMIT
    };
    let word = words.next().filter(named)?;
    let version = word.strip_prefix("tag=").unwrap_or(word);
    let start = span.end as usize + hash + 1 + rest[hash + 1..].find(version)?;
    Some((version, Span::new(start, start + version.len())))
}

#[cfg(test)]
mod tests {
    use super::{Remote, version_comment};
    use crate::source::{SourceFile, Span};

    #[test]
    fn references() {
        let check = |uses: &str, expected: Option<(&str, &str, &str)>| {
            let found = Remote::parse(uses).map(|remote| (remote.repository, remote.path, remote.version));
            assert_eq!(found, expected, "{uses}");
        };
        check("actions/checkout@v4", Some(("actions/checkout", "", "v4")));
        check("github/codeql-action/init@v3", Some(("github/codeql-action", "init", "v3")));
        check("a/b/.github/workflows/x.yml@main", Some(("a/b", ".github/workflows/x.yml", "main")));
        check("./action", None);
        check("docker://alpine@sha256:1", None);
        check("alpine", None);
        check("a/b@", None);
        let remote = Remote::parse("GitHub/CodeQL-action/Init@v3").expect("a reference");
        assert!(remote.is("github/codeql-action/init") && remote.is_of_github());
        assert!(!remote.is("github/codeql-action") && !remote.is("github/codeql-actions/init"));
    }

    #[test]
    fn versions() {
        let check = |version: &str, pinned: bool, short: bool| {
            let uses = format!("a/b@{version}");
            let remote = Remote::parse(&uses).expect("a reference");
            assert_eq!((remote.is_pinned(), remote.is_short_commit()), (pinned, short), "{version}");
        };
        check("v4", false, false);
        check("abcdef0", false, true);
        check("abcdef", false, false);
        check("defaced-branch", false, false);
        check(&"a1".repeat(20), true, false);
    }

    #[test]
    fn comments_with_versions() {
        let check = |line: &str, expected: Option<&str>| {
            let file = SourceFile::new("f", line);
            let end = line.find([' ', '"']).unwrap_or(line.len());
            let found = version_comment(&file, Span::new(0, end));
            assert_eq!(found.map(|(version, _)| version), expected, "{line}");
            assert_eq!(found.map(|(_, span)| file.slice(span)), expected, "{line}");
        };
        check("a/b@c # v4.1.0", Some("v4.1.0"));
        check("a/b@c # tag=v4.1.0 pinned", Some("v4.1.0"));
        check("a/b@c\" # 4", Some("4"));
        check("a/b@c # the newest", None);
        check("a/b@c", None);
    }
}
