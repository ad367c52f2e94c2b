//! Explanations of errors, exit statuses, alarms, findings and log messages.

mod args;
mod catalog;
mod lookup;
mod topics;

pub(crate) use args::ExplainArgs;
pub(crate) use lookup::explain;
