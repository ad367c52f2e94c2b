//! Settings of listeners, advertised URLs, and connections.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::error::{ConfigError, quoted};
use crate::given::Source;
use crate::merged::Merged;
use crate::settings::{duration, positive};
use crate::url::Url;
use crate::warning::Warning;

/// Listeners and advertised addresses. Every list but `client_http` and `metrics` holds at least
/// one URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    pub peer: Vec<Url>,
    pub client: Vec<Url>,
    /// When not empty, HTTP is served here and not on `client`.
    pub client_http: Vec<Url>,
    pub metrics: Vec<Url>,
    pub advertise_peer: Vec<Url>,
    pub advertise_client: Vec<Url>,
    /// The machine's address, when it stands in for a default advertised host; etcd logs `detected
    /// default host for advertise`.
    pub detected_host: Option<IpAddr>,
    pub socket: SocketSettings,
    pub keep_alive: KeepAliveSettings,
    /// HTTP/2 streams that one connection may have open.
    pub concurrent_streams_max: u32,
    /// `true` if HTTP/2 is served with the h2 library.
    pub use_h2_library: bool,
}

/// Options of listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    pub reuse_port: bool,
}

/// Pings of idle gRPC connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAliveSettings {
    /// A client that pings faster is sent away.
    pub min_time: Duration,
    /// Time between our pings; `None` is never.
    pub interval: Option<Duration>,
    /// Time for the answer; `None` waits for ever.
    pub timeout: Option<Duration>,
}

/// Permitted callers over plain HTTP, and the switch of the JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    pub gateway: bool,
    pub cors_origins: Names,
    pub host_whitelist: Names,
}

/// A list of names; an empty one, or `*`, permits all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    Any,
    Listed(BTreeSet<String>),
}

impl Names {
    fn of(words: &[String]) -> Self {
        let listed: BTreeSet<String> = words.iter().filter(|word| !word.is_empty()).cloned().collect();
        if listed.is_empty() || listed.contains("*") { Self::Any } else { Self::Listed(listed) }
    }

    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.contains(name),
        }
    }
}

impl HttpSettings {
    pub(super) fn from_merged(merged: &Merged) -> Self {
        Self {
            gateway: merged.bool("enable-grpc-gateway"),
            cors_origins: Names::of(merged.list("cors")),
            host_whitelist: Names::of(merged.list("host-whitelist")),
        }
    }
}

impl ListenSettings {
    pub(super) fn from_merged(merged: &Merged, warnings: &mut Vec<Warning>) -> Result<Self, ConfigError> {
        for flag in ["listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"] {
            check_bindable(merged.urls(flag))?;
        }
        for flag in ["listen-peer-urls", "listen-client-urls", "initial-advertise-peer-urls", "advertise-client-urls"] {
            if merged.urls(flag).is_empty() {
                return Err(ConfigError::NoUrls(flag));
            }
        }
        if merged.urls("listen-client-http-urls").is_empty() {
            let text = "Running http and grpc server on single port. This is not recommended for production.";
            warnings.push(Warning::new("--listen-client-http-urls", text));
        }
        check_advertised(merged)?;
        let streams = merged.unsigned("max-concurrent-streams");
        Ok(Self {
            peer: merged.urls("listen-peer-urls").to_vec(),
            client: merged.urls("listen-client-urls").to_vec(),
            client_http: merged.urls("listen-client-http-urls").to_vec(),
            metrics: merged.urls("listen-metrics-urls").to_vec(),
            advertise_peer: merged.urls("initial-advertise-peer-urls").to_vec(),
            advertise_client: merged.urls("advertise-client-urls").to_vec(),
            detected_host: None,
            socket: SocketSettings { reuse_port: merged.bool("socket-reuse-port") },
            keep_alive: KeepAliveSettings::from_merged(merged),
            concurrent_streams_max: u32::try_from(streams).unwrap_or(u32::MAX),
            use_h2_library: merged.bool("use-h2-library"),
        })
    }

    /// One address cannot be both an HTTP-only listener and a gRPC one.
    pub(super) fn check_apart(&self) -> Result<(), ConfigError> {
        match self.client_http.iter().find(|url| self.client.iter().any(|other| other.is_same_place(url))) {
            Some(url) => Err(ConfigError::SameUrlTwice(url.to_string())),
            None => Ok(()),
        }
    }
}

impl KeepAliveSettings {
    fn from_merged(merged: &Merged) -> Self {
        Self {
            min_time: duration(merged.nanos("grpc-keepalive-min-time")),
            interval: positive(merged.nanos("grpc-keepalive-interval")),
            timeout: positive(merged.nanos("grpc-keepalive-timeout")),
        }
    }
}

fn check_bindable(urls: &[Url]) -> Result<(), ConfigError> {
    urls.iter().find(|url| !url.is_bindable()).map_or(Ok(()), |url| Err(ConfigError::NotBindable(url.to_string())))
}

fn check_advertised(merged: &Merged) -> Result<(), ConfigError> {
    let peers = merged.urls("initial-advertise-peer-urls");
    if let Some(url) = peers.iter().find(|url| url.has_empty_host()) {
        return Err(ConfigError::AdvertisePeer { urls: quoted(peers), url: url.to_string() });
    }
    let clients = merged.urls("advertise-client-urls");
    if let Some(url) = clients.iter().find(|url| url.has_empty_host()) {
        let joined = clients.iter().map(Url::to_string).collect::<Vec<_>>().join(",");
        return Err(ConfigError::AdvertiseClient { urls: joined, url: url.to_string() });
    }
    Ok(())
}

/// Refuses listen URLs without advertised ones, because clients would be sent to the default
/// address; a file may do that, flags and variables may not.
pub(super) fn check_advertised_when_listening(merged: &Merged) -> Result<(), ConfigError> {
    let by_hand = matches!(merged.source("listen-client-urls"), Source::Flag | Source::Variable);
    if by_hand && !merged.is_given("advertise-client-urls") { Err(ConfigError::AdvertiseMissing) } else { Ok(()) }
}
