//! One suite of what every machine must do, run against each backend that this host has.

mod conformance;
mod fixture;
mod input;
mod isolation;
mod leftovers;
mod network;
mod template;
mod tools;
