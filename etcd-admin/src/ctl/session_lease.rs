//! A lease that lives as long as this process does.

use super::trouble::Trouble;
use crate::client::{CallError, Client, Repeat, Session};
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Kept alive in the background until it is dropped or lost.
pub(super) struct SessionLease {
    pub(super) id: i64,
    lost: oneshot::Receiver<()>,
    session: Session,
}

impl SessionLease {
    pub(super) async fn grant(client: &Client, ttl: i64) -> Result<Self, Trouble> {
        let request = LeaseGrantRequest { ttl, id: 0 };
        let granted = client.call(Repeat::Unsafe, async |session| session.lease().lease_grant(request).await).await?;
        let session = client.session().await?;
        let (gone, lost) = oneshot::channel();
        let (id, keeper) = (granted.id, session.clone());
        let pause = Duration::from_millis(granted.ttl.max(1).cast_unsigned() * 1000 / 3);
        tokio::spawn(async move {
            keep(&keeper, id, pause).await;
            // Its end is the message.
            drop(gone);
        });
        Ok(Self { id, lost, session })
    }

    /// Waits until the lease is lost.
    pub(super) async fn lost(&mut self) {
        // Ends by a message or because the keeper has ended: both mean the same.
        drop((&mut self.lost).await);
    }

    pub(super) async fn revoke(&self) -> Result<(), CallError> {
        let endpoint = self.session.endpoint().to_owned();
        let revoked = self.session.lease().lease_revoke(LeaseRevokeRequest { id: self.id }).await;
        revoked.map(drop).map_err(|status| CallError::Status { endpoint, status })
    }
}

/// Returns when the lease is gone or the connection broke for good.
async fn keep(session: &Session, id: i64, pause: Duration) {
    let (requests, queue) = mpsc::channel(1);
    if requests.send(LeaseKeepAliveRequest { id }).await.is_err() {
        return;
    }
    let Ok(answers) = session.lease().lease_keep_alive(ReceiverStream::new(queue)).await else { return };
    let mut answers = answers.into_inner();
    while let Ok(Some(answer)) = answers.message().await {
        if answer.ttl <= 0 {
            return;
        }
        tokio::time::sleep(pause).await;
        if requests.send(LeaseKeepAliveRequest { id }).await.is_err() {
            return;
        }
    }
}
