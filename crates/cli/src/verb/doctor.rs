//! `firedog doctor`: what this host can do, and what to install for more.

use std::path::PathBuf;

use machine::probe::{Capability, State, probe};
use serde_json::{Value, json};

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::style::Style;
use crate::state::StateFolder;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// How the findings are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn run(args: &DoctorArgs, config: &Config) -> Result<Exit, Failure> {
    let path: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut capabilities = probe(&path);
    capabilities.push(state_folder(config));
    match args.format {
        AnswerFormat::Json => {
            let capabilities: Vec<Value> = capabilities.iter().map(capability_json).collect();
            output::json_to_stdout(&json!({"capabilities": capabilities}))?;
        }
        AnswerFormat::Text => output::to_stdout(&text(&capabilities, config.stdout))?,
    }
    Ok(Exit::Success)
}

fn state_folder(config: &Config) -> Capability {
    let state = match StateFolder::open(&config.state) {
        Ok(folder) => State::Available(folder.path().display().to_string()),
        Err(failure) => State::Missing { reason: failure.cause(), remedy: failure.help().map(str::to_owned) },
    };
    Capability { name: "state folder".to_owned(), state }
}

fn capability_json(capability: &Capability) -> Value {
    match &capability.state {
        State::Available(detail) => json!({"name": capability.name, "available": true, "detail": detail}),
        State::Missing { reason, remedy } => {
            json!({"name": capability.name, "available": false, "reason": reason, "remedy": remedy})
        }
    }
}

fn text(capabilities: &[Capability], style: Style) -> String {
    let width = capabilities.iter().map(|capability| capability.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for capability in capabilities {
        let name = format!("{:width$}", capability.name);
        match &capability.state {
            State::Available(detail) => text.push_str(&format!("{} {name}  {detail}\n", style.green("✓"))),
            State::Missing { reason, remedy } => {
                text.push_str(&format!("{} {name}  {}\n", style.yellow("✗"), style.dim(reason)));
                if let Some(remedy) = remedy {
                    text.push_str(&format!("  {:width$}  {} {remedy}\n", "", style.cyan("help:")));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use machine::probe::{Capability, State};

    use super::text;
    use crate::render::style::Style;

    #[test]
    fn what_is_missing_comes_with_what_helps() {
        let missing =
            State::Missing { reason: "it is not on PATH".into(), remedy: Some("install pwsh".into()) };
        let capabilities = [
            Capability { name: "bash".into(), state: State::Available("5.2".into()) },
            Capability { name: "pwsh shell".into(), state: missing },
        ];
        let expected = "\
✓ bash        5.2
✗ pwsh shell  it is not on PATH
              help: install pwsh
";
        assert_eq!(text(&capabilities, Style { colours: false }), expected);
    }
}
