//! Publication of this member's name and client URLs to the cluster.

use auth::Identity;
use config::Settings;
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::{self, ClusterMemberAttrSetRequest};
use replica::Replica;
use std::sync::Arc;
use std::time::Duration;

/// Interval between two proposals of the missing attributes.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between two checks of the published attributes.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The name and client URLs of this member.
pub(crate) struct Attributes {
    name: String,
    client_urls: Vec<String>,
}

impl Attributes {
    pub(crate) fn of(settings: &Settings) -> Self {
        let client_urls = settings.listen.advertise_client.iter().map(|url| url.as_str().to_owned()).collect();
        Self { name: settings.member.name.clone(), client_urls }
    }
}

/// Proposes until it is applied.
pub(crate) async fn run(replica: Arc<Replica>, attributes: Attributes) {
    loop {
        let published = replica.published();
        if published.raft_status().leader == 0 {
            tokio::time::sleep(LOOK_INTERVAL).await;
            continue;
        }
        let members = published.members();
        let own = members.member(replica.member_id());
        let is_named = own.is_some_and(|own| own.name == attributes.name && own.client_urls == attributes.client_urls);
        if is_named {
            return;
        }
        if own.is_none() {
            // It joins, and has not come to its own addition yet.
            tokio::time::sleep(LOOK_INTERVAL).await;
            continue;
        }
        if let Err(error) = replica.propose(attributes_request(&replica, &attributes), &Identity::default()).await {
            tracing::warn!(%error, "failed to publish local member to cluster through raft");
            tokio::time::sleep(RETRY_INTERVAL).await;
        } else {
            tracing::info!(
                local_member_id = %replica.member_id(),
                local_member_attributes = %format_args!("{{Name:{} ClientURLs:[{}]}}", attributes.name, attributes.client_urls.join(" ")),
                cluster_id = %replica.cluster_id(),
                publish_timeout = ?replica.request_timeout(),
                "published local member to cluster through raft"
            );
        }
    }
}

fn attributes_request(replica: &Replica, attributes: &Attributes) -> InternalRaftRequest {
    let member_attributes =
        membershippb::Attributes { name: attributes.name.clone(), client_urls: attributes.client_urls.clone() };
    let set =
        ClusterMemberAttrSetRequest { member_id: replica.member_id().0, member_attributes: Some(member_attributes) };
    InternalRaftRequest { cluster_member_attr_set: Some(set), ..InternalRaftRequest::default() }
}
