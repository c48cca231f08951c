//! The hash of files of a workspace, as GitHub's `hashFiles` computes it.
//!
//! The patterns are those of `@actions/glob`: `*`, `?`, `[…]` within one name, `**` across folders, `!` to take back what
//! patterns before it matched, hidden files included; what matches a folder matches everything in it. Files are visited in
//! the order in which the patterns name their folders, within a folder by name in byte order, folders in depth. Links to
//! folders are not followed unless the first pattern is `--follow-symbolic-links`. Only files below the root count.
//!
//! One buffer and the names of the folders on the way are all that is held in memory.

use crate::hash_pattern::{NamePattern, literal};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// How much of a file is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The option that makes links to folders be followed.
const FOLLOW: &str = "--follow-symbolic-links";

/// Why files cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// A pattern that GitHub refuses.
    #[error("invalid pattern `{0}`: relative pathing `.` and `..` is not allowed")]
    RelativePattern(String),
    /// The first pattern starts with `--` and is no known option.
    #[error("invalid glob option {0}, available option: '{FOLLOW}'")]
    Option(String),
    /// A folder cannot be listed.
    #[error("cannot list `{}`", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The SHA-256, in lower-case hexadecimal, of the concatenated SHA-256 digests of the files below `root` that match
/// `patterns`; empty when none does. A pattern may hold several, one a line; lines that start with `#` are comments.
///
/// # Errors
/// A pattern that GitHub refuses, or a matching file or folder that cannot be read.
pub fn hash_files(root: &Path, patterns: &[String]) -> Result<String, HashError> {
    let (follow_links, patterns) = options(patterns)?;
    let mut globs = Vec::new();
    for line in patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim) {
        if !line.is_empty() && !line.starts_with('#') {
            Glob::add(line, root, &mut globs)?;
        }
    }
    let mut walk = Walk {
        globs: &globs,
        follow_links,
        folders: Vec::new(),
        hash: Sha256::new(),
        files: 0,
        buffer: vec![0; BUFFER_BYTES],
    };
    for start in search_paths(&globs, root) {
        let mut states = initial_states(&globs, root);
        for name in start.strip_prefix(root).unwrap_or(Path::new("")) {
            states = step(&globs, &states, name);
        }
        match fs::symlink_metadata(&start) {
            Ok(_) => walk.visit(&start, &states)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(HashError::Read { path: start, source }),
        }
    }
    Ok(if walk.files == 0 { String::new() } else { hexadecimal(&walk.hash.finalize()) })
}

fn options(patterns: &[String]) -> Result<(bool, &[String]), HashError> {
    match patterns.split_first() {
        Some((first, rest)) if first.eq_ignore_ascii_case(FOLLOW) => Ok((true, rest)),
        Some((first, _)) if first.starts_with("--") => Err(HashError::Option(first.clone())),
        _ => Ok((false, patterns)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all text");
        text
    })
}

/// One pattern.
struct Glob {
    negated: bool,
    /// Whether it matches folders only.
    folders_only: bool,
    absolute: bool,
    segments: Vec<Segment>,
    /// Where the walk for this pattern starts.
    search_path: PathBuf,
}

/// What one name of a path is matched with.
#[derive(Clone)]
enum Segment {
    /// `**`
    AnyNames,
    /// `*`
    AnyName,
    Name(OsString),
    Pattern(NamePattern),
}

impl Glob {
    /// Adds the pattern of a line, and the one for what is below a folder that it matches.
    fn add(line: &str, root: &Path, globs: &mut Vec<Self>) -> Result<(), HashError> {
        let mut pattern = line;
        let mut negated = false;
        while let Some(rest) = pattern.strip_prefix('!') {
            negated = !negated;
            pattern = rest.trim();
        }
        let absolute = pattern.starts_with('/');
        let mut names: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty()).collect();
        if names.first() == Some(&".") && !absolute {
            names.remove(0);
        }
        // The home folder is not part of a workspace.
        if names.first() == Some(&"~") && !absolute {
            return Ok(());
        }
        if names.iter().any(|name| matches!(literal(name).as_deref(), Some("." | ".."))) {
            return Err(HashError::RelativePattern(line.to_owned()));
        }
        let segments: Vec<Segment> = names.iter().map(|name| segment(name)).collect();
        let mut search_path = if absolute { PathBuf::from("/") } else { root.to_owned() };
        search_path.extend(names.iter().map_while(|name| literal(name)));
        let folders_only = pattern.ends_with('/');
        let below = folders_only || !matches!(segments.last(), Some(Segment::AnyNames));
        let own = Self { negated, folders_only, absolute, segments, search_path };
        let descendants = below.then(|| {
            let mut segments = own.segments.clone();
            segments.extend([Segment::AnyName, Segment::AnyNames]);
            Self { segments, folders_only: false, search_path: own.search_path.clone(), ..own }
        });
        globs.push(own);
        globs.extend(descendants);
        Ok(())
    }
}

fn segment(name: &str) -> Segment {
    match name {
        "**" => Segment::AnyNames,
        "*" => Segment::AnyName,
        _ => match literal(name) {
            Some(name) => Segment::Name(name.into()),
            None => Segment::Pattern(NamePattern::new(name)),
        },
    }
}

/// Where to start: the folders that the patterns name, without those below another.
fn search_paths(globs: &[Glob], root: &Path) -> Vec<PathBuf> {
    let candidates: Vec<&Path> =
        globs.iter().filter(|glob| !glob.negated).map(|glob| glob.search_path.as_path()).collect();
    let mut paths: Vec<PathBuf> = Vec::new();
    for &path in &candidates {
        let below_another = path.ancestors().skip(1).any(|parent| candidates.contains(&parent));
        let start = if root.starts_with(path) { root } else { path };
        if !below_another && start.starts_with(root) && !paths.iter().any(|known| known == start) {
            paths.push(start.to_owned());
        }
    }
    paths
}

/// How far each pattern has come on the way to a path: the segments that may come next. A pattern that has come to its end
/// matches.
type States = Vec<Vec<bool>>;

fn initial_states(globs: &[Glob], root: &Path) -> States {
    let start = globs
        .iter()
        .map(|glob| {
            let mut state = vec![false; glob.segments.len() + 1];
            state[0] = true;
            skip_any(&glob.segments, &mut state);
            state
        })
        .collect();
    let names = root.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    names.fold(start, |states, name| step_where(globs, &states, name, |glob| glob.absolute))
}

fn step(globs: &[Glob], states: &States, name: &OsStr) -> States {
    step_where(globs, states, name, |_| true)
}

/// Moves the patterns that `moves` names on by one name.
fn step_where(globs: &[Glob], states: &States, name: &OsStr, moves: impl Fn(&Glob) -> bool) -> States {
    globs
        .iter()
        .zip(states)
        .map(|(glob, state)| {
            if !moves(glob) {
                return state.clone();
            }
            let mut next = vec![false; state.len()];
            for (place, segment) in glob.segments.iter().enumerate().filter(|(place, _)| state[*place]) {
                match segment {
                    Segment::AnyNames => next[place] = true,
                    Segment::AnyName => next[place + 1] = true,
                    Segment::Name(wanted) => next[place + 1] |= wanted == name,
                    Segment::Pattern(pattern) => next[place + 1] |= pattern.matches(&name.to_string_lossy()),
                }
            }
            skip_any(&glob.segments, &mut next);
            next
        })
        .collect()
}

/// `**` also stands for no name.
fn skip_any(segments: &[Segment], state: &mut [bool]) {
    for (place, segment) in segments.iter().enumerate() {
        if state[place] && matches!(segment, Segment::AnyNames) {
            state[place + 1] = true;
        }
    }
}

struct Walk<'a> {
    globs: &'a [Glob],
    follow_links: bool,
    /// The real paths of the folders on the way, to notice links that lead back.
    folders: Vec<PathBuf>,
    hash: Sha256,
    files: u64,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// Hashes `path` if it is a file that matches, and what is below it if it is a folder in which something may match.
    fn visit(&mut self, path: &Path, states: &States) -> Result<(), HashError> {
        let matches = self.matches_file(states);
        let may_match_below =
            self.globs.iter().zip(states).any(|(glob, state)| !glob.negated && state.contains(&true));
        if !matches && !may_match_below {
            return Ok(());
        }
        let Some(metadata) = self.metadata(path)? else { return Ok(()) };
        if !metadata.is_dir() {
            return if matches { self.hash_file(path) } else { Ok(()) };
        }
        if !may_match_below {
            return Ok(());
        }
        if self.follow_links {
            let real =
                fs::canonicalize(path).map_err(|source| HashError::List { path: path.to_owned(), source })?;
            if self.folders.contains(&real) {
                return Ok(());
            }
            self.folders.push(real);
        }
        for name in sorted_names(path)? {
            let below = step(self.globs, states, &name);
            self.visit(&path.join(&name), &below)?;
        }
        if self.follow_links {
            self.folders.pop();
        }
        Ok(())
    }

    /// Whether a file with these states matches: the last pattern that says something about it decides.
    fn matches_file(&self, states: &States) -> bool {
        self.globs
            .iter()
            .zip(states)
            .rfind(|(glob, state)| !glob.folders_only && state.last() == Some(&true))
            .is_some_and(|(glob, _)| !glob.negated)
    }

    /// What `path` is; none for a link that leads nowhere while links are followed.
    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, HashError> {
        let metadata = if self.follow_links { fs::metadata(path) } else { fs::symlink_metadata(path) };
        match metadata {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if self.follow_links && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HashError::Read { path: path.to_owned(), source }),
        }
    }

    /// Adds a file, or the file that a link leads to. Folders, pipes and devices are left out.
    fn hash_file(&mut self, path: &Path) -> Result<(), HashError> {
        let failed = |source| HashError::Read { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Ok(());
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut hash = Sha256::new();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => hash.update(&self.buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.hash.update(hash.finalize());
        self.files += 1;
        Ok(())
    }
}

fn sorted_names(folder: &Path) -> Result<Vec<OsString>, HashError> {
    let listing = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
    });
    let mut names = listing.map_err(|source| HashError::List { path: folder.to_owned(), source })?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{HashError, hash_files, hexadecimal};
    use sha2::{Digest, Sha256};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// A workspace in which each file holds its own path.
    fn workspace(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn hash_of(contents: &[&str]) -> String {
        let mut all = Sha256::new();
        for content in contents {
            all.update(Sha256::digest(content));
        }
        hexadecimal(&all.finalize())
    }

    fn hash(root: &Path, patterns: &[&str]) -> Result<String, HashError> {
        hash_files(root, &patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())
    }

    /// The files in `expected` are hashed, in that order.
    fn check(root: &Path, patterns: &[&str], expected: &[&str]) {
        let wanted = if expected.is_empty() { String::new() } else { hash_of(expected) };
        assert_eq!(hash(root, patterns).unwrap(), wanted, "{patterns:?}");
    }

    #[test]
    fn patterns_select_files_in_order() {
        let files = ["a.txt", "a/b/c.txt", "a/b/d.rs", "a/x.txt", ".hidden/e.txt", "b/[x].txt", "b/{y}.txt"];
        let root = workspace(&files);
        let root = root.path();
        check(root, &["nothing*"], &[]);
        check(root, &["a.txt"], &["a.txt"]);
        check(root, &["*.txt"], &["a.txt"]);
        check(root, &["**/c.txt"], &["a/b/c.txt"]);
        check(
            root,
            &["**/*.txt"],
            &[".hidden/e.txt", "a/b/c.txt", "a/x.txt", "a.txt", "b/[x].txt", "b/{y}.txt"],
        );
        check(root, &["a/**/*.txt"], &["a/b/c.txt", "a/x.txt"]);
        check(root, &["a/**"], &["a/b/c.txt", "a/b/d.rs", "a/x.txt"]);
        check(root, &["a"], &["a/b/c.txt", "a/b/d.rs", "a/x.txt"]);
        check(root, &["./a/b/"], &["a/b/c.txt", "a/b/d.rs"]);
        check(root, &["a.txt/"], &[]);
        check(root, &["a/?.txt", "a.[st]xt"], &["a/x.txt", "a.txt"]);
        check(root, &["b", "a.txt", "a/b"], &["b/[x].txt", "b/{y}.txt", "a.txt", "a/b/c.txt", "a/b/d.rs"]);
        check(root, &["b/{y}.txt"], &["b/{y}.txt"]);
        check(root, &["b/{*}.txt", "b/\\[*"], &["b/[x].txt", "b/{y}.txt"]);
    }

    #[test]
    fn later_patterns_take_back_what_earlier_ones_matched() {
        let root = workspace(&["a/1.txt", "a/2.txt", "b/1.txt"]);
        let root = root.path();
        check(root, &["**/*.txt", "!a"], &["b/1.txt"]);
        check(root, &["**/*.txt", "!a/**", "a/2.txt"], &["a/2.txt", "b/1.txt"]);
        check(root, &["!a", "**/*.txt"], &["a/1.txt", "a/2.txt", "b/1.txt"]);
        check(root, &["**\n# comment\n\n ! **/1.txt"], &["a/2.txt"]);
        check(root, &["!!a/1.txt"], &["a/1.txt"]);
    }

    #[test]
    fn only_files_below_the_root_count() {
        let root = workspace(&["in/a", "out/a"]);
        let inside = root.path().join("in");
        check(&inside, &[&format!("{}/*/a", root.path().display())], &["in/a"]);
        check(&inside, &[&format!("{}/out/a", root.path().display())], &[]);
        check(&inside, &["/**/a"], &["in/a"]);
        check(&inside, &["~/a"], &[]);
    }

    #[test]
    fn links_to_files_are_read_and_links_to_folders_are_not_followed() {
        let root = workspace(&["a/1", "z"]);
        let root = root.path();
        symlink("../z", root.join("a/2")).unwrap();
        symlink("..", root.join("a/up")).unwrap();
        check(root, &["a/**"], &["a/1", "z"]);
        check(root, &["--follow-symbolic-links", "a/**/1"], &["a/1"]);
        check(root, &["--Follow-Symbolic-Links", "a/up/z"], &["z"]);
        symlink("nowhere", root.join("broken")).unwrap();
        assert!(matches!(hash(root, &["broken"]), Err(HashError::Read { .. })));
        check(root, &["--follow-symbolic-links", "broken"], &[]);
    }

    #[test]
    fn mistakes() {
        let root = workspace(&[]);
        assert!(matches!(hash(root.path(), &["a/../b"]), Err(HashError::RelativePattern(_))));
        assert!(matches!(hash(root.path(), &["../b"]), Err(HashError::RelativePattern(_))));
        assert!(matches!(hash(root.path(), &["--all", "b"]), Err(HashError::Option(_))));
    }

    #[test]
    fn large_files_are_streamed() {
        let root = workspace(&[]);
        let content = "0123456789abcdef".repeat(20_000);
        fs::write(root.path().join("large"), &content).unwrap();
        check(root.path(), &["large"], &[&content]);
    }
}
