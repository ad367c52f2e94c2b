//! The downgrade job of a cluster.

use crate::cluster::{Cluster, ClusterError};
use proto::etcdserverpb::{DowngradeRequest, DowngradeResponse, StatusRequest, downgrade_request::DowngradeAction};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::time::{Duration, Instant};

impl Cluster {
    /// Sends a downgrade request to member `via`.
    ///
    /// # Errors
    /// The member's refusal, or no connection.
    pub async fn downgrade(
        &self,
        via: usize,
        action: DowngradeAction,
        version: &str,
    ) -> Result<DowngradeResponse, ClusterError> {
        let mut maintenance = MaintenanceClient::new(self.channel(via).await?);
        let request = DowngradeRequest { action: action.into(), version: version.into() };
        Ok(maintenance.downgrade(request).await?.into_inner())
    }

    /// Waits until every member reports this storage version, and a downgrade to `target`; the
    /// empty text: no downgrade.
    ///
    /// # Errors
    /// The last status of a member that does not within `limit`.
    pub async fn wait_for_versions(&self, storage: &str, target: &str, limit: Duration) -> Result<(), ClusterError> {
        let begun = Instant::now();
        for member in 0..self.members.len() {
            let mut maintenance = MaintenanceClient::new(self.channel(member).await?);
            loop {
                let status = maintenance.status(StatusRequest {}).await?.into_inner();
                let downgrade = status.downgrade_info.clone().unwrap_or_default();
                if status.storage_version == storage
                    && downgrade.target_version == target
                    && downgrade.enabled != target.is_empty()
                {
                    break;
                }
                if begun.elapsed() > limit {
                    let text = format!("member {member} reports {status:?}");
                    return Err(ClusterError::Call(tonic::Status::deadline_exceeded(text)));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}
