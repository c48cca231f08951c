//! `firedog runs`: the runs that this machine remembers.

use serde_json::{Value, json};
use store::{RunQuery, RunRow};

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{self, History, local_time, short_id, standing, unreadable, utc_time};
use crate::output;
use crate::render::style::Style;
use crate::render::text::{between, duration, shown};

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunsArgs {
    /// How many runs are listed
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn run(args: &RunsArgs, config: &Config) -> Result<Exit, Failure> {
    history::block_on(async {
        let history = History::open(config).await?;
        let query = RunQuery { limit: args.limit, ..RunQuery::default() };
        let runs = history.store().runs(&query).await.map_err(unreadable)?;
        match args.format {
            AnswerFormat::Json => {
                let runs: Vec<Value> = runs.iter().map(run_json).collect();
                output::json_to_stdout(&json!({"runs": runs}))?;
            }
            AnswerFormat::Text if runs.is_empty() => output::to_stderr("there are no runs yet"),
            AnswerFormat::Text => output::to_stdout(&table(&runs, config.stdout))?,
        }
        Ok(Exit::Success)
    })
}

/// A run as JSON.
pub(crate) fn run_json(run: &RunRow) -> Value {
    json!({
        "id": run.id, "workflow": run.workflow, "file": run.file, "root": run.root, "event": run.event,
        "ref": run.reference, "sha": run.sha, "status": run.status.as_str(), "conclusion": run.conclusion,
        "reason": run.reason, "created_at": utc_time(run.created), "started_at": run.started.and_then(utc_time),
        "finished_at": run.finished.and_then(utc_time),
    })
}

fn table(runs: &[RunRow], style: Style) -> String {
    let rows = runs.iter().map(|run| {
        let took = run.started.zip(run.finished).map(|(from, to)| duration(between(from, to)));
        let reference = run.reference.trim_start_matches("refs/heads/");
        [
            short_id(&run.id, runs).to_owned(),
            standing(run, style),
            shown(&run.workflow, false).into_owned(),
            shown(&run.event, false).into_owned(),
            shown(reference, false).into_owned(),
            local_time(run.created),
            took.unwrap_or_default(),
        ]
    });
    let head = ["ID", "STATUS", "WORKFLOW", "EVENT", "REF", "CREATED", "TOOK"].map(|name| style.bold(name));
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// Rows as lines of aligned columns.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let padding = width.saturating_sub(console::measure_text_width(cell)) + 2;
            line.push_str(cell);
            line.push_str(&" ".repeat(padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb"], ["\u{1b}[1mccc\u{1b}[0m", "ä"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "a    bb\n\u{1b}[1mccc\u{1b}[0m  ä\n");
    }
}
