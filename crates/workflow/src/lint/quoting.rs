//! How a place in a script is quoted, for shells that people write scripts in.

/// A family of shells with the same quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// `bash` and `sh`.
    Posix,
    /// `pwsh` and `powershell`.
    PowerShell,
}

/// How a place is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Not at all, in an argument of a command.
    Bare,
    /// In double quotes, in which variables are expanded.
    Double,
    /// Where a variable is not expanded, or where a word would mean something else: in single quotes, comments,
    /// here-documents, arithmetic, as the name of a command.
    Other,
}

/// What the scan is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Commands: the script or a `$( )`.
    Commands,
    Double,
    Backticks,
    /// `${ }`, `$(( ))`: closed by this byte.
    Expansion(u8),
}

/// How the places `at`, in their order, are quoted in a script. What stands between `${{` and `}}` is passed over.
pub(crate) fn quoting(script: &str, shell: Shell, at: &[usize]) -> Vec<Quoting> {
    let mut scan = Scan {
        text: script,
        bytes: script.as_bytes(),
        at: 0,
        inside: vec![Inside::Commands],
        ends: Vec::new(),
        shell,
    };
    at.iter().map(|place| scan.run_to(*place)).collect()
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    inside: Vec<Inside>,
    /// Delimiters of here-documents that begin behind the line.
    ends: Vec<&'a str>,
    shell: Shell,
}

impl Scan<'_> {
    /// Scans up to `place`, which is passed over where it is no place of its own: then it is quoted.
    fn run_to(&mut self, place: usize) -> Quoting {
        while self.at < place && self.at < self.bytes.len() {
            self.step();
        }
        if self.at != place {
            return Quoting::Other;
        }
        match self.inside.as_slice() {
            [.., Inside::Commands] if self.is_argument(place) => Quoting::Bare,
            [.., Inside::Commands, Inside::Double] => Quoting::Double,
            _ => Quoting::Other,
        }
    }

    /// Whether a word at `place` is an argument and not the name of a command or the list of a loop.
    fn is_argument(&self, place: usize) -> bool {
        let line = self.text[..place].rfind(['\n', ';', '|', '&', '(', '{']).map_or(0, |at| at + 1);
        let before = &self.text[line..place];
        let mut words = before
            .split_whitespace()
            .filter(|word| !matches!(*word, "then" | "do" | "else" | "!" | "if" | "while"));
        let first = words.next();
        !matches!(first, None | Some("for" | "foreach" | "case" | "select"))
    }

    fn step(&mut self) {
        let (byte, next) = (self.bytes[self.at], self.bytes.get(self.at + 1).copied());
        if self.bytes[self.at..].starts_with(b"${{") {
            let rest = &self.text[self.at..];
            self.at += rest.find("}}").map_or(rest.len(), |end| end + 2);
            return;
        }
        let inside = self.inside.last().copied().unwrap_or(Inside::Commands);
        match (self.shell, inside) {
            (Shell::Posix, _) => self.posix(inside, byte, next),
            (Shell::PowerShell, _) => self.power_shell(inside, byte, next),
        }
    }

    fn posix(&mut self, inside: Inside, byte: u8, next: Option<u8>) {
        match (byte, inside) {
            (b'\\', _) => self.at += 2,
            (b'\'', Inside::Commands | Inside::Backticks) => {
                let escapes = self.at > 0 && self.bytes[self.at - 1] == b'$';
                self.skip_quoted(b'\'', if escapes { b'\\' } else { 0 });
            }
            (b'"', Inside::Double) => self.close(1),
            (b'"', _) => self.open(Inside::Double, 1),
            (b'`', Inside::Backticks) => self.close(1),
            (b'`', _) => self.open(Inside::Backticks, 1),
            (b'$', _) if next == Some(b'(') => match self.bytes.get(self.at + 2) {
                Some(b'(') => self.open(Inside::Expansion(b')'), 3),
                _ => self.open(Inside::Commands, 2),
            },
            (b'$', _) if next == Some(b'{') => self.open(Inside::Expansion(b'}'), 2),
            (b'(', Inside::Commands) if next == Some(b'(') => self.open(Inside::Expansion(b')'), 2),
            (b'(', Inside::Commands) => self.open(Inside::Commands, 1),
            (b'(', Inside::Expansion(b')')) => self.open(Inside::Expansion(b')'), 1),
            (b')', Inside::Commands) => self.close(1),
            (closing, Inside::Expansion(end)) if closing == end => {
                // The second parenthesis of `))`.
                let double = closing == b')' && next == Some(b')');
                self.close(if double { 2 } else { 1 });
            }
            (b'#', Inside::Commands) if self.starts_word() => self.skip_line(),
            (b'<', Inside::Commands) if next == Some(b'<') => self.here_document(),
            (b'\n', _) if !self.ends.is_empty() => self.skip_here_documents(),
            _ => self.at += 1,
        }
    }

    fn power_shell(&mut self, inside: Inside, byte: u8, next: Option<u8>) {
        match (byte, inside) {
            (b'`', _) => self.at += 2,
            (b'@', Inside::Commands) if matches!(next, Some(b'"' | b'\'')) => self.skip_here_string(),
            (b'\'', Inside::Commands) => self.skip_quoted(b'\'', 0),
            (b'"', Inside::Double) => self.close(1),
            (b'"', _) => self.open(Inside::Double, 1),
            (b'$', _) if next == Some(b'(') => self.open(Inside::Commands, 2),
            (b'(', Inside::Commands) => self.open(Inside::Commands, 1),
            (b')', Inside::Commands) => self.close(1),
            (b'<', Inside::Commands) if next == Some(b'#') => self.skip_past("#>"),
            (b'#', Inside::Commands) if self.starts_word() => self.skip_line(),
            _ => self.at += 1,
        }
    }

    fn open(&mut self, inside: Inside, length: usize) {
        self.inside.push(inside);
        self.at += length;
    }

    /// Ends the innermost part; the script itself has no end.
    fn close(&mut self, length: usize) {
        if self.inside.len() > 1 {
            self.inside.pop();
        }
        self.at += length;
    }

    fn starts_word(&self) -> bool {
        self.at == 0 || self.bytes[self.at - 1].is_ascii_whitespace() || self.bytes[self.at - 1] == b';'
    }

    fn skip_line(&mut self) {
        self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at);
    }

    fn skip_past(&mut self, end: &str) {
        let rest = &self.text[self.at..];
        self.at += rest.find(end).map_or(rest.len(), |at| at + end.len());
    }

    /// Passes over a quoted text; the byte `escape` takes the next one with it.
    fn skip_quoted(&mut self, quote: u8, escape: u8) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            if *byte == quote {
                return;
            }
            if *byte == escape {
                self.at += 1;
            }
        }
    }

    fn skip_here_string(&mut self) {
        let end = if self.bytes[self.at + 1] == b'"' { "\"@" } else { "'@" };
        self.at += 2;
        self.skip_past(end);
    }

    /// Notes the delimiter of a here-document; a here-string, `<<<`, has none.
    fn here_document(&mut self) {
        let rest = &self.text[self.at + 2..];
        if let Some(behind) = rest.strip_prefix('<') {
            self.at = self.text.len() - behind.len();
            return;
        }
        let word = rest.trim_start_matches(['-', ' ', '\t']);
        let end = word.find([' ', '\t', '\n', ';', '|', '>', '&', ')']).unwrap_or(word.len());
        let delimiter = word[..end].trim_matches(['"', '\'', '\\', '\r']);
        if !delimiter.is_empty() {
            self.ends.push(&self.text[self.text.len() - word.len()..][..end]);
        }
        self.at = self.text.len() - word.len() + end;
    }

    fn skip_here_documents(&mut self) {
        self.at += 1;
        for end in std::mem::take(&mut self.ends) {
            let delimiter = end.trim_matches(['"', '\'', '\\', '\r']);
            while self.at < self.bytes.len() {
                let line = self.text[self.at..].split_inclusive('\n').next().unwrap_or_default();
                self.at += line.len();
                if line.trim() == delimiter {
                    break;
                }
            }
        }
        // What follows a line is read as its beginning.
        self.at = self.at.min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Quoting, Shell, quoting};

    /// The quoting of each `${{ x }}`.
    fn check(shell: Shell, script: &str, expected: &[Quoting]) {
        let at: Vec<usize> = script.match_indices("${{").map(|(at, _)| at).collect();
        assert_eq!(quoting(script, shell, &at), expected, "{script}");
    }

    #[test]
    fn places_in_bash() {
        use Quoting::{Bare, Double, Other};
        let check = |script: &str, expected: &[Quoting]| check(Shell::Posix, script, expected);
        check("echo ${{ x }} \"a ${{ x }}\" '${{ x }}' $'\\'${{ x }}'", &[Bare, Double, Other, Other]);
        check("A=${{ x }}\nB=\"${{ x }}\"", &[Bare, Double]);
        check("${{ x }} --version\nif ${{ x }}; then ${{ x }}; fi", &[Other; 3]);
        check("echo \"$(basename \"${{ x }}\" ${{ x }}) ${{ x }}\"", &[Double, Bare, Double]);
        check("echo ${A:-${{ x }}} $((1 + ${{ x }})) `echo ${{ x }}`", &[Other; 3]);
        check("# don't ${{ x }}\necho a#b ${{ x }}", &[Other, Bare]);
        check("cat <<EOF\n${{ x }}\nEOF\necho ${{ x }}", &[Other, Bare]);
        check("cat <<'A' <<-B\n${{ x }}\nA\n\t${{ x }}\n\tB\necho ${{ x }}", &[Other, Other, Bare]);
        check("cat <<< \"${{ x }}\"", &[Double]);
        check("for a in ${{ x }}; do echo ${{ x }}; done", &[Other, Bare]);
        check("echo \"\\\"${{ x }}\" \"don't ${{ x }}\"", &[Double, Double]);
        check("echo ${{ 'a\"b' }} ${{ x }}", &[Bare, Bare]);
        check("case $A in a) echo ${{ x }};; esac; echo ${{ x }}", &[Other, Bare]);
    }

    #[test]
    fn places_in_power_shell() {
        use Quoting::{Bare, Double, Other};
        let check = |script: &str, expected: &[Quoting]| check(Shell::PowerShell, script, expected);
        check("echo ${{ x }} \"a ${{ x }}\" '${{ x }}'", &[Bare, Double, Other]);
        check("echo \"`\"${{ x }}\" # ${{ x }}\n<# ${{ x }} #> echo ${{ x }}", &[Double, Other, Other, Bare]);
        check("$a = @\"\n${{ x }}\n\"@\necho ${{ x }}", &[Other, Bare]);
        check("$a = ${{ x }}", &[Bare]);
        check("& ${{ x }}", &[Other]);
    }

    proptest! {
        #[test]
        fn no_script_is_too_much(script in any::<String>(), quotes in "[\"'`$(){}<#\\\\ \n@]{0,40}", posix: bool) {
            let script = format!("{quotes}{script}${{{{ x }}}}");
            let shell = if posix { Shell::Posix } else { Shell::PowerShell };
            let at: Vec<usize> = script.match_indices("${{").map(|(at, _)| at).collect();
            assert_eq!(quoting(&script, shell, &at).len(), at.len());
        }
    }
}
