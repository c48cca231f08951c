//! Refs in files: loose ones below `refs`, the others in `packed-refs`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{Head, read};

/// How many refs may name each other.
const MAX_STEPS: usize = 5;
/// How deep refs are nested.
const MAX_DEPTH: usize = 32;

/// What a ref's file says.
enum Content {
    Object(String),
    Symbolic(String),
}

/// What is checked out. None where only git can tell.
pub(super) fn head(folder: &Path, common: &Path) -> Option<Head> {
    let branch = match content(&read(&folder.join("HEAD"))?)? {
        Content::Object(commit) => return Some(Head { branch: None, commit: Some(commit) }),
        Content::Symbolic(branch) => branch,
    };
    // Other refs may be the working tree's own.
    let is_shared = branch.starts_with("refs/heads/") && is_path(&branch);
    is_shared.then(|| Head { commit: resolve(common, &branch, &packed(common)), branch: Some(branch) })
}

/// All refs that name an object, as the text of a packed-refs file. None where only git can tell.
pub(super) fn all(common: &Path) -> Option<String> {
    let packed = packed(common);
    let mut refs = packed.clone();
    loose(common, "refs", 0, &packed, &mut refs)?;
    let mut text = String::new();
    for (name, object) in refs {
        writeln!(text, "{object} {name}").expect("a text takes everything");
    }
    Some(text)
}

fn loose(
    common: &Path,
    folder: &str,
    depth: usize,
    packed: &BTreeMap<String, String>,
    refs: &mut BTreeMap<String, String>,
) -> Option<()> {
    for entry in fs::read_dir(common.join(folder)).ok()? {
        let entry = entry.ok()?;
        let name = format!("{folder}/{}", entry.file_name().to_str()?);
        if entry.path().is_dir() {
            if depth == MAX_DEPTH {
                return None;
            }
            loose(common, &name, depth + 1, packed, refs)?;
        } else if !name.ends_with(".lock")
            && let Some(object) = resolve(common, &name, packed)
        {
            refs.insert(name, object);
        }
    }
    Some(())
}

/// The object of a ref; none for a ref that is broken or not there.
fn resolve(common: &Path, name: &str, packed: &BTreeMap<String, String>) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..MAX_STEPS {
        match read(&common.join(&name)) {
            None => return packed.get(&name).cloned(),
            Some(text) => match content(&text)? {
                Content::Object(object) => return Some(object),
                Content::Symbolic(next) => name = next,
            },
        }
    }
    None
}

fn packed(common: &Path) -> BTreeMap<String, String> {
    let text = read(&common.join("packed-refs")).unwrap_or_default();
    let entry = |line: &str| {
        let (object, name) = line.split_once(' ')?;
        // What tags point to follows them on lines of its own.
        is_object(object).then(|| (name.to_owned(), object.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

fn content(text: &str) -> Option<Content> {
    let text = text.trim_end();
    if let Some(name) = text.strip_prefix("ref:") {
        let name = name.trim_start();
        return is_path(name).then(|| Content::Symbolic(name.to_owned()));
    }
    is_object(text).then(|| Content::Object(text.to_owned()))
}

/// Whether a name is a path below `refs`, and leads nowhere else.
fn is_path(name: &str) -> bool {
    name.starts_with("refs/") && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
