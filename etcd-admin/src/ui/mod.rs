//! What a user sees: tables and JSON, progress, questions, errors with their exit status.

pub(crate) mod confirm;
pub(crate) mod error;
pub(crate) mod output;
pub(crate) mod passphrase;
pub(crate) mod progress;
