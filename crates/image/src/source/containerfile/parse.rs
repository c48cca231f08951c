//! Reads the text of a containerfile: lines to instructions, instructions to their parts.
//!
//! Invariants: pure; every instruction knows its line; what is not understood is refused with its place and never skipped.

use super::{ContainerfileError, Place};

/// Longest containerfile, in bytes, and most instructions in it.
pub(super) const MAX_FILE: u64 = 1 << 20;
const MAX_INSTRUCTIONS: usize = 5_000;

/// An instruction at its place. Variables in its texts are not replaced yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Of its first line, counted from one.
    pub(super) line: usize,
    pub(super) what: What,
}

/// What an instruction asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    From { base: String, name: Option<String> },
    Run(Command),
    Copy(Copy),
    Add(Copy),
    Env(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    WorkDir(String),
    User(String),
    Shell(Vec<String>),
    Label(Vec<(String, String)>),
}

/// A command for the shell, or a program with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Shell(String),
    Program(Vec<String>),
}

/// What is copied where, and whose it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Copy {
    pub(super) sources: Vec<String>,
    pub(super) target: String,
    pub(super) from: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) permissions: Option<String>,
}

/// Instructions that say how a container is run, built from or watched. A machine has no such thing.
const OF_CONTAINERS: [&str; 8] =
    ["CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "MAINTAINER", "ONBUILD", "STOPSIGNAL", "VOLUME"];

/// Reads a containerfile.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>, ContainerfileError> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    for (line, text) in logical_lines(text, escape) {
        if instructions.len() >= MAX_INSTRUCTIONS {
            return Err(Place(line).wrong(format!("there are more than {MAX_INSTRUCTIONS} instructions")));
        }
        let what = instruction(&text, escape).map_err(|problem| Place(line).wrong(problem))?;
        instructions.push(Instruction { line, what });
    }
    Ok(instructions)
}

/// The character that continues lines: a comment at the top may say which.
pub(super) fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let said = directives
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .find_map(|(_, value)| value.trim().chars().next());
    if said == Some('`') { '`' } else { '\\' }
}

/// Lines with those that continue them, without comments and empty ones.
fn logical_lines(text: &str, escape: char) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (first, mut so_far) = open.take().unwrap_or((number + 1, String::new()));
        match line.trim_end().strip_suffix(escape) {
            Some(continued) => {
                so_far.push_str(continued);
                open = Some((first, so_far));
            }
            None => {
                so_far.push_str(line);
                found.push((first, so_far.trim().to_owned()));
            }
        }
    }
    found.extend(open.map(|(first, text)| (first, text.trim().to_owned())));
    found
}

fn instruction(text: &str, escape: char) -> Result<What, String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let word = word.to_ascii_uppercase();
    if OF_CONTAINERS.contains(&word.as_str()) {
        return Err(format!(
            "`{word}` is not read: it says how a container is run, and an image here is for machines"
        ));
    }
    let known = ["FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "WORKDIR", "USER", "SHELL", "LABEL"];
    if !known.contains(&word.as_str()) {
        let shown: String = word.chars().take(40).flat_map(char::escape_debug).collect();
        return Err(format!("`{shown}` is no instruction"));
    }
    if rest.is_empty() {
        return Err(format!("`{word}` says nothing"));
    }
    match word.as_str() {
        "FROM" => from(rest),
        "RUN" => run(rest).map(What::Run),
        "COPY" => copy(rest, escape).map(What::Copy),
        "ADD" => copy(rest, escape).map(What::Add),
        "ENV" => pairs(rest, escape, true).map(What::Env),
        "LABEL" => pairs(rest, escape, false).map(What::Label),
        "ARG" => arguments(rest, escape).map(What::Arg),
        "WORKDIR" => Ok(What::WorkDir(rest.to_owned())),
        "USER" => Ok(What::User(rest.to_owned())),
        _ => array(rest)
            .filter(|words| !words.is_empty())
            .map(What::Shell)
            .ok_or_else(|| "`SHELL` expects a list such as `[\"/bin/bash\", \"-c\"]`".to_owned()),
    }
}

fn from(rest: &str) -> Result<What, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let words = match words.split_first() {
        Some((&"--platform=linux/amd64", words)) => words.to_vec(),
        Some((flag, _)) if flag.starts_with("--") => {
            return Err(format!("`FROM` does not take `{flag}` here"));
        }
        _ => words,
    };
    match words[..] {
        [base] => Ok(What::From { base: base.to_owned(), name: None }),
        [base, with, name] if with.eq_ignore_ascii_case("as") => {
            Ok(What::From { base: base.to_owned(), name: Some(name.to_ascii_lowercase()) })
        }
        _ => Err("`FROM` expects an image, and perhaps `AS NAME`".to_owned()),
    }
}

fn run(rest: &str) -> Result<Command, String> {
    if let Some(flag) = rest.split_whitespace().next().filter(|word| word.starts_with("--")) {
        return Err(format!("`RUN` does not take `{flag}` here"));
    }
    if rest.contains("<<") && has_here_document(rest) {
        return Err("here-documents are not read; copy a script and run it".to_owned());
    }
    match array(rest) {
        Some(words) if words.is_empty() => Err("`RUN` names no program".to_owned()),
        Some(words) => Ok(Command::Program(words)),
        None => Ok(Command::Shell(rest.to_owned())),
    }
}

/// Whether a command line has `<<WORD` outside of quotes and of arithmetic.
fn has_here_document(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut quote, mut at) = (None, 0);
    while at + 2 < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'\'' | b'"') => quote = Some(bytes[at]),
            (Some(open), byte) if byte == open => quote = None,
            (None, b'<') if bytes[at + 1] == b'<' => {
                // `<<<` gives a word, and `<< 2` shifts a number.
                let next = bytes[at + 2];
                let is_word = next.is_ascii_alphabetic()
                    || next == b'_'
                    || next == b'-'
                    || next == b'"'
                    || next == b'\'';
                if is_word && (at == 0 || bytes[at - 1] != b'<') {
                    return true;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

fn copy(rest: &str, escape: char) -> Result<Copy, String> {
    let mut copy = Copy::default();
    let mut rest = rest;
    while rest.starts_with("--") {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match flag.split_once('=') {
            Some(("--from", value)) => copy.from = Some(value.to_owned()),
            Some(("--chown", value)) => copy.owner = Some(value.to_owned()),
            Some(("--chmod", value)) => copy.permissions = Some(value.to_owned()),
            // Says only how layers may be kept.
            None if flag == "--link" => {}
            _ => return Err(format!("it does not take `{flag}` here")),
        }
        rest = after.trim_start();
    }
    let words = match array(rest) {
        Some(words) => words,
        None => words(rest, escape)?,
    };
    if words.iter().any(|word| word.starts_with("<<")) {
        return Err("here-documents are not read".to_owned());
    }
    match words.split_last() {
        Some((target, sources)) if !sources.is_empty() => {
            copy.target.clone_from(target);
            copy.sources = sources.to_vec();
            Ok(copy)
        }
        _ => Err("it expects what is copied, and where to".to_owned()),
    }
}

/// `NAME=VALUE …`, or of old `NAME VALUE`.
fn pairs(rest: &str, escape: char, is_environment: bool) -> Result<Vec<(String, String)>, String> {
    let first = rest.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        return match rest.split_once(char::is_whitespace) {
            Some((name, value)) => Ok(vec![(name.to_owned(), value.trim().to_owned())]),
            None => Err(format!("`{first}` has no value")),
        };
    }
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !is_environment || is_variable(name) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some((name, _)) => Err(format!("`{name}` is no name of a variable")),
        None => Err(format!("`{word}` has no value")),
    };
    words(rest, escape)?.into_iter().map(pair).collect()
}

fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let argument = |word: String| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.clone(), None),
        };
        if is_variable(&name) { Ok((name, value)) } else { Err(format!("`{name}` is no name of a variable")) }
    };
    words(rest, escape)?.into_iter().map(argument).collect()
}

pub(super) fn is_variable(name: &str) -> bool {
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    begins_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A list of texts in JSON. What is none is text.
fn array(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Splits at spaces outside of quotes. Quotes and the character that escapes stay: they decide where variables are replaced.
pub(super) fn words(text: &str, escape: char) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (quote, _) if character == escape && quote != Some('\'') => {
                word.push(character);
                word.extend(characters.next());
            }
            (None, '\'' | '"') => {
                quote = Some(character);
                word.push(character);
            }
            (Some(open), _) if character == open => {
                quote = None;
                word.push(character);
            }
            (None, _) if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(character),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("a quote `{quote}` is not closed"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Command, Copy, Instruction, What, parse};

    fn check(text: &str, expected: &[(usize, What)]) {
        let expected = expected.iter().cloned().map(|(line, what)| Instruction { line, what });
        assert_eq!(parse(text).unwrap(), expected.collect::<Vec<_>>(), "{text}");
    }

    fn check_wrong(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
    }

    fn shell(text: &str) -> What {
        What::Run(Command::Shell(text.to_owned()))
    }

    #[test]
    fn lines_are_continued_and_comments_left_out() {
        let text =
            "# syntax=docker/dockerfile:1\nFROM a AS Base\n\nrun one \\\n  # between\n\n  two\nRUN three";
        let base = What::From { base: "a".to_owned(), name: Some("base".to_owned()) };
        check(text, &[(2, base), (4, shell("one   two")), (8, shell("three"))]);
        check("# escape=`\nRUN a `\n b\\", &[(2, shell("a  b\\"))]);
        check("RUN a \\", &[(1, shell("a"))]);
    }

    #[test]
    fn instructions_have_their_parts() {
        let program = ["sh", "-c", "a b"].map(str::to_owned).to_vec();
        check(r#"RUN ["sh", "-c", "a b"]"#, &[(1, What::Run(Command::Program(program.clone())))]);
        check("RUN [ -f x ]", &[(1, shell("[ -f x ]"))]);
        check(
            "RUN cat <<<x; echo $((1 << 2)); echo '<<EOF'",
            &[(1, shell("cat <<<x; echo $((1 << 2)); echo '<<EOF'"))],
        );
        check(r#"SHELL ["sh", "-c", "a b"]"#, &[(1, What::Shell(program))]);
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>()
        };
        check(
            "ENV A=1 B=\"x y\" C=a\\ b",
            &[(1, What::Env(pairs(&[("A", "1"), ("B", "\"x y\""), ("C", "a\\ b")])))],
        );
        check("ENV A  x y=z ", &[(1, What::Env(pairs(&[("A", "x y=z")])))]);
        check("LABEL a.b-c=1", &[(1, What::Label(pairs(&[("a.b-c", "1")])))]);
        let arguments = vec![("A".to_owned(), None), ("B".to_owned(), Some("1".to_owned()))];
        check("ARG A B=1", &[(1, What::Arg(arguments))]);
        let copy = Copy {
            sources: vec!["a".to_owned(), "b".to_owned()],
            target: "/c/".to_owned(),
            from: Some("0".to_owned()),
            owner: Some("1:2".to_owned()),
            permissions: Some("755".to_owned()),
        };
        check("COPY --from=0 --chown=1:2 --chmod=755 --link a b /c/", &[(1, What::Copy(copy))]);
        let spaces = Copy { sources: vec!["a b".to_owned()], target: "c".to_owned(), ..Copy::default() };
        check(r#"ADD ["a b", "c"]"#, &[(1, What::Add(spaces))]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        check_wrong(
            "FROM a\n\nCMD x",
            "line 3: `CMD` is not read: it says how a container is run, and an image here is for machines",
        );
        check_wrong("FRM a", "line 1: `FRM` is no instruction");
        check_wrong("RUN", "line 1: `RUN` says nothing");
        check_wrong("FROM a b", "line 1: `FROM` expects an image, and perhaps `AS NAME`");
        check_wrong(
            "FROM --platform=linux/arm64 a",
            "line 1: `FROM` does not take `--platform=linux/arm64` here",
        );
        check_wrong("RUN --mount=type=cache x", "line 1: `RUN` does not take `--mount=type=cache` here");
        check_wrong("RUN <<EOF\nx\nEOF", "line 1: here-documents are not read; copy a script and run it");
        check_wrong("COPY a", "line 1: it expects what is copied, and where to");
        check_wrong("COPY --exclude=a b c", "line 1: it does not take `--exclude=a` here");
        check_wrong("ENV A=\"x", "line 1: a quote `\"` is not closed");
        check_wrong("ENV A", "line 1: `A` has no value");
        check_wrong("ENV 1=2", "line 1: `1` is no name of a variable");
        check_wrong("SHELL bash", "line 1: `SHELL` expects a list such as `[\"/bin/bash\", \"-c\"]`");
        check_wrong(&"RUN a\n".repeat(5001), "line 5001: there are more than 5000 instructions");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(FROM |RUN |ENV |COPY |[a-z=\"'\\\\$#\n ]){0,40}") {
            if let Ok(instructions) = parse(&text) {
                prop_assert!(instructions.iter().all(|found| found.line <= text.lines().count()));
            }
        }
    }
}
