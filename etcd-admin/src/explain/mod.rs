//! Explanations of errors, exit statuses, alarms, findings and log messages.

mod catalog;
mod lookup;
mod topics;
mod words;

pub(crate) use lookup::explain;
pub(crate) use words::ExplainWords;
