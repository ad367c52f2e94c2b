//! This member as the plain HTTP endpoints see it.

use crate::listen::encryption::Encryption;
use crate::metrics::member_page::MemberPage;
use crate::metrics::own_metrics;
use crate::metrics::state_metrics::StateSample;
use crate::metrics::tls_metrics;
use api::Server;
use gateway::{Alarm, HealthRecord, Member, MemberFuture, Versions};
use membership::Version;
use otlp::Tracer;
use proto::etcdserverpb::AlarmType;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use telemetry::metrics::{Check, Metrics, Page, Probe};

/// The storage version of data that says nothing of it.
const STORAGE_VERSION_MIN: Version = Version::new(3, 5, 0);

/// The member behind every port.
#[derive(Debug)]
pub(crate) struct LocalMember {
    server: Server,
    version: &'static str,
    metrics: Arc<Metrics>,
    page: Page,
    encryption: Encryption,
    tracer: Option<Tracer>,
    state: MemberPage,
}

impl LocalMember {
    pub(crate) fn new(
        server: Server,
        version: &'static str,
        metrics: Arc<Metrics>,
        encryption: Encryption,
        tracer: Option<Tracer>,
        state: MemberPage,
    ) -> Self {
        let page = Page::new(Arc::clone(&metrics), Box::new(StateSample::new(server.clone())));
        Self { server, version, metrics, page, encryption, tracer, state }
    }
}

impl Member for LocalMember {
    fn alarms(&self) -> Vec<Alarm> {
        let alarms = self.server.replica().published().alarms().of(AlarmType::None.into());
        alarms.into_iter().map(|alarm| Alarm { member_id: alarm.member_id, alarm: alarm.alarm }).collect()
    }

    fn has_leader(&self) -> bool {
        self.server.replica().published().raft_status().leader != 0
    }

    fn is_learner(&self) -> bool {
        let replica = self.server.replica();
        replica.published().members().member(replica.member_id()).is_some_and(|member| member.is_learner)
    }

    fn auth_enabled(&self) -> bool {
        self.server.replica().published().auth().enabled()
    }

    fn read(&self, serializable: bool) -> MemberFuture<'_, Result<(), String>> {
        Box::pin(async move { self.server.probe(serializable).await.map_err(|status| status.message().to_owned()) })
    }

    fn versions(&self) -> Versions {
        let cluster = self.server.replica().published().members().cluster_version().map(|version| version.to_string());
        // etcd's data has the form of 3.5 until the cluster's version is known to be newer.
        let storage = self
            .server
            .replica()
            .published()
            .members()
            .cluster_version()
            .filter(|version| *version >= STORAGE_VERSION_MIN);
        let storage = Some(storage.unwrap_or(STORAGE_VERSION_MIN).to_string());
        Versions { server: self.version.to_owned(), storage, cluster }
    }

    fn metrics_text(&self) -> MemberFuture<'_, String> {
        Box::pin(async {
            self.page.text()
                + &tls_metrics::text(&self.encryption)
                + &own_metrics::text(&self.server, self.tracer.as_ref())
                + &self.state.metrics()
        })
    }

    fn debug_vars(&self) -> Map<String, Value> {
        let replica = self.server.replica();
        let raft_status = replica.published().raft_status();
        let status = json!({
            "id": replica.member_id().to_string(),
            "term": raft_status.term,
            "commit": raft_status.commit,
            "lead": types::MemberId(raft_status.leader).to_string(),
            "raftState": format!("State{:?}", raft_status.role),
            "applied": raft_status.applied,
        });
        Map::from_iter([("cmdline".to_owned(), json!(["etcd-server"])), ("raft.status".to_owned(), status)])
    }

    fn member_page(&self) -> Value {
        self.state.json()
    }

    fn record_health(&self, record: HealthRecord) {
        let health = &self.metrics.server.health;
        match record {
            HealthRecord::Health { success: true } => health.success.inc(),
            HealthRecord::Health { success: false } => health.failures.inc(),
            HealthRecord::Check { endpoint, name, success } => {
                let probe = if endpoint == "livez" { Probe::Live } else { Probe::Ready };
                if let Some(check) = Check::ALL.into_iter().find(|check| check.label() == name) {
                    health.checked(probe, check, success);
                }
            }
        }
    }
}
