//! YAML text to a tree of nodes with byte spans. The only module that knows the YAML library.
//!
//! Invariants: no input panics or takes more than [`Limits`] allows; aliases are expanded, so a tree has no sharing;
//! scalars are typed as GitHub types them ([`scalar`]); mappings keep the order of the file and their duplicate keys,
//! which the template reader refuses because it compares keys without regard to case.

mod anchors;
mod build;
mod direct;
mod scalar;
mod shared;
mod written;

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{SourceFile, Span};

pub(crate) use anchors::Anchors;
pub use written::Written;

/// Nesting of sequences and mappings that GitHub allows.
pub const DEFAULT_MAX_DEPTH: usize = 50;
/// The most that [`Limits::max_depth`] is taken as: the tree is walked recursively.
pub const HIGHEST_MAX_DEPTH: usize = 200;
/// Size of one file that GitHub allows, in bytes.
pub const DEFAULT_MAX_FILE_SIZE: usize = 1024 * 1024;
/// Nodes of one file after the expansion of aliases.
pub const MAX_NODES: usize = 50_000;
/// Bytes of scalar text of one file after the expansion of aliases.
pub const MAX_EXPANDED_BYTES: usize = 10 * 1024 * 1024;

/// What a file may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of sequences and mappings; values over [`HIGHEST_MAX_DEPTH`] count as that.
    pub max_depth: usize,
    /// Bytes of the file.
    pub max_file_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: DEFAULT_MAX_DEPTH, max_file_size: DEFAULT_MAX_FILE_SIZE }
    }
}

/// One node of a YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where its content stands; a block mapping begins at its first key. A node that an alias stands for has the
    /// place of the anchored content.
    pub span: Span,
}

/// The kinds of nodes, scalars already typed.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// An empty plain scalar, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in decimal, hexadecimal or octal, an infinity or not a number.
    Number(f64),
    /// Every other scalar.
    String(Arc<str>),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping: keys and values in the order of the file.
    Mapping(Vec<(Node, Node)>),
}

/// Whether a plain scalar with this text is a text, and neither null, a boolean nor a number.
pub(crate) fn is_plain_text(text: &str) -> bool {
    matches!(scalar::plain(text), Ok(NodeKind::String(_)))
}

/// Reads the one document of a file. A file that is not YAML, has no document or more than one, or exceeds a limit
/// is described by the diagnostic.
pub fn parse(file: &SourceFile, limits: Limits) -> Result<Node, Box<Diagnostic>> {
    let size = file.text().len();
    if size > limits.max_file_size {
        let message = format!("the maximum file size of {} bytes has been exceeded", limits.max_file_size);
        return Err(error(file, "max-file-size", None, message));
    }
    if let Some(span) = file.malformed() {
        let diagnostic = error(file, "not-utf8", Some(span), "the file is not UTF-8 text");
        return Err(Box::new(diagnostic.with_help("save it with the encoding UTF-8")));
    }
    let max_depth = limits.max_depth.min(HIGHEST_MAX_DEPTH);
    match direct::parse(file.text(), max_depth) {
        Some(node) => Ok(node),
        None => build::parse(file, max_depth),
    }
}

fn error(
    file: &SourceFile,
    code: &'static str,
    span: Option<Span>,
    message: impl Into<String>,
) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(code, Severity::Error, file, span, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Limits, Node, NodeKind, parse};
    use crate::source::SourceFile;

    fn show(node: &Node) -> String {
        match &node.kind {
            NodeKind::Null => "null".into(),
            NodeKind::Bool(value) => value.to_string(),
            NodeKind::Number(value) => value.to_string(),
            NodeKind::String(value) => format!("{value:?}"),
            NodeKind::Sequence(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Mapping(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let file = SourceFile::new("f.yml", text);
        let got = match parse(&file, Limits::default()) {
            Ok(node) => show(&node),
            Err(diagnostic) => {
                format!("{}:{} {}", diagnostic.line, diagnostic.column, diagnostic.message)
            }
        };
        assert_eq!(got, expected, "{text:?}");
    }

    fn check_error(text: &str, code: &str, line: usize, column: usize) {
        let file = SourceFile::new("f.yml", text);
        let diagnostic = parse(&file, Limits::default()).expect_err(text);
        assert_eq!((diagnostic.code, diagnostic.line, diagnostic.column), (code, line, column), "{text:?}");
    }

    #[test]
    fn scalars_are_typed() {
        check("[~, null, Null, NULL, '']", r#"[null, null, null, null, ""]"#);
        check(
            "[true, True, TRUE, false, tRue, yes, on]",
            r#"[true, true, true, false, "tRue", "yes", "on"]"#,
        );
        check("[1, -1, +1, 007, 0x1F, 0o17, 1_000]", r#"[1, -1, 1, 7, 31, 15, "1_000"]"#);
        check("[1.5, .5, 5., 1e3, .inf, -.INF, .nan]", "[1.5, 0.5, 5, 1000, inf, -inf, NaN]");
        check("[1e999, '1', \"true\", !!str 1, 1.2.3]", r#"[inf, "1", "true", "1", "1.2.3"]"#);
        check("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{"a": "x\ny\n", "b": "x y"}"#);
    }

    #[test]
    fn tags_beyond_the_core_are_refused() {
        check("[!!int 1, !!float 1, !!bool true, !!null ~]", "[1, 1, true, null]");
        check_error("a: !thing x", "yaml-tag", 1, 11);
        check_error("a: !!int x", "yaml-tag", 1, 10);
        check_error("a: !!int '1'", "yaml-tag", 1, 10);
        check_error("a: 0x123456789", "yaml-tag", 1, 4);
    }

    #[test]
    fn aliases_are_expanded() {
        check("a: &x [1, 2]\nb: *x\n", r#"{"a": [1, 2], "b": [1, 2]}"#);
        check("a: &x b\n*x : 1\n", r#"{"a": "b", "b": 1}"#);
        check_error("a: *x\n", "yaml-syntax", 1, 4);
        check_error("a: &x [*x]\n", "yaml-alias", 1, 8);
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..8 {
            let previous = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        let file = SourceFile::new("f.yml", text);
        let diagnostic = parse(&file, Limits::default()).expect_err("a bomb");
        assert_eq!(diagnostic.code, "yaml-too-large");
        let long = "y".repeat(100_000);
        let text = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 1000].join(", "));
        let diagnostic = parse(&SourceFile::new("f.yml", text), Limits::default()).expect_err("a bomb");
        assert_eq!(diagnostic.code, "yaml-too-large");
    }

    #[test]
    fn depth_is_limited() {
        check_error(&"[".repeat(100_000), "max-depth", 1, 51);
        check_error(&"- ".repeat(100_000), "max-depth", 1, 101);
        let nested = format!("{}{}", "[".repeat(50), "]".repeat(50));
        assert!(parse(&SourceFile::new("f", nested), Limits::default()).is_ok());
    }

    #[test]
    fn broken_files_have_a_place() {
        check_error("a: b\n c: d\n", "yaml-syntax", 2, 3);
        check_error("a: [1, 2\n", "yaml-syntax", 1, 4);
        check_error("a:\n\t- b\n", "yaml-syntax", 2, 2);
        check_error("a: 'b\n", "yaml-syntax", 1, 4);
        check_error("a: 1\n---\nb: 2\n", "yaml-documents", 2, 1);
        check_error("", "yaml-empty", 1, 1);
        check_error("# only a comment\n", "yaml-empty", 1, 1);
        check_error("? [a]\n: b\n", "yaml-key", 1, 3);
    }

    #[test]
    fn line_ends_and_byte_order_marks() {
        check("\u{feff}a: 1\n", r#"{"a": 1}"#);
        check("a: |\r\n  x\r\n  y\r\nb: 2\r\n", r#"{"a": "x\ny\n", "b": 2}"#);
        check("---\na: 1\n...\n", r#"{"a": 1}"#);
        check("a: |\n  x", r#"{"a": "x"}"#);
    }

    #[test]
    fn comments_may_follow_a_bracket_closely() {
        check("- [a]#, b ]\n- {c: 1}# ä\n- d#e\n", r#"[["a"], {"c": 1}, "d#e"]"#);
        check_error("- 'a'# b\n", "yaml-syntax", 1, 6);
    }

    #[test]
    fn bytes_of_other_encodings_are_refused() {
        let file = SourceFile::from_bytes("f", b"a: 1\nname: B\xE4r\n");
        let diagnostic = parse(&file, Limits::default()).expect_err("Windows-1252");
        assert_eq!((diagnostic.code, diagnostic.line, diagnostic.column), ("not-utf8", 2, 8));
    }

    #[test]
    fn file_size_is_limited() {
        let limits = Limits { max_file_size: 3, ..Limits::default() };
        let diagnostic = parse(&SourceFile::new("f", "a: 1"), limits).expect_err("too large");
        assert_eq!(diagnostic.code, "max-file-size");
    }

    #[test]
    fn spans_are_those_of_the_content() {
        let file = SourceFile::new("f", "a:\n  - b: 'x y'\n    c: |\n      z\n");
        let node = parse(&file, Limits::default()).expect("valid");
        let NodeKind::Mapping(root) = &node.kind else { panic!("a mapping") };
        assert_eq!(file.slice(root[0].0.span), "a");
        let NodeKind::Sequence(items) = &root[0].1.kind else { panic!("a sequence") };
        assert_eq!(
            (file.position(root[0].1.span.start).line, file.position(root[0].1.span.start).column),
            (2, 3)
        );
        let NodeKind::Mapping(entries) = &items[0].kind else { panic!("a mapping") };
        assert_eq!(file.position(items[0].span.start).column, 5);
        assert_eq!(file.slice(entries[0].1.span), "'x y'");
        assert_eq!(file.slice(entries[1].1.span), "|\n      z\n");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&SourceFile::new("f", text), Limits::default());
        }

        #[test]
        fn no_yaml_like_text_panics(text in r"([a-c\[\]{}:,&*!|>'\x22 \n\t#?-]|<<|&a |\*a|!!int |0x|---|\.\.\.){0,60}") {
            let _ = parse(&SourceFile::new("f", text), Limits::default());
        }
    }
}
