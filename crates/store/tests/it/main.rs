//! What the store promises, on real files, real processes and real ends of them.

#![expect(clippy::unwrap_used, reason = "in a test a failure is to be seen at once")]

mod checkpoints;
mod child;
mod crash;
mod events;
mod full;
mod machines;
mod open;
mod queue;
mod sharing;
mod world;
