//! Notifications from apply beside responses, passed to their receivers.

use api::Server;
use replica::Notice;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Follows the notices until the pipeline stops.
pub(crate) async fn follow(mut notices: mpsc::UnboundedReceiver<Notice>, server: Server, removed: Arc<Notify>) {
    while let Some(notice) = notices.recv().await {
        match notice {
            Notice::Removed => removed.notify_one(),
            Notice::NoSpace => {
                // Raising the alarm waits for apply, which must not wait for this task.
                let server = server.clone();
                tokio::spawn(async move { server.raise_no_space().await });
            }
        }
    }
}
