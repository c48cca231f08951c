//! Workflow commands: what a process asks of the runner by printing a line.
//!
//! Two spellings: `::name key=value,key=value::data` at the start of a line, and `##[name key=value;key=value]data`
//! anywhere in it. [`parse`] reads a line, [`Commands`] decides what it asks for in the state that earlier commands of
//! the step left (`stop-commands`, `echo`). Nothing here changes anything else.

use run::event::{Annotation, AnnotationLevel};

use super::matcher::Removal;

/// The names of all commands.
const NAMES: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// A token that is longer than this is also masked.
const SHORT_TOKEN: usize = 6;

/// One command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// As written.
    pub(crate) name: String,
    properties: Vec<(String, String)>,
    /// What stands behind the command, escapes resolved.
    pub(crate) data: String,
}

impl Command {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// A property, without regard to the case of its key; `None` where it is missing or empty.
    fn property(&self, key: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn set(&mut self, key: &str, value: String) {
        match self.properties.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
            Some((_, old)) => *old = value,
            None => self.properties.push((key.to_owned(), value)),
        }
    }
}

/// Whether a line can be a command at all: a cheap test for the many that cannot.
pub(crate) fn may_be_command(line: &[u8]) -> bool {
    let colons = match line.first() {
        Some(b':') => line.starts_with(b"::"),
        // Any white space, also such as is not ASCII.
        Some(first) => (*first <= b' ' || *first >= 0x80) && memchr::memmem::find(line, b"::").is_some(),
        None => false,
    };
    colons || (memchr::memchr(b'#', line).is_some() && memchr::memmem::find(line, b"##[").is_some())
}

/// Reads a line; `None` when it is no command whose name is known. `token` is the name that ends `stop-commands`.
pub(crate) fn parse(line: &str, token: Option<&str>) -> Option<Command> {
    parse_colons(line, token).or_else(|| parse_brackets(line, token))
}

fn known(name: &str, token: Option<&str>) -> bool {
    NAMES.iter().copied().chain(token).any(|known| known.eq_ignore_ascii_case(name))
}

fn parse_colons(line: &str, token: Option<&str>) -> Option<Command> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let escapes = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
    let data_escapes = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
    known(name, token).then(|| Command {
        name: name.to_owned(),
        properties: read_properties(properties.trim(), ',', &escapes),
        data: unescape(data, &data_escapes),
    })
}

fn parse_brackets(line: &str, token: Option<&str>) -> Option<Command> {
    let (_, rest) = line.split_once("##[")?;
    let (head, data) = rest.split_once(']')?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let escapes = [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%")];
    known(name, token).then(|| Command {
        name: name.to_owned(),
        properties: read_properties(properties, ';', &escapes),
        data: unescape(data, &escapes),
    })
}

fn read_properties(text: &str, separator: char, escapes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut properties: Vec<(String, String)> = Vec::new();
    for part in text.split(separator) {
        // Empty parts do not count, on either side of the first `=` that counts.
        let Some((key, value)) = part.trim_start_matches('=').split_once('=') else { continue };
        let value = value.trim_start_matches('=');
        if value.is_empty() {
            continue;
        }
        let value = unescape(value, escapes);
        match properties.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
            Some((_, old)) => *old = value,
            None => properties.push((key.to_owned(), value)),
        }
    }
    properties
}

/// Replaces one escape after the other; `%25` is the last, so that it can protect the others.
fn unescape(text: &str, escapes: &[(&str, &str)]) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Print a line: an echoed command, or the runner's words.
    Print(String),
    /// `set-output`.
    Output { name: String, value: String },
    /// `save-state`.
    State { name: String, value: String },
    /// `set-env`.
    Env { name: String, value: String },
    /// `add-path`.
    Path(String),
    /// `add-mask`, or a token that should not show.
    Mask(String),
    /// `debug`.
    Debug(String),
    /// `error`, `warning`, `notice`.
    Annotate(Annotation),
    /// `group`.
    Group(String),
    /// `endgroup`.
    EndGroup,
    /// `add-matcher`: the file that describes problem matchers.
    AddMatchers(String),
    /// `remove-matcher`.
    RemoveMatchers(Removal),
    /// The command cannot be obeyed: the step fails.
    Fail(String),
}

/// What the environment lets commands do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// `ACTIONS_ALLOW_UNSECURE_COMMANDS`: `set-env` and `add-path`.
    pub(crate) unsecure_commands: bool,
    /// `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS`: any token.
    pub(crate) unsecure_tokens: bool,
}

/// The commands of one step.
#[derive(Debug)]
pub(crate) struct Commands {
    allowed: Allowed,
    /// The folder to which the files of annotations are relative.
    workspace: String,
    echo: bool,
    /// The name of the command that resumes, while commands are stopped.
    token: Option<String>,
}

impl Commands {
    pub(crate) fn new(allowed: Allowed, workspace: &str, echo: bool) -> Self {
        Self { allowed, workspace: workspace.trim_end_matches('/').to_owned(), echo, token: None }
    }

    /// What a line asks for, in order; `None` when it is an ordinary line.
    pub(crate) fn obey(&mut self, line: &str) -> Option<Vec<Request>> {
        let command = parse(line, self.token.as_deref())?;
        if let Some(token) = &self.token {
            let resumes = command.is(token);
            if resumes {
                self.token = None;
            }
            return resumes.then(|| self.echoed(line));
        }
        let mut requests = if command.is("add-mask") && self.echo && !command.data.trim().is_empty() {
            vec![Request::Print("::add-mask::***".to_owned())]
        } else if ["add-mask", "debug", "error", "warning", "notice"].iter().any(|name| command.is(name)) {
            Vec::new()
        } else {
            self.echoed(line)
        };
        match self.decide(command) {
            Ok(decided) => requests.extend(decided),
            Err(message) => {
                let shown = if line.to_ascii_lowercase().contains("add-mask") { "add-mask" } else { line };
                requests.push(Request::Print(format!(
                    "Error: Unable to process command '{shown}' successfully."
                )));
                requests.push(Request::Fail(message));
            }
        }
        Some(requests)
    }

    fn echoed(&self, line: &str) -> Vec<Request> {
        self.echo.then(|| Request::Print(line.to_owned())).into_iter().collect()
    }

    fn decide(&mut self, command: Command) -> Result<Vec<Request>, String> {
        let name = command.name.to_ascii_lowercase();
        let one = |request| Ok(vec![request]);
        match name.as_str() {
            "set-output" => one(Request::Output { name: required_name(&command)?, value: command.data }),
            "save-state" => one(Request::State { name: required_name(&command)?, value: command.data }),
            "set-env" => self.set_env(command).map(|request| vec![request]),
            "add-path" => self.add_path(command).map(|request| vec![request]),
            "add-mask" if command.data.trim().is_empty() => {
                one(warning("Can't add secret mask for empty string in ##[add-mask] command."))
            }
            "add-mask" => one(Request::Mask(command.data)),
            "debug" => one(Request::Debug(command.data)),
            "error" => one(self.annotate(AnnotationLevel::Error, command)),
            "warning" => one(self.annotate(AnnotationLevel::Warning, command)),
            "notice" => one(self.annotate(AnnotationLevel::Notice, command)),
            "group" => one(Request::Group(command.data)),
            "endgroup" => one(Request::EndGroup),
            "add-matcher" if command.data.is_empty() => one(warning("File path must be specified.")),
            "add-matcher" => one(Request::AddMatchers(command.data)),
            "remove-matcher" => one(remove_matcher(&command)),
            "echo" => self.set_echo(&command.data),
            _ => self.stop(command.data),
        }
    }

    fn set_env(&self, command: Command) -> Result<Request, String> {
        self.require_unsecure("set-env")?;
        let name = required_name(&command)?;
        if name.eq_ignore_ascii_case("NODE_OPTIONS") {
            return Ok(Request::Print(
                "Error: Can't update NODE_OPTIONS environment variable using ::set-env:: command.".to_owned(),
            ));
        }
        Ok(Request::Env { name, value: command.data })
    }

    fn add_path(&self, command: Command) -> Result<Request, String> {
        self.require_unsecure("add-path")?;
        if command.data.is_empty() {
            return Err("Value cannot be null or empty. (Parameter 'path')".to_owned());
        }
        Ok(Request::Path(command.data))
    }

    fn require_unsecure(&self, name: &str) -> Result<(), String> {
        if self.allowed.unsecure_commands {
            return Ok(());
        }
        Err(format!(
            "The `{name}` command is disabled. Please upgrade to using Environment Files or opt into unsecure command \
             execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`. For more \
             information see: https://github.blog/changelog/2020-10-01-github-actions-deprecating-set-env-and-add-path-commands/"
        ))
    }

    fn set_echo(&mut self, value: &str) -> Result<Vec<Request>, String> {
        match value.trim().to_ascii_lowercase().as_str() {
            "on" => self.echo = true,
            "off" => self.echo = false,
            _ => {
                return Err(format!(
                    "Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: '{value}'."
                ));
            }
        }
        Ok(Vec::new())
    }

    fn stop(&mut self, token: String) -> Result<Vec<Request>, String> {
        let reserved = token.is_empty() || token.eq_ignore_ascii_case("pause-logging") || known(&token, None);
        if reserved && !self.allowed.unsecure_tokens {
            return Err(
                "You cannot use a endToken that is an empty string, the string 'pause-logging', or another workflow \
                 command. For more information see: https://docs.github.com/actions/learn-github-actions/workflow-commands-for-github-actions#example-stopping-and-starting-workflow-commands \
                 or opt into insecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` environment variable to `true`."
                    .to_owned(),
            );
        }
        let long = token.chars().count() > SHORT_TOKEN;
        let requests = long.then(|| Request::Mask(token.clone())).into_iter().collect();
        self.token = Some(token);
        Ok(requests)
    }

    fn annotate(&self, level: AnnotationLevel, mut command: Command) -> Request {
        correct_places(&mut command);
        let number = |key| command.property(key).and_then(|text| text.trim().parse::<u32>().ok());
        let file = command.property("file").map(|file| relative_to(&self.workspace, file).to_owned());
        Request::Annotate(Annotation {
            level,
            title: command.property("title").map(str::to_owned),
            file,
            line: number("line"),
            end_line: number("endLine"),
            col: number("col"),
            end_col: number("endColumn"),
            message: command.data,
        })
    }
}

/// The path below `folder`, where it is there; else the path.
fn relative_to<'a>(folder: &str, path: &'a str) -> &'a str {
    let below = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    below.filter(|rest| !folder.is_empty() && !rest.is_empty()).unwrap_or(path)
}

fn required_name(command: &Command) -> Result<String, String> {
    let missing =
        || format!("Required field 'name' is missing in ##[{}] command.", command.name.to_ascii_lowercase());
    command.property("name").map(str::to_owned).ok_or_else(missing)
}

fn warning(text: &str) -> Request {
    Request::Print(format!("Warning: {text}"))
}

fn remove_matcher(command: &Command) -> Request {
    match (command.property("owner"), command.data.as_str()) {
        (Some(owner), "") => Request::RemoveMatchers(Removal::Owner(owner.to_owned())),
        (None, "") => {
            warning("Either an owner name or a file path must be specified in ##[remove-matcher] command.")
        }
        (None, file) => Request::RemoveMatchers(Removal::File(file.to_owned())),
        (Some(_), _) => warning(
            "Either specify an owner name or a file path in ##[remove-matcher] command. Both values cannot be set.",
        ),
    }
}

/// Makes line and column properties consistent, as GitHub's runner does.
fn correct_places(command: &mut Command) {
    let text = |command: &Command, key: &str| command.property(key).map(str::to_owned);
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.trim().parse::<i32>().ok());
    let (mut line, end_line) = (text(command, "line"), text(command, "endLine"));
    let (mut column, end_column) = (text(command, "col"), text(command, "endColumn"));
    let (first, last) = (number(&line), number(&end_line));
    let (left, right) = (number(&column), number(&end_column));
    let has_column = left.is_some() || right.is_some();
    let (mut has_line, mut has_left) = (first.is_some(), left.is_some());
    if last.is_some() && !has_line {
        line.clone_from(&end_line);
        has_line = true;
    }
    if right.is_some() && !has_left {
        column.clone_from(&end_column);
        has_left = true;
    }
    let lines_differ = last.is_some() && line != end_line;
    let columns_fall = has_left && left.unwrap_or_default() > right.unwrap_or(i32::MAX);
    let drop_columns = has_column && (!has_line || lines_differ) || columns_fall;
    let drop_lines = has_line && last.is_some_and(|last| last < first.unwrap_or_default());
    command.set("line", line.filter(|_| !drop_lines).unwrap_or_default());
    command.set("endLine", end_line.filter(|_| !drop_lines).unwrap_or_default());
    command.set("col", column.filter(|_| !drop_columns).unwrap_or_default());
    command.set("endColumn", end_column.filter(|_| !drop_columns).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;
    use run::event::{Annotation, AnnotationLevel};

    use super::{Allowed, Commands, Request, may_be_command, parse};
    use crate::output::matcher::Removal;

    fn commands() -> Commands {
        Commands::new(Allowed::default(), "/work", false)
    }

    /// Name, properties and data of a command.
    type Parts<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

    fn check_parse(line: &str, expected: Option<Parts<'_>>) {
        let parsed = parse(line, None);
        let parts = parsed.as_ref().map(|command| {
            let properties: Vec<(&str, &str)> =
                command.properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            (command.name.as_str(), properties, command.data.as_str())
        });
        assert_eq!(
            parts,
            expected.map(|(name, properties, data)| (name, properties.to_vec(), data)),
            "{line:?}"
        );
        assert!(expected.is_none() || may_be_command(line.as_bytes()), "{line:?}");
    }

    #[test]
    fn both_spellings_are_read() {
        check_parse("::debug::hello", Some(("debug", &[], "hello")));
        check_parse(
            " \t::Error file=a.rs,line=1::m",
            Some(("Error", &[("file", "a.rs"), ("line", "1")], "m")),
        );
        check_parse("\u{a0}::debug::x", Some(("debug", &[], "x")));
        check_parse("text ##[group a=b;c=d]title", Some(("group", &[("a", "b"), ("c", "d")], "title")));
        check_parse("::unknown::x", None);
        check_parse("::unknown::##[debug]x", Some(("debug", &[], "x")));
        check_parse("x ::debug::y", None);
        check_parse("::debug x", None);
        check_parse("##[debug", None);
    }

    #[test]
    fn escapes_are_resolved_once() {
        check_parse("::debug::%25%0D%0A%3A%250A", Some(("debug", &[], "%\r\n%3A%0A")));
        check_parse("::error title=a%3Ab%2Cc::m", Some(("error", &[("title", "a:b,c")], "m")));
        check_parse("##[error title=a%3Bb%5Dc]m%5D", Some(("error", &[("title", "a;b]c")], "m]")));
    }

    #[test]
    fn properties_without_key_or_value_do_not_count() {
        check_parse("::error =x,file=,a==b,,title=t::m", Some(("error", &[("a", "b"), ("title", "t")], "m")));
        check_parse("::error file=a,FILE=b::m", Some(("error", &[("file", "b")], "m")));
    }

    fn check(line: &str, expected: &[Request]) {
        assert_eq!(commands().obey(line).as_deref(), Some(expected), "{line:?}");
    }

    #[test]
    fn commands_ask() {
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (name, value) = named("a", "b");
        check("::set-output name=a::b", &[Request::Output { name, value }]);
        let (name, value) = named("a", "");
        check("::SAVE-STATE name=a::", &[Request::State { name, value }]);
        check("::add-mask::x", &[Request::Mask("x".into())]);
        check("::group::t", &[Request::Group("t".into())]);
        check("::endgroup::", &[Request::EndGroup]);
        check("::add-matcher::m.json", &[Request::AddMatchers("m.json".into())]);
        check("::remove-matcher owner=o::", &[Request::RemoveMatchers(Removal::Owner("o".into()))]);
    }

    #[test]
    fn unsecure_commands_are_refused() {
        for line in [
            "::set-env name=a::b",
            "::add-path::/x",
            "::set-output::x",
            "::echo::maybe",
            "::stop-commands::debug",
        ] {
            let requests = commands().obey(line).unwrap();
            assert!(matches!(requests.last(), Some(Request::Fail(_))), "{line}: {requests:?}");
        }
        let allowed = Allowed { unsecure_commands: true, unsecure_tokens: true };
        let mut commands = Commands::new(allowed, "/work", false);
        assert_eq!(commands.obey("::add-path::/x"), Some(vec![Request::Path("/x".into())]));
        let options = commands.obey("::set-env name=node_options::x").unwrap();
        assert!(matches!(options[..], [Request::Print(_)]), "{options:?}");
        assert_eq!(commands.obey("::stop-commands::"), Some(vec![]));
    }

    #[test]
    fn stopped_commands_are_lines_until_the_token() {
        let mut commands = commands();
        assert_eq!(commands.obey("::stop-commands::token-1"), Some(vec![Request::Mask("token-1".into())]));
        assert_eq!(commands.obey("::debug::x"), None);
        assert_eq!(commands.obey("::stop-commands::other"), None);
        assert_eq!(commands.obey("::TOKEN-1::"), Some(vec![]));
        assert_eq!(commands.obey("::debug::x"), Some(vec![Request::Debug("x".into())]));
    }

    #[test]
    fn echo_shows_commands() {
        let mut commands = commands();
        assert_eq!(commands.obey("::echo::ON"), Some(vec![]));
        let shown = commands.obey("::endgroup::").unwrap();
        assert_eq!(shown, [Request::Print("::endgroup::".into()), Request::EndGroup]);
        let masked = commands.obey("::add-mask::x").unwrap();
        assert_eq!(masked, [Request::Print("::add-mask::***".into()), Request::Mask("x".into())]);
    }

    fn check_places(
        properties: &str,
        line: Option<u32>,
        end_line: Option<u32>,
        col: Option<u32>,
        end_col: Option<u32>,
    ) {
        let expected = Annotation {
            level: AnnotationLevel::Error,
            message: "m".into(),
            title: None,
            file: None,
            line,
            end_line,
            col,
            end_col,
        };
        check(&format!("::error {properties}::m"), &[Request::Annotate(expected)]);
    }

    #[test]
    fn inconsistent_places_are_corrected() {
        check_places("line=1,endLine=2", Some(1), Some(2), None, None);
        check_places("endLine=2", Some(2), Some(2), None, None);
        check_places("line=1,endColumn=3", Some(1), None, Some(3), Some(3));
        check_places("col=1,endColumn=3", None, None, None, None);
        check_places("line=1,endLine=2,col=1", Some(1), Some(2), None, None);
        check_places("line=2,endLine=1", None, None, None, None);
        check_places("line=1,col=3,endColumn=1", Some(1), None, None, None);
        check_places("line=1,col=1,endColumn=3", Some(1), None, Some(1), Some(3));
        check_places("line=x", None, None, None, None);
    }

    #[test]
    fn files_are_relative_to_the_workspace() {
        let file = |line: &str| match commands().obey(line).unwrap().remove(0) {
            Request::Annotate(annotation) => annotation.file,
            other => panic!("{other:?}"),
        };
        assert_eq!(file("::error file=/work/a/b.rs::m").as_deref(), Some("a/b.rs"));
        assert_eq!(file("::error file=/workshop/b.rs::m").as_deref(), Some("/workshop/b.rs"));
        assert_eq!(file("::error file=a.rs::m").as_deref(), Some("a.rs"));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,80}", prefix in "(::|##\\[|  ::)?(error|set-output|group|stop-commands)?[ =,;:%\\]]{0,6}") {
            let line = format!("{prefix}{line}");
            let obeyed = commands().obey(&line);
            assert!(obeyed.is_none() || may_be_command(line.as_bytes()), "{line:?}");
        }
    }
}
