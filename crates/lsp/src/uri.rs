//! Names of documents: `file:` URIs and paths.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::Uri;

/// The path of a `file:` URI; none of other schemes and of other hosts.
pub(crate) fn to_path(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    if !path.starts_with('/') {
        return None;
    }
    Some(PathBuf::from(decode(path)?))
}

/// The `file:` URI of an absolute path.
pub(crate) fn from_path(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.to_str()?.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri::from_str(&text).ok()
}

/// Percent-encoded text; none where it is not that, or not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = (after.get(..2)?, after.get(2..)?);
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{from_path, to_path};

    fn check(uri: &str, path: Option<&str>) {
        assert_eq!(to_path(uri).as_deref(), path.map(Path::new), "{uri}");
    }

    #[test]
    fn paths_of_uris() {
        check("file:///a/b%20c.yml", Some("/a/b c.yml"));
        check("file:///a/%C3%A4%2B+.yml", Some("/a/ä++.yml"));
        check("file://localhost/a", Some("/a"));
        check("file://host/a", None);
        check("untitled:Untitled-1", None);
        check("file:///a%2", None);
        check("file:///a%+1", None);
        check("file:///a%FF", None);
        check("file:///a%00", None);
    }

    #[test]
    fn uris_of_paths_lead_back() {
        for path in ["/a/b.yml", "/a b/ä&?#%.yml", "/😀"] {
            let uri = from_path(Path::new(path)).expect("a URI");
            check(uri.as_str(), Some(path));
        }
    }
}
