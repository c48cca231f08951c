//! From the runs' events to the screen, and from people's requests to the runs: one loop that sees everything in order.

use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use run::event::{Event, EventKind, JobEvent};
use run::lease::Cancel;
use run::status::Conclusion;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::signal::{Request, Signals};
use crate::render::Render;

/// Events of one run: its number among the runs of this process, and what happened.
pub(super) type Batch = (usize, Arc<[Event]>);

/// How watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All runs have ended, together so.
    Concluded(Conclusion),
    /// Somebody did not want to wait.
    Left,
    /// The events ended before the runs did.
    Broken,
}

/// What is watched.
pub(super) struct Watch<'a> {
    /// How many runs there are.
    pub(super) runs: usize,
    /// Their events.
    pub(super) events: Receiver<Batch>,
    /// Where they are shown.
    pub(super) screen: &'a mut dyn Render,
    /// Requests to end.
    pub(super) signals: &'a mut Signals,
    /// When to cancel, after the first job started.
    pub(super) cancel_after: Option<Duration>,
}

/// Watches until all runs have ended. `cancel` asks the control plane to end them.
pub(super) async fn watch<F>(watch: Watch<'_>, cancel: impl Fn(Cancel, &'static str) -> F) -> Ended
where
    F: Future<Output = ()>,
{
    let Watch { runs, mut events, screen, signals, cancel_after } = watch;
    let mut frames = screen.frame().map(frames);
    let mut screen = Screen { render: Some(screen) };
    let mut conclusions = Vec::new();
    let mut deadline = cancel_after.map_or(Deadline::None, Deadline::AfterStart);
    while conclusions.len() < runs {
        tokio::select! {
            biased;
            request = signals.next() => match request {
                Request::Cancel => {
                    screen.show(|render| render.notice("cancelling; once more ends every job at once"));
                    cancel(Cancel::Graceful, "the user asked for it").await;
                }
                Request::CancelNow => {
                    screen.show(|render| render.notice("ending every job; once more leaves without waiting"));
                    cancel(Cancel::Now, "the user asked for it twice").await;
                }
                Request::Leave => return Ended::Left,
            },
            batch = events.recv() => {
                let Some((run, events)) = batch else { return Ended::Broken };
                events.iter().for_each(|event| note(event, &mut conclusions, &mut deadline));
                if screen.show(|render| render.events(run, &events)) == Shown::Lost {
                    cancel(Cancel::Graceful, "nobody reads the output any more").await;
                }
            }
            () = deadline.passed() => {
                deadline = Deadline::None;
                cancel(Cancel::Graceful, "the time of --cancel-after is over").await;
            }
            () = next_frame(&mut frames) => {
                screen.show(|render| render.tick());
            }
        }
    }
    let together = together(&conclusions);
    screen.show(|render| render.finish(together));
    Ended::Concluded(together)
}

fn note(event: &Event, conclusions: &mut Vec<Conclusion>, deadline: &mut Deadline) {
    match &event.kind {
        EventKind::RunFinished { conclusion, .. } => conclusions.push(*conclusion),
        EventKind::Reported { event: JobEvent::Started { .. }, .. } => deadline.start(),
        _ => {}
    }
}

/// One conclusion for several runs: the worst.
fn together(conclusions: &[Conclusion]) -> Conclusion {
    let worst =
        [Conclusion::Failure, Conclusion::Cancelled].into_iter().find(|bad| conclusions.contains(bad));
    worst.unwrap_or(Conclusion::Success)
}

/// When to cancel.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    /// Never, or it has passed.
    None,
    /// So long after the first job will have started.
    AfterStart(Duration),
    /// Then.
    At(Instant),
}

impl Deadline {
    fn start(&mut self) {
        if let Self::AfterStart(after) = self {
            *self = Instant::now().checked_add(*after).map_or(Self::None, Self::At);
        }
    }

    async fn passed(&self) {
        match self {
            Self::At(instant) => sleep_until(*instant).await,
            Self::None | Self::AfterStart(_) => pending().await,
        }
    }
}

/// Where events are shown, as long as somebody sees it.
struct Screen<'a> {
    render: Option<&'a mut dyn Render>,
}

/// Whether something was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// It was, or nobody has been there for long.
    Done,
    /// It was not: the reader has just gone.
    Lost,
}

impl Screen<'_> {
    fn show(&mut self, draw: impl FnOnce(&mut dyn Render) -> io::Result<()>) -> Shown {
        let Some(render) = &mut self.render else { return Shown::Done };
        match draw(*render) {
            Ok(()) => Shown::Done,
            Err(error) => {
                self.render = None;
                if error.kind() != io::ErrorKind::BrokenPipe {
                    crate::output::to_stderr(&format!("error: cannot write to standard output: {error}"));
                }
                Shown::Lost
            }
        }
    }
}

fn frames(every: Duration) -> Interval {
    let mut frames = interval(every);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    frames
}

async fn next_frame(frames: &mut Option<Interval>) {
    match frames {
        Some(frames) => drop(frames.tick().await),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;
    use std::time::Duration;

    use run::event::Event;
    use run::lease::Cancel;
    use run::status::Conclusion;
    use tokio::sync::mpsc;

    use super::{Batch, Ended, Signals, Watch, watch};
    use crate::render::Render;
    use crate::render::tests::Script;

    /// Counts what it is shown; gone from the `lost_at`th batch on.
    #[derive(Debug, Default)]
    struct Counter {
        batches: usize,
        lost_at: Option<usize>,
        finished: Option<Conclusion>,
    }

    impl Render for Counter {
        fn events(&mut self, _run: usize, _events: &[Event]) -> io::Result<()> {
            self.batches += 1;
            match self.lost_at {
                Some(at) if self.batches >= at => Err(io::ErrorKind::BrokenPipe.into()),
                _ => Ok(()),
            }
        }

        fn finish(&mut self, conclusion: Conclusion) -> io::Result<()> {
            self.finished = Some(conclusion);
            Ok(())
        }
    }

    /// Watches what `feed` sends; returns how it ended and what was cancelled.
    async fn check(
        runs: usize,
        counter: &mut Counter,
        cancel_after: Option<Duration>,
        batches: Vec<Batch>,
    ) -> (Ended, Vec<Cancel>) {
        let (sender, events) = mpsc::channel(64);
        for batch in batches {
            sender.send(batch).await.expect("the channel has room");
        }
        let signals = &mut Signals::listen().expect("signals can be taken");
        let cancelled = RefCell::new(Vec::new());
        // A cancelled run ends; nothing ends while nobody cancels.
        let cancel = |cancel, _reason| {
            cancelled.borrow_mut().push(cancel);
            let sender = sender.clone();
            async move {
                let end = Script::new().run_ends(Conclusion::Cancelled).events();
                drop(sender.send((0, end.into())).await);
            }
        };
        let ended = watch(Watch { runs, events, screen: counter, signals, cancel_after }, cancel).await;
        (ended, cancelled.take())
    }

    #[tokio::test]
    async fn the_worst_conclusion_of_several_runs_counts() {
        let mut counter = Counter::default();
        let ends = [Conclusion::Success, Conclusion::Failure, Conclusion::Cancelled];
        let batches =
            ends.into_iter().enumerate().map(|(run, end)| (run, Script::new().run_ends(end).events().into()));
        let (ended, cancelled) = check(3, &mut counter, None, batches.collect()).await;
        assert_eq!(ended, Ended::Concluded(Conclusion::Failure));
        assert_eq!(counter.finished, Some(Conclusion::Failure));
        assert!(cancelled.is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_cancels_the_run_once() {
        let mut counter = Counter { lost_at: Some(1), ..Counter::default() };
        let batches =
            vec![(0, Script::new().job("a").events().into()), (0, Script::new().job("b").events().into())];
        let (ended, cancelled) = check(1, &mut counter, None, batches).await;
        assert_eq!((ended, cancelled), (Ended::Concluded(Conclusion::Cancelled), vec![Cancel::Graceful]));
        assert_eq!(counter.batches, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_cancel_runs_from_the_first_job() {
        let mut counter = Counter::default();
        let batches = vec![(0, Script::new().job("a").events().into())];
        let started = tokio::time::Instant::now();
        let (ended, cancelled) = check(1, &mut counter, Some(Duration::from_secs(5)), batches).await;
        assert_eq!((ended, cancelled), (Ended::Concluded(Conclusion::Cancelled), vec![Cancel::Graceful]));
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn nothing_to_run_ends_at_once() {
        let mut counter = Counter::default();
        assert_eq!(check(0, &mut counter, None, Vec::new()).await.0, Ended::Concluded(Conclusion::Success));
    }
}
