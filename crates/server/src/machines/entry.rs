//! One machine: its state, and the machine itself while there is one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use machine::lifecycle::{Event, State};
use machine::{Machine, Size};

use super::error::ApiError;
use super::model::{Description, time};
use super::record::Recorder;

/// A machine that a caller knows by its id.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) size: Size,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    life: Mutex<Life>,
    /// Held while the machine is kept or restored: one of them at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    recorder: Arc<Recorder>,
}

#[derive(Debug)]
struct Life {
    state: State,
    machine: Option<Arc<Machine>>,
    /// Counts the machines that this one has been: a restored machine is another.
    generation: u64,
}

/// A machine as it was at one moment; what is done with it later is done only if it is still the same.
#[derive(Debug, Clone)]
pub(crate) struct Generation(u64);

impl Entry {
    pub(crate) fn new(
        id: String,
        name: String,
        kind: String,
        size: Size,
        created: i64,
        recorder: Arc<Recorder>,
    ) -> Self {
        let life = Mutex::new(Life { state: State::Created, machine: None, generation: 0 });
        Self { id, name, kind, size, created, life, turn: tokio::sync::Mutex::new(()), recorder }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen to the machine.
    pub(crate) fn apply(&self, event: &Event) -> Result<(), ApiError> {
        self.move_on(&mut self.life(), event)
    }

    fn move_on(&self, life: &mut Life, event: &Event) -> Result<(), ApiError> {
        life.state = life.state.apply(event)?;
        self.recorder.note(&self.id, &life.state);
        Ok(())
    }

    /// The machine has been made. Whoever gets it back has to end it: it is not wanted any more.
    pub(crate) fn booted(&self, machine: Machine) -> Result<(Arc<Machine>, Generation), Arc<Machine>> {
        let machine = Arc::new(machine);
        let mut life = self.life();
        if self.move_on(&mut life, &Event::Booted).is_err() {
            return Err(machine);
        }
        life.machine = Some(Arc::clone(&machine));
        life.generation += 1;
        Ok((machine, Generation(life.generation)))
    }

    /// The machine itself, to do something that changes its state by `event`.
    pub(crate) fn take_part(&self, event: &Event) -> Result<(Arc<Machine>, Generation), ApiError> {
        let mut life = self.life();
        self.move_on(&mut life, event)?;
        let machine = life.machine.as_ref().expect("a machine that can execute has been made");
        Ok((Arc::clone(machine), Generation(life.generation)))
    }

    /// Lets something happen to the machine, if it is still the same.
    pub(crate) fn apply_to(&self, generation: &Generation, event: &Event) {
        let mut life = self.life();
        if life.generation == generation.0 {
            // A machine that has ended or been lost meanwhile does not care.
            let _ = self.move_on(&mut life, event);
        }
    }

    /// Takes the machine away because of `event`; what is returned has to be ended.
    pub(crate) fn take_away(&self, event: &Event) -> Result<Taken, ApiError> {
        let mut life = self.life();
        let was_booting = matches!(life.state, State::Created | State::Booting);
        self.move_on(&mut life, event)?;
        life.generation += 1;
        Ok(Taken { machine: life.machine.take(), was_booting })
    }

    /// The machine was lost: what is left of it, if it is still the same.
    pub(crate) fn lose(&self, generation: &Generation, reason: String) -> Option<Arc<Machine>> {
        let mut life = self.life();
        if life.generation != generation.0 || self.move_on(&mut life, &Event::Fail { reason }).is_err() {
            return None;
        }
        life.generation += 1;
        life.machine.take()
    }

    /// Begins an execution, which lasts as long as what is returned.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Use, ApiError> {
        let (machine, generation) = self.take_part(&Event::Begin)?;
        Ok(Use { entry: Arc::clone(self), machine, generation })
    }

    pub(crate) fn describe(&self) -> Description {
        let life = self.life();
        let error = match &life.state {
            State::Failed { reason } => Some(reason.clone()),
            _ => None,
        };
        Description {
            id: self.id.clone(),
            name: self.name.clone(),
            status: match life.state {
                State::Created | State::Booting => "starting",
                State::Ready | State::Executing(_) | State::Snapshotting(_) => "running",
                State::Paused(_) => "paused",
                State::Stopped => "stopped",
                State::Failed { .. } => "failed",
            },
            state: life.state.name(),
            error,
            vm_type: self.kind.clone(),
            vcpus: self.size.vcpus,
            memory_mb: self.size.memory_mib,
            created_at: time(self.created),
        }
    }
}

/// What was taken away from an entry.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) machine: Option<Arc<Machine>>,
    /// Whether somebody is still making the machine, who then ends it.
    pub(crate) was_booting: bool,
}

/// An execution under way in a machine.
#[derive(Debug)]
pub(crate) struct Use {
    entry: Arc<Entry>,
    machine: Arc<Machine>,
    generation: Generation,
}

impl Use {
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn id(&self) -> &str {
        &self.entry.id
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.entry.apply_to(&self.generation, &Event::End);
    }
}
