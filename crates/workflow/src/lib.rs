//! The workflow language: YAML and expressions to a checked model and a plan; pure

pub mod expr;
