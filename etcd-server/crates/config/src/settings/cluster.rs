//! Settings by which this member finds the others.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::ConfigError;
use crate::initial_cluster::InitialCluster;
use crate::load::Environment;
use crate::merged::Merged;
use crate::settings::{ListenSettings, duration};
use crate::table::row;
use crate::url::{Endpoint, Url};

/// The cluster this member starts or joins. All of it is ignored once the member has data, except
/// `strict_reconfig_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    pub bootstrap: Bootstrap,
    pub state: ClusterState,
    /// Goes into member and cluster ids.
    pub token: String,
    pub strict_reconfig_check: bool,
    pub force_new_cluster: bool,
}

/// The source of the list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    InitialCluster(InitialCluster),
    Discovery(Box<DiscoverySettings>),
    DnsSrv { domain: String, service_suffix: String },
}

/// The state of the cluster: new or existing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    New,
    Existing,
}

/// The discovery cluster and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// Not empty, and none is.
    pub endpoints: Vec<String>,
    pub token: String,
    pub dial_timeout: Duration,
    pub request_timeout: Duration,
    pub keepalive_time: Duration,
    pub keepalive_timeout: Duration,
    pub insecure_transport: bool,
    pub insecure_skip_tls_verify: bool,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub user: String,
    pub password: Secret,
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl DiscoverySettings {
    /// `None` when the discovery service is not asked for. Checks all that etcd checks about
    /// bootstrapping.
    pub(super) fn from_merged(merged: &Merged) -> Result<Option<Self>, ConfigError> {
        cluster_state(merged)?;
        let (token, endpoints) = (merged.text("discovery-token"), merged.list("discovery-endpoints"));
        let given = !token.is_empty() || !endpoints.is_empty();
        let initial = merged.is_given("initial-cluster") && merged.text("initial-cluster") != default_cluster();
        let sources = [initial, !merged.text("discovery-srv").is_empty(), !endpoints.is_empty()];
        if sources.iter().filter(|source| **source).count() > 1 {
            return Err(ConfigError::ManyBootstraps);
        }
        if merged.text("discovery-fallback") == "proxy" {
            return Err(ConfigError::DiscoveryProxy);
        }
        if !given {
            return Ok(None);
        }
        if token.is_empty() || endpoints.is_empty() {
            return Err(ConfigError::DiscoveryPair);
        }
        if endpoints.iter().any(String::is_empty) {
            return Err(ConfigError::DiscoveryEmptyEndpoint);
        }
        Ok(Some(Self::read(merged)))
    }

    fn read(merged: &Merged) -> Self {
        let (user, password) =
            merged.text("discovery-user").split_once(':').unwrap_or((merged.text("discovery-user"), ""));
        let password = if merged.is_given("discovery-password") { merged.text("discovery-password") } else { password };
        Self {
            endpoints: merged.list("discovery-endpoints").to_vec(),
            token: merged.text("discovery-token").to_owned(),
            dial_timeout: duration(merged.nanos("discovery-dial-timeout")),
            request_timeout: duration(merged.nanos("discovery-request-timeout")),
            keepalive_time: duration(merged.nanos("discovery-keepalive-time")),
            keepalive_timeout: duration(merged.nanos("discovery-keepalive-timeout")),
            insecure_transport: merged.bool("discovery-insecure-transport"),
            insecure_skip_tls_verify: merged.bool("discovery-insecure-skip-tls-verify"),
            cert: path(merged, "discovery-cert"),
            key: path(merged, "discovery-key"),
            ca: path(merged, "discovery-cacert"),
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        }
    }
}

impl ClusterSettings {
    /// Also fills in the advertised addresses that only the machine knows.
    pub(super) fn from_merged(
        merged: &Merged,
        listen: ListenSettings,
        discovery: Option<DiscoverySettings>,
        machine: &dyn Environment,
    ) -> Result<(ListenSettings, Self), ConfigError> {
        let listen = with_default_host(merged, listen, machine);
        let domain = merged.text("discovery-srv");
        let bootstrap = if let Some(discovery) = discovery {
            Bootstrap::Discovery(Box::new(discovery))
        } else if domain.is_empty() {
            let text = cluster_text(merged, &listen.advertise_peer);
            let cluster =
                InitialCluster::parse(&text).map_err(|error| ConfigError::InitialCluster(error.to_string()))?;
            Bootstrap::InitialCluster(cluster)
        } else {
            Bootstrap::DnsSrv {
                domain: domain.to_owned(),
                service_suffix: merged.text("discovery-srv-name").to_owned(),
            }
        };
        let cluster = Self {
            bootstrap,
            state: cluster_state(merged)?,
            token: merged.text("initial-cluster-token").to_owned(),
            strict_reconfig_check: merged.bool("strict-reconfig-check"),
            force_new_cluster: merged.bool("force-new-cluster"),
        };
        Ok((listen, cluster))
    }
}

/// etcd's rule for a name given alone: the cluster is this member under its advertised URLs. Under
/// the default name the default stays as it is, even when other URLs are advertised.
fn cluster_text(merged: &Merged, advertised: &[Url]) -> String {
    let (name, text) = (merged.text("name"), merged.text("initial-cluster"));
    if name == "default" || text != default_cluster() {
        return text.to_owned();
    }
    let name = if name.is_empty() { "default" } else { name };
    advertised.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}

fn default_cluster() -> &'static str {
    row("initial-cluster").map_or("", |row| row.default)
}

fn cluster_state(merged: &Merged) -> Result<ClusterState, ConfigError> {
    match merged.text("initial-cluster-state") {
        "new" => Ok(ClusterState::New),
        "existing" => Ok(ClusterState::Existing),
        other => Err(ConfigError::ClusterState(other.to_owned())),
    }
}

/// Replaces the default advertised URL of a member that listens on 0.0.0.0 by the machine's own
/// address.
fn with_default_host(merged: &Merged, mut listen: ListenSettings, machine: &dyn Environment) -> ListenSettings {
    let peer = wildcard_port(&listen.peer)
        .filter(|_| is_default(merged, "initial-advertise-peer-urls", &listen.advertise_peer));
    let client =
        wildcard_port(&listen.client).filter(|_| is_default(merged, "advertise-client-urls", &listen.advertise_client));
    if peer.is_none() && client.is_none() {
        return listen;
    }
    let Some(host) = machine.default_host() else { return listen };
    listen.detected_host = Some(host);
    replace_host(&mut listen.advertise_peer, host, peer);
    replace_host(&mut listen.advertise_client, host, client);
    listen
}

fn wildcard_port(urls: &[Url]) -> Option<u16> {
    match urls.first()?.endpoint() {
        Endpoint::Tcp { host, port } if host == "0.0.0.0" => Some(*port),
        Endpoint::Tcp { .. } | Endpoint::Unix(_) => None,
    }
}

fn is_default(merged: &Merged, flag: &str, urls: &[Url]) -> bool {
    !merged.is_given(flag) || row(flag).is_some_and(|row| urls.len() == 1 && urls[0].as_str() == row.default)
}

fn replace_host(urls: &mut [Url], host: IpAddr, port: Option<u16>) {
    if let (Some(first), Some(port)) = (urls.first_mut(), port) {
        *first = first.at(host, port);
    }
}

/// A path, when one is given.
pub(super) fn path(merged: &Merged, name: &str) -> Option<PathBuf> {
    Some(merged.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from)
}
