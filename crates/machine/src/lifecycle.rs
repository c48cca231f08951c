//! The states of a machine and the moves between them. Pure: whoever owns a machine applies what happens to it.
//!
//! ```text
//!            Boot              Booted            Begin               Snapshot
//! created ----------> booting --------> ready <--------> executing ----------> snapshotting
//!    |                 |  ^              | ^  (last) End      |  ^                  |
//!    |                 |  '--- Restore --' |                  |  '------ Kept ------'
//!    |                 |                   '-- Resume -- paused <- Pause --'
//!    '------ Fail -----'---- Fail ---> failed ---- Restore ---> booting
//!    '------ Stop: from every state but stopped, which is the last ---> stopped
//! ```
//!
//! `ready`, too, may be snapshotted and paused; the number of executions under way is kept meanwhile. A snapshot or a pause
//! begins no further ones. `Restore` goes back to a snapshot: what was executing is lost.

use std::fmt;
use std::num::NonZeroU32;

/// Where a machine is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has a name and a lease, and nothing else yet.
    Created,
    /// It is being made, or restored from a snapshot.
    Booting,
    /// Its agent answers, and nothing is executed.
    Ready,
    /// So many executions are under way.
    Executing(NonZeroU32),
    /// It is being kept, with so many executions under way.
    Snapshotting(u32),
    /// It stands still, with so many executions under way.
    Paused(u32),
    /// It is gone, as was asked for.
    Stopped,
    /// It could not be made, or was lost.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What happens to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its making begins.
    Boot,
    /// Its agent has answered.
    Booted,
    /// An execution begins.
    Begin,
    /// An execution has ended.
    End,
    /// It is to be kept.
    Snapshot,
    /// It has been kept, or could not be, and goes on.
    Kept,
    /// It is made to stand still.
    Pause,
    /// It goes on.
    Resume,
    /// It is made anew from a snapshot.
    Restore,
    /// It is ended.
    Stop,
    /// It could not be made, or was lost.
    Fail {
        /// Why.
        reason: String,
    },
}

/// Something that cannot happen to a machine in its state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a machine that is {state} cannot {attempt}")]
pub struct IllegalMove {
    /// The state's name.
    pub state: &'static str,
    /// What was to happen.
    pub attempt: &'static str,
}

impl State {
    /// Its name, as it is kept and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Executing(_) => "executing",
            Self::Snapshotting(_) => "snapshotting",
            Self::Paused(_) => "paused",
            Self::Stopped => "stopped",
            Self::Failed { .. } => "failed",
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// When the event cannot happen in this state, which then stays.
    pub fn apply(&self, event: &Event) -> Result<Self, IllegalMove> {
        let next = match (self, event) {
            (Self::Stopped, _) => None,
            (_, Event::Stop) => Some(Self::Stopped),
            (Self::Failed { .. }, Event::Restore) => Some(Self::Booting),
            (Self::Failed { .. }, _) => None,
            (_, Event::Fail { reason }) => Some(Self::Failed { reason: reason.clone() }),
            (Self::Created, Event::Boot | Event::Restore) => Some(Self::Booting),
            (Self::Booting, Event::Booted) => Some(Self::Ready),
            (Self::Ready | Self::Executing(_), Event::Begin) => {
                self.executions().checked_add(1).map(Self::executing)
            }
            (Self::Executing(count), Event::End) => Some(Self::executing(count.get() - 1)),
            (Self::Snapshotting(count), Event::End) => count.checked_sub(1).map(Self::Snapshotting),
            (Self::Paused(count), Event::End) => count.checked_sub(1).map(Self::Paused),
            (Self::Ready | Self::Executing(_), Event::Snapshot) => {
                Some(Self::Snapshotting(self.executions()))
            }
            (Self::Snapshotting(count), Event::Kept) => Some(Self::executing(*count)),
            (Self::Ready | Self::Executing(_), Event::Pause) => Some(Self::Paused(self.executions())),
            (Self::Paused(count), Event::Resume) => Some(Self::executing(*count)),
            (Self::Ready | Self::Executing(_) | Self::Paused(_), Event::Restore) => Some(Self::Booting),
            _ => None,
        };
        next.ok_or(IllegalMove { state: self.name(), attempt: event.attempt() })
    }

    /// How many executions are under way.
    pub fn executions(&self) -> u32 {
        match self {
            Self::Executing(count) => count.get(),
            Self::Snapshotting(count) | Self::Paused(count) => *count,
            Self::Created | Self::Booting | Self::Ready | Self::Stopped | Self::Failed { .. } => 0,
        }
    }

    fn executing(count: u32) -> Self {
        NonZeroU32::new(count).map_or(Self::Ready, Self::Executing)
    }
}

impl Event {
    /// What it would do, after "cannot".
    fn attempt(&self) -> &'static str {
        match self {
            Self::Boot => "be booted",
            Self::Booted => "become ready",
            Self::Begin => "execute anything",
            Self::End => "end an execution",
            Self::Snapshot => "be snapshotted",
            Self::Kept => "end a snapshot",
            Self::Pause => "be paused",
            Self::Resume => "be resumed",
            Self::Restore => "be restored",
            Self::Stop => "be stopped",
            Self::Fail { .. } => "fail",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } => write!(formatter, "failed: {reason}"),
            other => formatter.write_str(other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{Event, State};

    fn check(events: &[Event], expected: Result<&str, &str>) {
        let mut state = State::Created;
        let mut refused = None;
        for event in events {
            match state.apply(event) {
                Ok(next) => state = next,
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let found = refused.as_deref().map_or(Ok(state.name()), Err);
        assert_eq!(found, expected, "{events:?}");
    }

    #[test]
    fn a_machine_is_made_works_and_ends() {
        use Event::{Begin, Boot, Booted, End, Kept, Pause, Restore, Resume, Snapshot, Stop};
        check(&[Boot, Booted], Ok("ready"));
        check(&[Boot, Booted, Begin, Begin, End], Ok("executing"));
        check(&[Boot, Booted, Begin, Snapshot], Ok("snapshotting"));
        check(&[Boot, Booted, Begin, Snapshot, End, Kept], Ok("ready"));
        check(&[Boot, Booted, Begin, Pause, Resume], Ok("executing"));
        check(&[Boot, Booted, Begin, Restore, Booted], Ok("ready"));
        check(&[Restore, Booted, Stop], Ok("stopped"));
        check(&[Begin], Err("a machine that is created cannot execute anything"));
        check(&[Boot, Snapshot], Err("a machine that is booting cannot be snapshotted"));
        check(
            &[Boot, Booted, Snapshot, Begin],
            Err("a machine that is snapshotting cannot execute anything"),
        );
        check(&[Boot, Booted, End], Err("a machine that is ready cannot end an execution"));
        check(&[Stop, Boot], Err("a machine that is stopped cannot be booted"));
        check(&[Stop, Stop], Err("a machine that is stopped cannot be stopped"));
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Boot),
            4 => Just(Event::Booted),
            6 => Just(Event::Begin),
            6 => Just(Event::End),
            2 => Just(Event::Snapshot),
            2 => Just(Event::Kept),
            2 => Just(Event::Pause),
            2 => Just(Event::Resume),
            1 => Just(Event::Restore),
            1 => Just(Event::Stop),
            1 => "[a-z]{3}".prop_map(|reason| Event::Fail { reason }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_count_is_right_and_stopped_is_the_last(
            events in proptest::collection::vec(event(), 0..80),
        ) {
            let (mut state, mut count) = (State::Created, 0_u32);
            for event in &events {
                let Ok(next) = state.apply(event) else {
                    let is_stop_of_stopped = *event != Event::Stop || state == State::Stopped;
                    prop_assert!(is_stop_of_stopped);
                    continue;
                };
                prop_assert!(state != State::Stopped);
                match event {
                    Event::Begin => count += 1,
                    Event::End => count -= 1,
                    Event::Boot | Event::Restore | Event::Stop | Event::Fail { .. } => count = 0,
                    _ => {}
                }
                prop_assert_eq!(next.executions(), count);
                // Only a machine that has been made executes, and it may only begin to when it is not held still.
                prop_assert!(*event != Event::Begin || matches!(state, State::Ready | State::Executing(_)));
                prop_assert!(*event != Event::Booted || state == State::Booting);
                state = next;
            }
        }
    }
}
