//! The page /debug/member of a member of ours, and the connections that a real etcd shows on its
//! metrics page.

use crate::client::Client;
use crate::http::PageError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const PATH: &str = "/debug/member";

/// The state of a member by its own account. Identifiers are hexadecimal text.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MemberPage {
    pub member_id: String,
    pub cluster_id: String,
    pub name: String,
    pub etcd_version: String,
    pub package_version: String,
    /// For example `3.5.0`; `None` before the first leader has set one.
    pub cluster_version: Option<String>,
    /// The version that the cluster keeps until the hold is released; `None` without a hold.
    pub held_version: Option<String>,
    /// RFC 3339.
    pub time: String,
    pub role: String,
    pub term: u64,
    pub leader: Option<String>,
    pub last_leader_change: Option<LeaderChange>,
    pub applied_index: u64,
    pub last_index: u64,
    pub last_term: u64,
    pub revision: i64,
    pub database_bytes: u64,
    pub quota_bytes: i64,
    pub disk: Option<Disk>,
    pub alarms: Vec<PageAlarm>,
    pub certificates: Vec<PageCertificate>,
    pub members: Vec<PageMember>,
    pub peers: Vec<PagePeer>,
}

/// A change of the leader, as one member saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaderChange {
    /// RFC 3339: when the new leader became known.
    pub time: String,
    /// The leader before; `None` if none was known.
    pub from: Option<String>,
    pub to: String,
    pub term: u64,
    /// `start`, `transfer`, `process_ended`, `election_timeout` or `other_member`.
    pub cause: String,
    pub leaderless_milliseconds: u64,
}

/// The file system of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub path: String,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Disk {
    /// Returns the free share in percent.
    pub fn free_percent(&self) -> u64 {
        self.free_bytes.saturating_mul(100).checked_div(self.total_bytes).unwrap_or(0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PageAlarm {
    pub member_id: String,
    pub alarm: String,
}

/// A certificate or CRL that a member uses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PageCertificate {
    pub setting: String,
    pub subject: String,
    pub days_left: i64,
}

/// A member as another one lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PageMember {
    pub id: String,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

/// The connections of a member to another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PagePeer {
    pub id: String,
    pub streams_in: u64,
    pub streams_out: u64,
    pub clock_drift_milliseconds: Option<i64>,
    pub problem: Option<PageProblem>,
}

/// The reason for which a stream is not open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PageProblem {
    pub reason: String,
    pub error: String,
    pub remedy: String,
}

/// The account that a member gives of itself beside the Status RPC.
#[derive(Clone, Debug)]
pub enum Account {
    /// A member of ours.
    Own(Box<MemberPage>),
    /// A real etcd: whether it reaches each of the other members, by id.
    Etcd(BTreeMap<String, bool>),
    /// Neither page could be read.
    None(PageError),
}

impl Client {
    /// Reads the account of the member at the first endpoint.
    pub async fn account(&self) -> Account {
        match self.page(PATH).await {
            Ok(page) => match serde_json::from_str(&page) {
                Ok(page) => Account::Own(Box::new(page)),
                Err(error) => Account::None(PageError::Other(format!("{PATH}: {error}"))),
            },
            Err(PageError::Status(404)) => match self.page("/metrics").await {
                Ok(page) => Account::Etcd(active_peers(&page)),
                Err(error) => Account::None(error),
            },
            Err(error) => Account::None(error),
        }
    }
}

/// Returns the peers of `etcd_network_active_peers` and `etcd_network_known_peers`, and whether
/// each is active.
fn active_peers(metrics: &str) -> BTreeMap<String, bool> {
    let mut peers = BTreeMap::new();
    for line in metrics.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let label = |name: &str| {
            series.split_once(name).and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| id.to_owned())
        };
        let Some(remote) = label("Remote=\"") else { continue };
        // The member itself is a known peer, too, and one that was removed stays with the value 0.
        if label("Local=\"").as_ref() == Some(&remote)
            || (series.starts_with("etcd_network_known_peers{") && value == "0")
        {
            continue;
        }
        if series.starts_with("etcd_network_active_peers{") {
            peers.insert(remote, value == "1");
        } else if series.starts_with("etcd_network_known_peers{") {
            peers.entry(remote).or_insert(false);
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_connections_of_a_real_etcd() {
        let page = "etcd_network_active_peers{Local=\"a\",Remote=\"b\"} 1\netcd_network_active_peers{Local=\"a\",Remote=\"c\"} 0\n\
                    etcd_network_known_peers{Local=\"a\",Remote=\"b\"} 1\netcd_network_known_peers{Local=\"a\",Remote=\"d\"} 1\n\
                    etcd_network_known_peers{Local=\"a\",Remote=\"a\"} 1\netcd_network_known_peers{Local=\"a\",Remote=\"e\"} 0\n\
                    etcd_server_id{server_id=\"a\"} 1\n";
        let peers = active_peers(page);
        assert_eq!(peers, [("b", true), ("c", false), ("d", false)].map(|(id, active)| (id.to_owned(), active)).into());
    }

    #[test]
    fn reads_a_page_of_an_older_or_newer_member() {
        let page: MemberPage =
            serde_json::from_str("{\"role\":\"leader\",\"unknown\":[1],\"peers\":[{\"id\":\"b\",\"streams_in\":2}]}")
                .unwrap();
        assert_eq!((page.role.as_str(), page.peers[0].streams_in, page.disk), ("leader", 2, None));
    }
}
