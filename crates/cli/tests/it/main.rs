//! The binary `firedog`, as people and programs call it.

mod bad_input;
mod check;
mod command;
mod edges;
mod editor;
mod ending;
mod fork;
mod history;
mod image;
mod language_server;
mod machines;
mod much_output;
mod network;
mod plan;
mod rewind;
mod secrets;
mod snapshots;
mod tools;
mod usage;
mod watch;
