//! Stage three: everything checked and typed. Each part of the daemon takes the piece it needs.
//!
//! The order of the checks is etcd's (server/embed/config.go), so that of several mistakes the same
//! one is reported.

mod auth;
mod cluster;
mod compaction;
mod listen;
mod log;
mod member;
mod timing;
mod tls;

pub use auth::{AuthSettings, JwtSettings, TokenKind};
pub use cluster::{Bootstrap, ClusterSettings, ClusterState, DiscoverySettings, Secret};
pub use compaction::{AutoCompaction, CompactionSettings};
pub use listen::{HttpSettings, KeepAliveSettings, ListenSettings, Names, SocketSettings};
pub use log::{LogFormat, LogLevel, LogOutput, LogOutputs, LogSettings, Rotation};
pub use member::{LimitSettings, MemberSettings, Quota, SnapshotSettings};
pub use timing::{
    CorruptCheckSettings, ElectionSettings, MetricsDetail, MetricsSettings, PeerSettings, TracingSettings,
    WarningSettings, WatchSettings,
};
pub use tls::{ListenerTls, PeerTls, TlsSettings, TlsVersion};

use std::time::Duration;

use crate::error::ConfigError;
use crate::feature_gate::{FeatureGates, Gate};
use crate::initial_cluster::InitialCluster;
use crate::load::Environment;
use crate::merged::Merged;
use crate::warning::Warning;

/// All settings of the daemon.
#[derive(Clone, Debug)]
pub struct Settings {
    pub member: MemberSettings,
    pub cluster: ClusterSettings,
    pub listen: ListenSettings,
    pub http: HttpSettings,
    pub limits: LimitSettings,
    pub quota: Quota,
    pub snapshot: SnapshotSettings,
    pub auto_compaction: AutoCompaction,
    pub compaction: CompactionSettings,
    pub auth: AuthSettings,
    pub log: LogSettings,
    pub tls: TlsSettings,
    pub election: ElectionSettings,
    pub peer: PeerSettings,
    pub corrupt_check: CorruptCheckSettings,
    pub features: FeatureGates,
    pub watch: WatchSettings,
    pub metrics: MetricsSettings,
    pub warning: WarningSettings,
    /// `None` when requests are not traced.
    pub tracing: Option<TracingSettings>,
    /// Time between two looks at whether a downgrade has finished; `None` is never.
    pub downgrade_check: Option<Duration>,
}

impl Settings {
    /// Checks everything. Remarks go to `warnings`; the first mistake ends it.
    pub(crate) fn from_merged(
        merged: &Merged,
        machine: &dyn Environment,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, ConfigError> {
        let log = LogSettings::from_merged(merged, warnings)?;
        let listen = ListenSettings::from_merged(merged, warnings)?;
        let discovery = DiscoverySettings::from_merged(merged)?;
        let election = ElectionSettings::from_merged(merged)?;
        listen::check_advertised_when_listening(merged)?;
        let auto_compaction = AutoCompaction::from_merged(merged)?;
        let tracing = TracingSettings::from_merged(merged)?;
        let features = features(merged, warnings)?;
        let corrupt_check = CorruptCheckSettings::from_merged(merged, &features)?;
        let member = MemberSettings::from_merged(merged, warnings)?;
        let tls = TlsSettings::from_merged(merged, &listen, warnings)?;
        listen.check_apart()?;
        let (listen, cluster) = ClusterSettings::from_merged(merged, listen, discovery, machine)?;
        let auth = AuthSettings::from_merged(merged, warnings)?;
        let settings = Self {
            http: HttpSettings::from_merged(merged),
            limits: LimitSettings::from_merged(merged, warnings),
            quota: Quota::from_merged(merged, warnings),
            snapshot: SnapshotSettings::from_merged(merged),
            compaction: CompactionSettings::from_merged(merged),
            peer: PeerSettings::from_merged(merged, warnings),
            watch: WatchSettings::from_merged(merged, warnings),
            metrics: MetricsSettings::from_merged(merged, warnings),
            warning: WarningSettings::from_merged(merged),
            tracing,
            downgrade_check: positive(merged.nanos("downgrade-check-time")),
            member,
            cluster,
            listen,
            auto_compaction,
            auth,
            log,
            tls,
            election,
            corrupt_check,
            features,
        };
        Ok(settings)
    }

    /// Makes etcd's checks before it starts a *new* cluster, which it leaves out on a restart: this
    /// member must be in `--initial-cluster` with the URLs it advertises. `resolve` turns a host
    /// name into an address, if it can.
    ///
    /// # Errors
    /// The first of etcd's complaints, in its words.
    pub fn check_bootstrap(&self, resolve: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        match &self.cluster.bootstrap {
            Bootstrap::InitialCluster(cluster) => self.check_members(cluster, resolve),
            Bootstrap::Discovery(_) | Bootstrap::DnsSrv { .. } => Ok(()),
        }
    }

    /// The same for members that were found by discovery.
    ///
    /// # Errors
    /// As [`Settings::check_bootstrap`].
    pub fn check_members(
        &self,
        members: &InitialCluster,
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        members.check(&self.member.name, &self.listen.advertise_peer, resolve)
    }

    /// Returns the name that the certificates of other members must be valid for, where it differs
    /// from the host that is connected to: members found by SRV records whose CA is one of the
    /// system's are known by their domain, as in etcd.
    pub fn name_of_members(&self) -> Option<&str> {
        match &self.cluster.bootstrap {
            Bootstrap::DnsSrv { domain, .. } if self.tls.peer.listener.trusted_ca_file.is_none() => Some(domain),
            Bootstrap::DnsSrv { .. } | Bootstrap::InitialCluster(_) | Bootstrap::Discovery(_) => None,
        }
    }
}

fn features(merged: &Merged, warnings: &mut Vec<Warning>) -> Result<FeatureGates, ConfigError> {
    const SETTING: &str = "--feature-gates";
    let gates = merged.gates("feature-gates").clone();
    if gates.is_on(Gate::LeaseCheckpointPersist) && !gates.is_on(Gate::LeaseCheckpoint) {
        return Err(ConfigError::CheckpointPersistAlone);
    }
    if gates.is_on(Gate::LeaseCheckpoint) && !gates.is_on(Gate::LeaseCheckpointPersist) {
        warnings.push(Warning::new(
            SETTING,
            "LeaseCheckpoint without LeaseCheckpointPersist keeps checkpoints only from cluster version 3.6 on",
        ));
    }
    if gates.is_given(Gate::TxnModeWriteWithSharedBuffer) {
        warnings.push(Warning::new(
            SETTING,
            "TxnModeWriteWithSharedBuffer has no effect here: transactions need no buffer of their own",
        ));
    }
    if gates.is_given(Gate::FastLeaseKeepAlive) {
        warnings.push(Warning::new(
            SETTING,
            "FastLeaseKeepAlive has no effect here: renewals that wait together share one read barrier, on or off",
        ));
    }
    if gates.is_given(Gate::StopGrpcServiceOnDefrag) {
        warnings.push(Warning::new(
            SETTING,
            "StopGRPCServiceOnDefrag has no effect here: defragmentation never stops the service",
        ));
    }
    Ok(gates)
}

/// A duration above zero; `None` stands for off.
fn positive(nanos: i64) -> Option<Duration> {
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// A duration, with everything below zero as zero.
fn duration(nanos: i64) -> Duration {
    positive(nanos).unwrap_or_default()
}
