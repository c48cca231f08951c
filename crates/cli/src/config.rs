//! Raw arguments and environment, resolved once; nothing behind this reads either.

use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::args::{ColorChoice, CommonArgs};
use crate::render::style::Style;

/// What holds for every verb.
#[derive(Debug)]
pub(crate) struct Config {
    /// How standard output is written.
    pub(crate) stdout: Style,
    /// How standard error is written.
    pub(crate) stderr: Style,
    /// Whether standard output is a terminal that can be drawn on.
    pub(crate) terminal: bool,
    /// Whether only what must be said is said.
    pub(crate) quiet: bool,
    /// Where runs are kept.
    pub(crate) state: StatePlace,
    /// Where programs are found: `PATH`.
    pub(crate) search_path: Option<OsString>,
    /// Where is kept what can be found out again.
    pub(crate) cache: Option<PathBuf>,
    /// Where is kept what was made and is needed again: images.
    pub(crate) data: Option<PathBuf>,
    /// The time that no file of an image is newer than: `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: Option<OsString>,
    /// Where the logins for registries of container images are kept.
    pub(crate) registry_logins: Option<PathBuf>,
}

/// Where the state folder is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StatePlace {
    /// There and nowhere else.
    Given(PathBuf),
    /// There, as the convention for users' folders says; elsewhere where that cannot be written.
    Convention(Option<PathBuf>),
}

impl Config {
    /// Resolves the common arguments with the environment of this process.
    pub(crate) fn resolve(args: &CommonArgs) -> Self {
        let read = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let dumb = read("TERM").is_none_or(|term| term == "dumb");
        let stdout_terminal = std::io::stdout().is_terminal();
        let style = |terminal: bool| Style { colours: colours(args.color, terminal && !dumb, &read) };
        Self {
            stdout: style(stdout_terminal),
            stderr: style(std::io::stderr().is_terminal()),
            terminal: stdout_terminal && !dumb,
            quiet: args.quiet,
            state: match &args.state_dir {
                Some(folder) => StatePlace::Given(folder.clone()),
                None => StatePlace::Convention(conventional_state(&read)),
            },
            search_path: read("PATH"),
            cache: conventional_folder(&read, "XDG_CACHE_HOME", ".cache"),
            data: conventional_folder(&read, "XDG_DATA_HOME", ".local/share"),
            epoch: read("SOURCE_DATE_EPOCH"),
            registry_logins: registry_logins(&read),
        }
    }
}

fn colours(choice: ColorChoice, terminal: bool, read: &dyn Fn(&str) -> Option<OsString>) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if read("NO_COLOR").is_some() => false,
        ColorChoice::Auto => terminal || read("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
    }
}

/// Docker's `config.json`, which Podman reads, too.
fn registry_logins(read: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name, below: &str| read(name).map(|folder| PathBuf::from(folder).join(below));
    folder("DOCKER_CONFIG", "").or_else(|| folder("HOME", ".docker")).map(|folder| folder.join("config.json"))
}

/// `$XDG_STATE_HOME/firedog`, or `~/.local/state/firedog`.
fn conventional_state(read: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    conventional_folder(read, "XDG_STATE_HOME", ".local/state")
}

/// The folder `firedog` in the one that the variable `name` names, or in `otherwise` of the home folder.
fn conventional_folder(
    read: &dyn Fn(&str) -> Option<OsString>,
    name: &str,
    otherwise: &str,
) -> Option<PathBuf> {
    let absolute = |name| read(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(otherwise));
    absolute(name).or_else(home).map(|folder| folder.join("firedog"))
}

#[cfg(test)]
mod tests {
    use super::{colours, conventional_state};
    use crate::args::ColorChoice;
    use std::ffi::OsString;
    use std::path::PathBuf;

    fn environment(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn colours_follow_the_conventions() {
        let check = |choice, terminal, set, expected| {
            assert_eq!(
                colours(choice, terminal, &environment(set)),
                expected,
                "{choice:?} {terminal} {set:?}"
            );
        };
        check(ColorChoice::Auto, true, &[], true);
        check(ColorChoice::Auto, false, &[], false);
        check(ColorChoice::Auto, true, &[("NO_COLOR", "1")], false);
        check(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1")], true);
        check(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "0")], false);
        check(ColorChoice::Auto, false, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false);
        check(ColorChoice::Always, false, &[("NO_COLOR", "1")], true);
        check(ColorChoice::Never, true, &[("CLICOLOR_FORCE", "1")], false);
    }

    #[test]
    fn the_state_folder_follows_the_convention() {
        let check = |set, expected: Option<&str>| {
            assert_eq!(conventional_state(&environment(set)), expected.map(PathBuf::from), "{set:?}");
        };
        check(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/firedog"));
        check(&[("HOME", "/h")], Some("/h/.local/state/firedog"));
        check(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/state/firedog"));
        check(&[], None);
    }
}
