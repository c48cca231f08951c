//! The runs that this machine remembers.

use std::future::Future;

use run::event::{Event, Timestamp};
use run::id::RunId;
use store::{CheckpointRow, RunQuery, RunRow, RunStatus, Store};
use vault::Vault;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::render::style::Style;
use crate::render::view::RunView;
use crate::state::StateFolder;
use crate::sweep;

/// How many characters of an id are shown, where that many tell the runs apart: its time in milliseconds.
const SHORT_ID: usize = 13;
/// How many events are read at a time.
const PAGE: u32 = 1000;

/// The runs, with what dead processes left behind put in order.
#[derive(Debug)]
pub(crate) struct History {
    store: Store,
    state: StateFolder,
}

impl History {
    /// Opens the database of the state folder.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        let state = StateFolder::open(&config.state)?;
        let store = open_store(&state).await?;
        sweep::sweep(&store, &state).await?;
        Ok(Self { store, state })
    }

    /// The database.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The run that `selector` means: an id, the beginning of one, or `latest`.
    pub(crate) async fn find(&self, selector: &str) -> Result<RunRow, Failure> {
        let latest = selector == "latest";
        let prefix = (!latest).then(|| selector.to_lowercase());
        let query = RunQuery { prefix, limit: if latest { 1 } else { 2 }, ..RunQuery::default() };
        let mut found = self.store.runs(&query).await.map_err(unreadable)?;
        match (found.len(), latest) {
            (1, _) => Ok(found.remove(0)),
            (0, true) => {
                Err(Failure::usage("there are no runs yet").with_help("start one with `firedog run`"))
            }
            (0, false) => Err(Failure::usage(format!("there is no run `{selector}`"))
                .with_help("`firedog runs` lists the runs; `latest` is the last one")),
            _ if selector.is_empty() => Err(Failure::usage("the run's id is empty")
                .with_help("`firedog runs` lists the runs; `latest` is the last one")),
            _ => Err(Failure::usage(format!("more than one run begins with `{selector}`"))
                .with_help("give more of the id; `firedog runs` lists the runs")),
        }
    }

    /// The last run with checkpoints, where there is one; else the last run.
    pub(crate) async fn latest_kept(&self) -> Result<String, Failure> {
        let run = self.store.latest_with_checkpoints().await.map_err(unreadable)?;
        Ok(run.map_or_else(|| "latest".to_owned(), |run| run.0))
    }

    /// The checkpoints of a run that are there.
    pub(crate) async fn checkpoints(&self, run: &RunId) -> Result<Vec<CheckpointRow>, Failure> {
        let rows = self.store.checkpoints(run).await.map_err(unreadable)?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let opened = Vault::open_existing(&self.state.checkpoints(), u64::MAX);
        let vault = opened.map_err(|error| Failure::new(Exit::Usage, error))?;
        let is_there = |row: &CheckpointRow| vault.as_ref().is_some_and(|vault| vault.get(&row.id.0).is_ok());
        Ok(rows.into_iter().filter(is_there).collect())
    }

    /// The events of a run that its state follows from.
    pub(crate) async fn outline(&self, run: &RunId) -> Result<Vec<Event>, Failure> {
        let mut all: Vec<Event> = Vec::new();
        loop {
            let after = all.last().map_or(0, |last| last.sequence);
            let events = self.store.outline_after(run, after, PAGE).await.map_err(unreadable)?;
            if events.is_empty() {
                return Ok(all);
            }
            all.extend(events);
        }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &StateFolder {
        &self.state
    }

    /// What is known of a run.
    pub(crate) async fn view(&self, run: &RunId) -> Result<RunView, Failure> {
        let mut view = RunView::default();
        let mut after = 0;
        loop {
            let events = self.store.events_after(run, after, PAGE).await.map_err(unreadable)?;
            let Some(last) = events.last() else { return Ok(view) };
            after = last.sequence;
            events.iter().for_each(|event| view.apply(event));
        }
    }
}

/// Opens the database below a state folder.
pub(crate) async fn open_store(state: &StateFolder) -> Result<Store, Failure> {
    Store::open(&state.database()).await.map_err(|error| {
        Failure::new(Exit::Usage, error).with_help("choose another state folder with `--state-dir FOLDER`")
    })
}

/// The failure for a database that cannot be read.
pub(crate) fn unreadable(error: store::StoreError) -> Failure {
    Failure::new(Exit::Usage, error)
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot start"))?;
    runtime.block_on(future)
}

/// The shortest part of an id that is shown; longer where another run of `all` begins like it.
pub(crate) fn short_id<'a>(id: &'a RunId, all: &[RunRow]) -> &'a str {
    let alone = |length: usize| {
        let part = id.as_str().get(..length).unwrap_or(id.as_str());
        all.iter().filter(|run| run.id.as_str().starts_with(part)).count() <= 1
    };
    let length = (SHORT_ID..id.as_str().len()).find(|length| alone(*length)).unwrap_or(id.as_str().len());
    id.as_str().get(..length).unwrap_or(id.as_str())
}

/// How a run stands, in its colour.
pub(crate) fn standing(run: &RunRow, style: Style) -> String {
    match (run.status, run.conclusion) {
        (RunStatus::Completed, Some(conclusion)) => style.concluded(conclusion, conclusion.as_str()),
        (status, _) => style.cyan(status.as_str()),
    }
}

/// A time on this machine's clock, to the second.
pub(crate) fn local_time(at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    match jiff::Timestamp::from_millisecond(at) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}

/// A time as programs read it, such as `2026-01-31T12:00:00.5Z`.
pub(crate) fn utc_time(at: Timestamp) -> Option<String> {
    jiff::Timestamp::from_millisecond(at).ok().map(|time| time.to_string())
}
