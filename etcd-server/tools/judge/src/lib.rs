//! The comparison of apply with the model: of the outcome of an entry, and of the state.
//!
//! Here are no rules: outcomes are translated into the terms of the model, and compared for
//! equality.
#![forbid(unsafe_code)]

mod outcome;
mod summary;

pub use outcome::{configuration, verdict};
pub use summary::{Summary, summary_of, summary_of_model};
