//! Runs as they go on: plans of real workflow texts, runners that report, and what follows.

mod calls;
mod cancel;
mod jobs;
mod legs;
mod random;
mod resume;
mod world;
