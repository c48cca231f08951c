//! What a script visibly writes to the files by which a step hands values to later ones.
//!
//! Scripts are not parsed: the forms that people write (`echo "NAME=VALUE" >> "$GITHUB_OUTPUT"`, groups in braces, values of
//! several lines) are recognised line by line, and what is not recognised says nothing.

use std::ops::Range;

use memchr::{memmem, memrchr_iter};

/// A value that a script hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write<'a> {
    /// The name of the output or variable; empty for a line of `GITHUB_PATH`.
    pub(crate) name: &'a str,
    /// The bytes of the script that make the value.
    pub(crate) value: Range<usize>,
    /// What ends the lines of a value of several lines.
    pub(crate) delimiter: Option<&'a str>,
}

impl Write<'_> {
    /// Whether the value has several lines that end at what nobody can guess.
    pub(crate) fn has_secret_delimiter(&self) -> bool {
        self.delimiter.is_some_and(|delimiter| delimiter.contains('$'))
    }
}

/// The lines of a text with their offsets.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\n', '\r']))
    })
}

/// The values that `script` writes to `file`, such as `GITHUB_OUTPUT`, in its order.
pub(crate) fn writes<'a>(script: &'a str, file: &str) -> Vec<Write<'a>> {
    if memmem::find(script.as_bytes(), file.as_bytes()).is_none() {
        return Vec::new();
    }
    let lines = Lines::of(script, file);
    let mut found = Vec::new();
    // The name and the delimiter of a value of several lines, and where the value starts.
    let mut open: Option<(&str, &str, usize)> = None;
    for (index, (start, line)) in lines.all.iter().copied().enumerate() {
        if let Some((name, delimiter, from)) = open {
            if is_end(line, delimiter) {
                found.push(Write { name, value: from..start, delimiter: Some(delimiter) });
                open = None;
            }
            continue;
        }
        if !lines.is_written(index) {
            continue;
        }
        let words = content(line);
        let offset = start + (words.as_ptr() as usize - line.as_ptr() as usize);
        match assignment(words) {
            Some(Assignment::Value(name, value)) => {
                let value = offset + value..offset + words.len();
                found.push(Write { name, value, delimiter: None });
            }
            Some(Assignment::Lines(name, delimiter)) => {
                let from = lines.all.get(index + 1).map_or(script.len(), |(start, _)| *start);
                open = Some((name, delimiter, from));
            }
            None if !words.is_empty() => {
                let value = offset..offset + words.len();
                found.push(Write { name: "", value, delimiter: None });
            }
            None => {}
        }
    }
    found
}

/// How many lines a group or here-document may have whose end or beginning names the file.
const MAX_GROUP: usize = 64;

/// The lines of a script, and what of them says where those before and behind are printed.
struct Lines<'a, 'f> {
    file: &'f str,
    /// Each with its offset.
    all: Vec<(usize, &'a str)>,
    /// Indexes of the lines that name the file.
    naming: Vec<usize>,
    /// Indexes of the lines that end or begin a group; none where none of them names the file.
    groups: Vec<usize>,
    /// Indexes of the lines that begin a here-document; none where none of them names the file.
    documents: Vec<usize>,
}

impl<'a, 'f> Lines<'a, 'f> {
    fn of(script: &'a str, file: &'f str) -> Self {
        let all: Vec<(usize, &str)> = lines(script).collect();
        let mut naming: Vec<usize> = memmem::find_iter(script.as_bytes(), file)
            .map(|at| all.partition_point(|(start, _)| *start <= at) - 1)
            .collect();
        naming.dedup();
        let places = |fits: fn(&str) -> bool| {
            all.iter().enumerate().filter(move |(_, (_, line))| fits(line)).map(|(index, _)| index)
        };
        let ends = |index: &usize| all[*index].1.trim_start().starts_with('}');
        let groups = if naming.iter().any(ends) { places(bounds_group).collect() } else { Vec::new() };
        let begins = |index: &usize| begins_document(all[*index].1);
        let documents =
            if naming.iter().any(begins) { places(begins_document).collect() } else { Vec::new() };
        Self { file, all, naming, groups, documents }
    }

    fn names(&self, line: &str) -> bool {
        line.contains(self.file) && [">", "tee", "Out-File", "Add-Content"].iter().any(|to| line.contains(to))
    }

    /// Whether what the line prints goes to the file: it says so, or the group or here-document does in which it is.
    fn is_written(&self, index: usize) -> bool {
        let line = self.all[index].1;
        if self.naming.binary_search(&index).is_ok() {
            return self.names(line)
                && !line.trim_start().starts_with(['}', '#'])
                && !line.trim_start().starts_with("cat ");
        }
        if matches!(line.trim(), "{" | "(") {
            return false;
        }
        let later = self.groups.partition_point(|group| *group <= index);
        let group = self.groups.get(later).filter(|group| **group < index + MAX_GROUP);
        if group.is_some_and(|group| {
            let line = self.all[*group].1;
            line.trim_start().starts_with('}') && self.names(line)
        }) {
            return true;
        }
        let earlier = self.documents.partition_point(|document| *document < index);
        let start = self.documents[..earlier].last().filter(|document| **document + MAX_GROUP >= index);
        start.is_some_and(|start| {
            let opening = self.all[*start].1;
            let delimiter = opening.split("<<").nth(1).unwrap_or_default();
            let delimiter =
                delimiter.trim_start_matches(['-', ' ']).split([' ', '>', ';']).next().unwrap_or_default();
            let delimiter = delimiter.trim_matches(['"', '\'', '\\']);
            self.names(opening) && self.all[*start..=index].iter().all(|(_, line)| line.trim() != delimiter)
        })
    }
}

/// Whether a line ends or begins a group.
fn bounds_group(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('}') || line == "{" || line.ends_with(" {")
}

/// Whether a line begins a here-document that is printed.
fn begins_document(line: &str) -> bool {
    line.contains("<<") && line.contains("cat")
}

/// What a command prints: without the command, its flags, the quotes and the redirection.
fn content(line: &str) -> &str {
    let mut text = line.trim();
    // Only the last redirection is one: what is before it may be quoted.
    for to in [">>", "| tee", "| Out-File", "| Add-Content"] {
        if let Some(at) = last(text, to) {
            text = text[..at].trim_end();
        }
    }
    for command in ["echo", "printf", "Write-Output"] {
        if let Some(rest) = text.strip_prefix(command).filter(|rest| rest.starts_with([' ', '\t'])) {
            text = rest.trim_start();
            break;
        }
    }
    while let Some(rest) = ["-e ", "-n ", "-en ", "'%s\\n' ", "\"%s\\n\" ", "'%s' "]
        .iter()
        .find_map(|flag| text.strip_prefix(flag))
    {
        text = rest.trim_start();
    }
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) if text.len() > 1 && text.ends_with(quote) => &text[1..text.len() - 1],
        Some('"' | '\'') => &text[1..],
        _ => text,
    }
}

/// Where the last `part` of a text begins. Most lines have not even its first byte.
fn last(text: &str, part: &str) -> Option<usize> {
    let first = *part.as_bytes().first()?;
    memrchr_iter(first, text.as_bytes()).find(|at| text.as_bytes()[*at..].starts_with(part.as_bytes()))
}

enum Assignment<'a> {
    /// The name, and where the value starts.
    Value(&'a str, usize),
    /// The name and the delimiter behind its lines.
    Lines(&'a str, &'a str),
}

fn assignment(text: &str) -> Option<Assignment<'_>> {
    let end = text.find(|character: char| !is_of_name(character))?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    if let Some(delimiter) = rest.strip_prefix("<<") {
        return Some(Assignment::Lines(name, delimiter.trim_matches(['"', '\'', '\\', ' '])));
    }
    rest.starts_with('=').then_some(Assignment::Value(name, end + 1))
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

/// Whether a line is, or prints, the delimiter.
fn is_end(line: &str, delimiter: &str) -> bool {
    !delimiter.is_empty() && content(line) == delimiter
}

/// A variable that a text expands, with its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    pub(crate) offset: usize,
}

/// The variables that a text expands as they are: `$NAME`, `${NAME}`, `$env:NAME`. One that is changed on the way (`${NAME//a/b}`),
/// or handed to another command (`$(…)`), is none of them.
pub(crate) fn variables(text: &str) -> Vec<Variable<'_>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'`' => depth = usize::from(depth == 0),
            b'$' if bytes.get(at + 1) == Some(&b'(') => {
                depth += 1;
                at += 1;
            }
            b'(' if depth > 0 => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b'$' if depth == 0 => {
                if let Some(name) = expansion(&text[at + 1..]) {
                    found.push(Variable { name, offset: at });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn expansion(behind: &str) -> Option<&str> {
    let name_of =
        |text: &str| text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let plain = behind.strip_prefix("env:").unwrap_or(behind);
    let Some(braced) = behind.strip_prefix('{') else {
        return Some(&plain[..name_of(plain)]).filter(|name| !name.is_empty());
    };
    let braced = braced.strip_prefix("env:").unwrap_or(braced);
    let (name, rest) = braced.split_at(name_of(braced));
    // A default, a cut prefix or suffix and another case leave the rest as it is.
    let kept = rest.starts_with(['}', ':', '#', '%', ',', '^', '-']) && !name.is_empty();
    kept.then_some(name)
}

/// The value that the script assigns to a variable last before `offset`: `NAME=VALUE`, `export NAME=VALUE`, `$NAME = VALUE`.
pub(crate) fn assigned(script: &str, name: &str, offset: usize) -> Option<Range<usize>> {
    let before = script.get(..offset)?;
    if !before.contains(name) {
        return None;
    }
    let value = |(start, line): (usize, &str)| {
        let mut text = line.trim_start();
        for word in ["export ", "local ", "readonly ", "declare ", "$"] {
            text = text.strip_prefix(word).unwrap_or(text);
        }
        let rest = text.strip_prefix(name)?.trim_start_matches(' ').strip_prefix('=')?;
        let from = start + (rest.as_ptr() as usize - line.as_ptr() as usize);
        (!rest.starts_with('=')).then(|| from..start + line.len())
    };
    lines(before).filter_map(value).last()
}

#[cfg(test)]
mod tests {
    use super::{assigned, variables, writes};

    fn check(script: &str, expected: &[(&str, &str)]) {
        let found = writes(script, "GITHUB_OUTPUT");
        let found: Vec<_> = found.iter().map(|write| (write.name, &script[write.value.clone()])).collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn outputs_of_one_line() {
        check("echo \"a=$B\" >> \"$GITHUB_OUTPUT\"\n", &[("a", "$B")]);
        check("  echo a=${{ github.head_ref }} >> $GITHUB_OUTPUT", &[("a", "${{ github.head_ref }}")]);
        check("printf '%s\\n' \"a-b=1\" >>\"${GITHUB_OUTPUT}\"\r\n", &[("a-b", "1")]);
        check("echo 'a=1' | tee -a $GITHUB_OUTPUT", &[("a", "1")]);
        check("\"a=$b\" >> $env:GITHUB_OUTPUT", &[("a", "$b")]);
        check("echo \"a=$b\" | Out-File -FilePath $env:GITHUB_OUTPUT -Append", &[("a", "$b")]);
        check("echo hello; cat \"$GITHUB_OUTPUT\"", &[]);
        check("echo \"a=1\"", &[]);
    }

    #[test]
    fn outputs_of_several_lines() {
        let script = "echo \"a<<EOF\" >> $GITHUB_OUTPUT\necho \"$B\" >> $GITHUB_OUTPUT\necho \"EOF\" >> $GITHUB_OUTPUT\n";
        check(script, &[("a", "echo \"$B\" >> $GITHUB_OUTPUT\n")]);
        check("{\n  echo \"a=1\"\n  echo \"b=$C\"\n} >> \"$GITHUB_OUTPUT\"\n", &[("a", "1"), ("b", "$C")]);
        check("cat <<EOF >> $GITHUB_OUTPUT\na=1\nb=$C\nEOF\necho d=1\n", &[("a", "1"), ("b", "$C")]);
    }

    #[test]
    fn variables_that_are_expanded_as_they_are() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = variables(text).iter().map(|variable| variable.name).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("$A ${B} $env:C ${env:D} ${E:-x} ${F#refs/heads/}", &["A", "B", "C", "D", "E", "F"]);
        check("\\$A ${B//[^a-z]/} $(tr -cd a-z <<< \"$C\") `echo $D` $E", &["E"]);
        check("$ ${} $", &[]);
    }

    #[test]
    fn assignments() {
        let script = "A=1\nexport A=\"$B\"\n[ $A == 2 ]\n$C = 'x'\necho $A";
        assert_eq!(assigned(script, "A", script.len()).map(|value| &script[value]), Some("\"$B\""));
        assert_eq!(assigned(script, "A", 5).map(|value| &script[value]), Some("1"));
        assert_eq!(assigned(script, "C", script.len()).map(|value| &script[value]), Some(" 'x'"));
        assert_eq!(assigned(script, "D", script.len()), None);
    }
}
