//! `run` steps: which shell, which script file, which arguments.

/// A shell with its arguments, as GitHub's runner writes them; `{0}` is the script.
struct Builtin {
    name: &'static str,
    arguments: &'static str,
    extension: &'static str,
}

const BUILTINS: [Builtin; 5] = [
    Builtin { name: "bash", arguments: "--noprofile --norc -e -o pipefail {0}", extension: ".sh" },
    Builtin { name: "sh", arguments: "-e {0}", extension: ".sh" },
    Builtin { name: "pwsh", arguments: "-command \". '{0}'\"", extension: ".ps1" },
    Builtin { name: "powershell", arguments: "-command \". '{0}'\"", extension: ".ps1" },
    Builtin { name: "python", arguments: "{0}", extension: ".py" },
];

/// Shells that exist only on Windows.
const WINDOWS_SHELLS: [&str; 2] = ["cmd", "powershell"];

/// The shells that a message about a missing one looks for.
pub(crate) const USUAL_SHELLS: [&str; 6] = ["bash", "sh", "python", "python3", "pwsh", "node"];

/// How a script is started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    /// The program, to be found on the search path.
    pub(crate) program: String,
    /// Its arguments; `{0}` is the script.
    template: String,
    /// What the script's name ends with.
    pub(crate) extension: &'static str,
    /// Whether the script is for PowerShell.
    powershell: bool,
}

/// Why a `shell` cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShellError {
    /// The template has no place for the script.
    #[error(
        "Invalid shell option. Shell must be a valid built-in (bash, sh, cmd, powershell, pwsh) or a format string \
         containing '{{0}}'"
    )]
    Template,
    /// It exists only on Windows.
    #[error(
        "the shell `{0}` exists only on Windows, and this machine runs Linux; use `bash`, `sh`, `pwsh` or `python`"
    )]
    Windows(String),
}

impl Shell {
    /// The shell of a step that names none: `bash` where there is one, else `sh`. Unlike `shell: bash` it does not set
    /// `pipefail`.
    pub(crate) fn default_of(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            template: "-e {0}".to_owned(),
            extension: ".sh",
            powershell: false,
        }
    }

    /// The shell that a step names: one of the known ones, or a program with arguments that have a `{0}`.
    pub(crate) fn named(shell: &str) -> Result<Self, ShellError> {
        let (program, arguments) = shell.split_once(' ').unwrap_or((shell, ""));
        if WINDOWS_SHELLS.iter().any(|name| name.eq_ignore_ascii_case(program)) {
            return Err(ShellError::Windows(program.to_owned()));
        }
        let builtin = BUILTINS.iter().find(|builtin| builtin.name.eq_ignore_ascii_case(program));
        let arguments = arguments.trim_start();
        let template =
            if arguments.is_empty() { builtin.map_or("", |builtin| builtin.arguments) } else { arguments };
        if !template.contains("{0}") {
            return Err(ShellError::Template);
        }
        Ok(Self {
            program: program.to_owned(),
            template: template.to_owned(),
            extension: builtin.map_or("", |builtin| builtin.extension),
            powershell: program == "pwsh",
        })
    }

    /// The text of the script's file.
    pub(crate) fn script(&self, run: &str) -> String {
        if !self.powershell {
            return run.to_owned();
        }
        format!(
            "$ErrorActionPreference = 'stop'\n{run}\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}"
        )
    }

    /// The arguments that run the script at `path`.
    pub(crate) fn arguments(&self, path: &str) -> Vec<String> {
        let path = path.replace('"', "\\\"");
        let line = self.template.replace("{0}", &path).replace("{{", "{").replace("}}", "}");
        split_arguments(&line)
    }
}

/// Splits a command line: at blanks outside of double quotes; a backslash protects only a quote.
fn split_arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'"') => {
                characters.next();
                current.get_or_insert_default().push('"');
            }
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => arguments.extend(current.take()),
            other => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    arguments
}

#[cfg(test)]
mod tests {
    use super::{Shell, ShellError, split_arguments};

    fn check(shell: &str, program: &str, extension: &str, arguments: &[&str]) {
        let found = Shell::named(shell).unwrap();
        assert_eq!(found.program, program);
        assert_eq!(found.extension, extension);
        assert_eq!(found.arguments("/t/s"), arguments, "{shell}");
    }

    #[test]
    fn shells_have_githubs_arguments() {
        check("bash", "bash", ".sh", &["--noprofile", "--norc", "-e", "-o", "pipefail", "/t/s"]);
        check("sh", "sh", ".sh", &["-e", "/t/s"]);
        check("python", "python", ".py", &["/t/s"]);
        check("pwsh", "pwsh", ".ps1", &["-command", ". '/t/s'"]);
        check("bash -x {0}", "bash", ".sh", &["-x", "/t/s"]);
        check("perl \"-I a b\" {0} end", "perl", "", &["-I a b", "/t/s", "end"]);
        assert_eq!(Shell::default_of("sh").arguments("/t/s"), ["-e", "/t/s"]);
    }

    #[test]
    fn unusable_shells_are_refused() {
        assert_eq!(Shell::named("perl"), Err(ShellError::Template));
        assert_eq!(Shell::named("bash -x"), Err(ShellError::Template));
        assert_eq!(Shell::named("cmd"), Err(ShellError::Windows("cmd".into())));
    }

    #[test]
    fn powershell_scripts_stop_at_errors() {
        let script = Shell::named("pwsh").unwrap().script("a\nb");
        assert!(script.starts_with("$ErrorActionPreference = 'stop'\na\nb\n"), "{script}");
        assert_eq!(Shell::named("bash").unwrap().script("a"), "a");
    }

    #[test]
    fn quotes_keep_blanks() {
        assert_eq!(split_arguments(r#"a  "b c"d "" \"e \f"#), ["a", "b cd", "", "\"e", "\\f"]);
    }
}
