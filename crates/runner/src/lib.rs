//! Takes a leased job, runs its steps in a machine and emits events
