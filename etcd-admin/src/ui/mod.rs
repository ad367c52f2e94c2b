//! Output for users: tables and JSON, progress, prompts, errors with their exit status.

pub(crate) mod confirm;
pub(crate) mod error;
pub(crate) mod output;
pub(crate) mod passphrase;
pub(crate) mod progress;
