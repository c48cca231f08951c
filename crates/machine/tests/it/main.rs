//! One suite of what every machine must do, run against each backend that this host has.

mod conformance;
mod fake;
mod firecracker;
mod firecracker_api;
mod firecracker_real;
mod firecracker_table;
mod fixture;
mod input;
mod isolation;
mod leftovers;
mod network;
#[path = "../../src/bin/fake_firecracker/table.rs"]
mod table;
mod template;
mod tools;
mod vm;
mod vm_crash;
