//! The page /debug/member and the metrics of the connections to other members. Both come from
//! memory alone, so they are served without a leader.

use crate::listen::encryption::Encryption;
use crate::metrics::own_metrics::{head, line};
use crate::version::ETCD_VERSION;
use api::Server;
use config::Settings;
use consensus::Role;
use membership::Member;
use nix::sys::statvfs::statvfs;
use peer::{Link, Transport};
use proto::etcdserverpb::AlarmType;
use replica::LeaderChange;
use serde_json::{Value, json};
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use types::MemberId;

const STREAMS: &str = "etcd_peer_streams";
const FAILURE: &str = "etcd_peer_stream_failure";

/// The state of this member and of its connections to the others.
#[derive(Debug)]
pub(crate) struct MemberPage {
    name: String,
    data_dir: PathBuf,
    server: Server,
    transport: Transport,
    encryption: Encryption,
}

impl MemberPage {
    pub(crate) fn new(settings: &Settings, server: Server, transport: Transport, encryption: Encryption) -> Self {
        let member = &settings.member;
        Self { name: member.name.clone(), data_dir: member.data_dir.clone(), server, transport, encryption }
    }

    /// Returns the page. Identifiers are hexadecimal text.
    pub(crate) fn json(&self) -> Value {
        let replica = self.server.replica();
        let published = replica.published();
        let (raft_status, members) = (published.raft_status(), published.members());
        let (last_index, last_term) = replica.last_entry();
        let alarms = published.alarms().of(AlarmType::None.into());
        let alarm_name = |alarm: i32| AlarmType::try_from(alarm).map_or("UNKNOWN", |alarm| alarm.as_str_name());
        let listed: Vec<Value> = members.members().map(member_json).collect();
        let peers: Vec<Value> =
            self.transport.links().iter().map(|link| peer_json(link, members.member(link.member))).collect();
        json!({
            "member_id": replica.member_id().to_string(),
            "cluster_id": replica.cluster_id().to_string(),
            "name": self.name,
            "etcd_version": ETCD_VERSION,
            "package_version": env!("CARGO_PKG_VERSION"),
            "cluster_version": members.cluster_version().map(|version| version.to_string()),
            "held_version": members.held_version().map(|version| version.to_string()),
            "time": rfc3339(OffsetDateTime::now_utc()),
            "role": role(raft_status.role),
            "term": raft_status.term,
            "leader": (raft_status.leader != 0).then(|| MemberId(raft_status.leader).to_string()),
            "last_leader_change": published.leader_changes().last().map(|change| leader_change_json(&change)),
            "commit_index": raft_status.commit,
            "applied_index": raft_status.applied,
            "last_index": last_index,
            "last_term": last_term,
            "revision": published.read_point().current,
            "database_bytes": published.database_bytes(),
            "quota_bytes": self.server.quota_backend_bytes(),
            "disk": self.disk(),
            "alarms": alarms.iter().map(|alarm| json!({
                "member_id": MemberId(alarm.member_id).to_string(), "alarm": alarm_name(alarm.alarm),
            })).collect::<Vec<_>>(),
            "certificates": self.certificates(),
            "members": listed,
            "peers": peers,
        })
    }

    /// Returns free and total bytes of the file system of the data directory.
    fn disk(&self) -> Value {
        let Ok(disk) = statvfs(&self.data_dir) else { return Value::Null };
        let unit = disk.fragment_size();
        json!({
            "path": self.data_dir.display().to_string(),
            "free_bytes": disk.blocks_available() * unit,
            "total_bytes": disk.blocks() * unit,
        })
    }

    fn certificates(&self) -> Vec<Value> {
        let now = OffsetDateTime::now_utc();
        let statuses = self.encryption.endpoints().flat_map(|endpoint| endpoint.status().certificates);
        let json = |certificate: tls::CertificateStatus| {
            json!({
                "setting": certificate.setting,
                "subject": certificate.subject,
                "not_after": rfc3339(certificate.not_after),
                "days_left": certificate.days_left(now),
            })
        };
        statuses.map(json).collect()
    }

    /// Returns the families of the metrics page, in the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let links = self.transport.links();
        let mut page = String::new();
        head(&mut page, STREAMS, "gauge", "Open streams to (out) and from (in) a member; 2 each when it is connected.");
        for link in &links {
            line(&mut page, STREAMS, &format!("direction=\"in\",peer=\"{}\"", link.member), link.streams_in);
            line(&mut page, STREAMS, &format!("direction=\"out\",peer=\"{}\"", link.member), link.streams_out);
        }
        head(
            &mut page,
            FAILURE,
            "gauge",
            "1 while the last attempt to open a stream from a member has failed for this reason.",
        );
        for link in &links {
            if let Some(problem) = &link.problem {
                line(&mut page, FAILURE, &format!("peer=\"{}\",reason=\"{}\"", link.member, problem.cause.label()), 1);
            }
        }
        page
    }
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.replace_nanosecond(u32::from(at.millisecond()) * 1_000_000).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Learner => "learner",
        Role::Candidate | Role::PreCandidate => "candidate",
    }
}

fn leader_change_json(change: &LeaderChange) -> Value {
    json!({
        "time": rfc3339(change.at.into()),
        "from": (change.from != 0).then(|| MemberId(change.from).to_string()),
        "to": MemberId(change.to).to_string(),
        "term": change.term,
        "cause": change.cause.label(),
        "leaderless_milliseconds": u64::try_from(change.leaderless.as_millis()).unwrap_or(u64::MAX),
    })
}

fn member_json(member: &Member) -> Value {
    json!({
        "id": member.id.to_string(),
        "name": member.name,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
        "is_learner": member.is_learner,
    })
}

fn peer_json(link: &Link, member: Option<&Member>) -> Value {
    let milliseconds = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "id": link.member.to_string(),
        "name": member.map(|member| member.name.as_str()).unwrap_or_default(),
        "peer_urls": link.urls,
        "streams_in": link.streams_in,
        "streams_out": link.streams_out,
        "is_etcd": link.is_etcd,
        "round_trip_milliseconds": link.round_trip.map(milliseconds),
        "clock_drift_milliseconds": link.clock_drift.map(|drift| i64::try_from(drift.whole_milliseconds()).unwrap_or(i64::MAX)),
        "problem": link.problem.as_ref().map(|problem| json!({
            "reason": problem.cause.label(), "error": problem.text, "remedy": problem.cause.remedy(),
        })),
    })
}
