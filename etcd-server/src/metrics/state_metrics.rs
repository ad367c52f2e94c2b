//! The member's state for the metrics page, taken on request.

use api::Server;
use consensus::Role;
use proto::etcdserverpb::AlarmType as WireAlarm;
use telemetry::metrics::{AlarmType, Sample, Source};
use types::MemberId;

/// The published state, read from memory.
#[derive(Debug)]
pub(crate) struct StateSample {
    server: Server,
}

impl StateSample {
    pub(crate) fn new(server: Server) -> Self {
        Self { server }
    }

    fn alarms(&self) -> Vec<(MemberId, AlarmType)> {
        let raised = self.server.replica().published().alarms().of(WireAlarm::None.into());
        let named = raised.into_iter().filter_map(|alarm| {
            let kind = match WireAlarm::try_from(alarm.alarm) {
                Ok(WireAlarm::Nospace) => AlarmType::NoSpace,
                Ok(WireAlarm::Corrupt) => AlarmType::Corrupt,
                Ok(WireAlarm::None) | Err(_) => return None,
            };
            Some((MemberId(alarm.member_id), kind))
        });
        named.collect()
    }
}

impl Source for StateSample {
    fn sample(&self) -> Sample {
        let replica = self.server.replica();
        let published = replica.published();
        let (raft_status, point, members) = (published.raft_status(), published.read_point(), published.members());
        let stored_bytes = published.stored_bytes();
        let watched = replica.watches().figures();
        Sample {
            has_leader: raft_status.leader != 0,
            is_leader: raft_status.role == Role::Leader,
            is_learner: members.member(replica.member_id()).is_some_and(|member| member.is_learner),
            committed_index: raft_status.commit,
            applied_index: raft_status.applied,
            proposals_pending: replica.proposals_pending() as u64,
            quota_backend_bytes: self.server.quota_backend_bytes(),
            cluster_version: members.cluster_version().map(|version| format!("{}.{}", version.major, version.minor)),
            // The size in Status, which the quota limits.
            database_bytes: stored_bytes,
            database_bytes_in_use: stored_bytes,
            current_revision: point.current,
            compact_revision: point.compacted,
            live_keys: point.live_keys(),
            auth_revision: published.auth().auth_revision(),
            alarms: self.alarms(),
            watch_streams: watched.streams as u64,
            watchers: watched.watchers as u64,
            slow_watchers: watched.unsynced_watchers as u64,
            pending_events: watched.pending_events as u64,
            open_read_transactions: replica.long_reads().count() as u64,
            installing_snapshot: replica.installations().count() > 0,
        }
    }
}
