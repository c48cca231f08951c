//! The binary `firedog`, as people and programs call it.

mod bad_input;
mod command;
mod edges;
mod ending;
mod history;
mod secrets;
mod usage;
