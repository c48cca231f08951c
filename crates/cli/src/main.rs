//! The binary `firedog`.

fn main() {}
