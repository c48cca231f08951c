//! Tests of the crate from outside, in one binary.

mod expression_oracle;
mod plan;
mod read;
mod write;
