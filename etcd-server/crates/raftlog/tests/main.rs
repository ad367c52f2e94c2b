//! Tests of the raft log at its public face: model, damage, recycling, refusals, power cuts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "helpers of tests: a failure is a failed test, figures are printed, sizes are small"
)]

mod crash_matrix;
mod model;
mod power_cut;
mod recycled;
mod refusals;
mod rules;
mod support;
