//! Raft snapshots between members. An interrupted transfer resumes where it stopped, for a while:
//! its sender keeps the state at that moment, and its receiver the received part.

mod checksum;
mod incoming;
mod outgoing;

pub(crate) use incoming::{Arrived, Incomings};
pub(crate) use outgoing::Outgoings;

use std::time::Duration;

/// Time for which both sides keep an interrupted transfer.
const RESUME_WINDOW: Duration = Duration::from_secs(60);

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
