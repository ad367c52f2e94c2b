//! Whole states on their way between members. One whose sending breaks off is gone on with where it broke, for a while: its sender keeps
//! it as it was, and its receiver what it has of it.

mod checksum;
mod incoming;
mod outgoing;

pub(crate) use incoming::{Arrived, Incomings};
pub(crate) use outgoing::Outgoings;

use std::time::Duration;

/// For so long both sides keep what they need to go on.
const RESUME_WINDOW: Duration = Duration::from_secs(60);

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
