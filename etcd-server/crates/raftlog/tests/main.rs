//! Tests of the raft log at its public face: model, damage, recycling, refusals, power cuts.

mod crash_matrix;
mod model;
mod power_cut;
mod recycled;
mod refusals;
mod support;
