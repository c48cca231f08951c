//! The arguments of `firedog run`, as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use machine::network::Rule;

use super::snapshots::SnapshotArgs;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The workflow to run, whether or not its filters match [default: every workflow of
    /// ROOT/.github/workflows that the event triggers]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The repository, whose files the jobs see [default: the working directory]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Option<PathBuf>,
    /// How the run is shown: text for people, or one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: RunFormat,

    /// The event that starts the run
    #[arg(long, short, value_name = "NAME", default_value = "push", help_heading = "Event")]
    pub(crate) event: String,
    /// A JSON file with the event's webhook payload
    #[arg(long, value_name = "FILE", help_heading = "Event")]
    pub(crate) payload: Option<PathBuf>,
    /// An input of workflow_dispatch; adds to and overrides the payload's
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Event")]
    pub(crate) input: Vec<(String, String)>,

    /// A variable of the workflow's top-level `env`
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Values")]
    pub(crate) env: Vec<(String, String)>,
    /// A variable of the `vars` context
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Values")]
    pub(crate) var: Vec<(String, String)>,
    /// A secret: the value is that of the environment variable NAME, or what standard input holds for `NAME=-`
    #[arg(long, value_name = "NAME", value_parser = secret, help_heading = "Values")]
    pub(crate) secret: Vec<SecretSource>,
    /// A JSON file with an object of secrets
    #[arg(long, value_name = "FILE", help_heading = "Values")]
    pub(crate) secrets_file: Option<PathBuf>,
    /// The folder that stands for a remote action or the repository of a called workflow
    #[arg(long, value_name = "OWNER/REPO@REF=FOLDER", value_parser = action, help_heading = "Values")]
    pub(crate) action: Vec<(String, PathBuf)>,

    /// Run this job and what it needs; may be given several times
    #[arg(long, value_name = "ID", help_heading = "Selection")]
    pub(crate) job: Vec<String>,
    /// Keep the matrix legs where KEY is VALUE, and those without KEY
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Selection")]
    pub(crate) matrix: Vec<(String, String)>,
    /// Cancel the run so many seconds after its first job started
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Selection")]
    pub(crate) cancel_after: Option<Duration>,

    /// The kind of machine that jobs run in: `host` is this machine itself, without isolation
    #[arg(long, value_name = "KIND", default_value = "auto", help_heading = "Machines")]
    pub(crate) machine: MachineChoice,
    /// The image that virtual machines are made of: a name or a digest of `firedog image ls`
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE, help_heading = "Machines")]
    pub(crate) image: String,
    /// The machine for jobs with this label, such as `ubuntu-latest=host`; `*` is every label and none
    #[arg(long, value_name = "LABEL=KIND", value_parser = platform, help_heading = "Machines")]
    pub(crate) platform: Vec<(String, MachineChoice)>,
    /// What the machines reach: `full`, `none`, or `allow=DESTINATION,…`, where a destination is a domain, *.domain, an
    /// address, a range of addresses, `host` or `*`, each with `:port` or without
    #[arg(long, value_name = "REACH", default_value = "full", value_parser = network, help_heading = "Machines")]
    pub(crate) network: NetworkChoice,
    /// Reach this destination too, even when it is private or this host; may be given several times
    #[arg(long, value_name = "DESTINATION", help_heading = "Machines")]
    pub(crate) network_allow: Vec<Rule>,
    /// How many jobs run at a time [default: twice the number of cores, at least 8, since jobs mostly wait]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    #[arg(help_heading = "Machines")]
    pub(crate) parallel: Option<u16>,

    #[command(flatten)]
    pub(crate) snapshots: SnapshotArgs,
}

/// The image of virtual machines where nobody names one.
pub(crate) const DEFAULT_IMAGE: &str = "ci";

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    Text,
    Ndjson,
}

/// The kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MachineChoice {
    Auto,
    Firecracker,
    FirecrackerUnjailed,
    Namespace,
    Qemu,
    Host,
}

/// What machines reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkChoice {
    Full,
    None,
    Allow(Vec<Rule>),
}

/// Where a secret's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// The environment variable of that name.
    Environment(String),
    /// Standard input, for the secret of that name.
    Stdin(String),
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) fn secret(text: &str) -> Result<SecretSource, String> {
    match text.split_once('=') {
        None if !text.is_empty() => Ok(SecretSource::Environment(text.to_owned())),
        Some((name, "-")) if !name.is_empty() => Ok(SecretSource::Stdin(name.to_owned())),
        // The value is not repeated: everybody on this host can read a command line, and logs keep messages.
        _ => Err("expected NAME or NAME=-; a value on the command line can be read by everybody".to_owned()),
    }
}

pub(super) fn action(text: &str) -> Result<(String, PathBuf), String> {
    let expected = || "expected OWNER/REPO@REF=FOLDER".to_owned();
    let at = text.find('@').ok_or_else(expected)?;
    let equals = at + text[at..].find('=').ok_or_else(expected)?;
    let (reference, folder) = (&text[..equals], &text[equals + 1..]);
    let names_repository = reference[..at].split('/').filter(|part| !part.is_empty()).count() >= 2;
    let complete = names_repository && equals > at + 1 && !folder.is_empty();
    complete.then(|| (reference.to_owned(), PathBuf::from(folder))).ok_or_else(expected)
}

fn platform(text: &str) -> Result<(String, MachineChoice), String> {
    let (label, kind) =
        pair(text).map_err(|_| "expected LABEL=KIND, such as `ubuntu-latest=host`".to_owned())?;
    let kind = MachineChoice::from_str(&kind, true)
        .map_err(|_| format!("unknown kind `{kind}`: expected auto, namespace or host"))?;
    Ok((label.to_lowercase(), kind))
}

pub(in crate::verb) fn network(text: &str) -> Result<NetworkChoice, String> {
    match (text, text.strip_prefix("allow=")) {
        ("full", _) => Ok(NetworkChoice::Full),
        ("none", _) => Ok(NetworkChoice::None),
        (_, Some(list)) => {
            let rules = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::parse);
            let rules = rules.collect::<Result<Vec<Rule>, _>>().map_err(|error| error.to_string())?;
            if rules.is_empty() {
                return Err("the list is empty; `none` reaches nothing".to_owned());
            }
            Ok(NetworkChoice::Allow(rules))
        }
        _ => Err("expected full, none or allow=DESTINATION,…, such as `allow=github.com:443,*.crates.io`"
            .to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{
        MachineChoice, NetworkChoice, SecretSource, action, network, pair, platform, seconds, secret,
    };

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("a").is_err());
        assert!(pair("=b").is_err());
    }

    #[test]
    fn secrets_have_no_value_on_the_command_line() {
        assert_eq!(secret("TOKEN"), Ok(SecretSource::Environment("TOKEN".to_owned())));
        assert_eq!(secret("TOKEN=-"), Ok(SecretSource::Stdin("TOKEN".to_owned())));
        let error = secret("TOKEN=hunter2").expect_err("it has a value");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn actions_are_mapped_to_folders() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = action(text).ok();
            let found = found
                .as_ref()
                .map(|(reference, folder)| (reference.as_str(), folder.to_str().expect("text")));
            assert_eq!(found, expected, "{text}");
        };
        check("octo/tool@v1=/x=y", Some(("octo/tool@v1", "/x=y")));
        check("octo/tool/sub@v1=x", Some(("octo/tool/sub@v1", "x")));
        check("octo@v1=x", None);
        check("octo/tool=x", None);
        check("octo/tool@=x", None);
        check("octo/tool@v1=", None);
    }

    #[test]
    fn platforms_are_labels_in_lower_case() {
        assert_eq!(platform("Ubuntu-Latest=host"), Ok(("ubuntu-latest".to_owned(), MachineChoice::Host)));
        assert_eq!(platform("*=HOST"), Ok(("*".to_owned(), MachineChoice::Host)));
        assert!(platform("x=docker").is_err());
    }

    #[test]
    fn networks_are_words_or_a_list() {
        let check = |text: &str, expected: Result<&[&str], &str>| match (network(text), expected) {
            (Ok(NetworkChoice::Allow(rules)), Ok(expected)) => {
                assert_eq!(rules.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        assert_eq!(network("full"), Ok(NetworkChoice::Full));
        assert_eq!(network("none"), Ok(NetworkChoice::None));
        check("allow=GitHub.com:443, *.crates.io", Ok(&["github.com:443", "*.crates.io"]));
        check("allow=", Err("the list is empty"));
        check("allow=https://github.com", Err("without `https://`"));
        check("some", Err("expected full, none or allow="));
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("1.5").map(|duration| duration.as_millis()), Ok(1500));
        assert!(seconds("-1").is_err());
        assert!(seconds("soon").is_err());
        assert!(seconds("inf").is_err());
    }
}
