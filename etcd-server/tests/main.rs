//! The daemon as a whole: acknowledged writes are there after any end, the state equals the
//! acknowledged history, and damage or misconfiguration is refused with its reason.
//!
//! More cycles than a test run takes: `KILL_CYCLES`, `POWER_CUT_CYCLES`, `FAULT_CYCLES`,
//! `BIT_FLIPS`. `E2E_SEED` repeats the choices of a run.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

mod bad_input;
mod daemon;
mod damage;
mod data_dir;
mod faults;
mod full_disk;
mod health_service;
mod history;
mod kill;
mod load;
mod memory;
mod power_cut;
mod refused_settings;
mod service_manager;
mod session;
mod setups;
mod wire;
