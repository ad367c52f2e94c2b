//! Notifications from apply beside responses, passed to their receivers.

use api::Server;
use replica::ApplyEvent;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Follows the notices until the pipeline stops.
pub(crate) async fn follow(
    mut apply_events: mpsc::UnboundedReceiver<ApplyEvent>,
    server: Server,
    removed: Arc<Notify>,
) {
    while let Some(notice) = apply_events.recv().await {
        match notice {
            ApplyEvent::Removed => removed.notify_one(),
            ApplyEvent::NoSpace => {
                // Raising the alarm waits for apply, which must not wait for this task.
                let server = server.clone();
                tokio::spawn(async move { server.raise_no_space().await });
            }
        }
    }
}
