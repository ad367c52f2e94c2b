//! The TLS endpoints of the server, and their files.

use config::{Endpoint as Address, Settings, Url};
use http::Uri;
use peer::{Connect, Connecting, Socket};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use time::OffsetDateTime;
use tls::{Acceptor, Connector, Endpoint, EndpointSettings, KeyPair, LoadError, Reloader, Role};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Both sides of the server, each as far as it is encrypted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encryption {
    client: Option<Arc<Endpoint>>,
    peer: Option<Arc<Endpoint>>,
}

impl Encryption {
    /// Reads the files of the settings. Self-signed certificates are left out: they live in the
    /// data directory, which does not exist yet.
    pub(crate) fn of_files(settings: &Settings) -> Result<Self, LoadError> {
        if settings.tls.client.client_cert_file.is_some() {
            tracing::warn!(
                setting = "--client-cert-file",
                "the JSON gateway calls the services in-process and presents no certificate; the setting has no effect"
            );
        }
        let load =
            |role| wants(settings, role).then(|| Endpoint::load(endpoint_settings(settings, role, None))).transpose();
        Ok(Self {
            client: if is_auto(settings, Role::Client) { None } else { load(Role::Client)? },
            peer: if is_auto(settings, Role::Peer) { None } else { load(Role::Peer)? },
        })
    }

    /// Adds self-signed certificates.
    pub(crate) fn with_self_signed(mut self, settings: &Settings) -> Result<Self, LoadError> {
        for (role, endpoint) in [(Role::Client, &mut self.client), (Role::Peer, &mut self.peer)] {
            if is_auto(settings, role) && wants(settings, role) {
                let pair = self_signed(settings, role)?;
                *endpoint = Some(Endpoint::load(endpoint_settings(settings, role, Some(pair)))?);
            }
        }
        Ok(self)
    }

    /// Returns the acceptor of listeners for clients, where one of them is secure.
    pub(crate) fn for_clients(&self) -> Option<Acceptor> {
        self.client.as_ref().and_then(Endpoint::acceptor)
    }

    /// Returns the acceptor of listeners for members, where one of them is secure.
    pub(crate) fn for_members(&self) -> Option<Acceptor> {
        self.peer.as_ref().and_then(Endpoint::acceptor)
    }

    /// Returns the connector of this member to others.
    pub(crate) fn connect_members(&self, settings: &Settings) -> Arc<dyn Connect> {
        let name = settings.name_of_members().map(str::to_owned);
        Arc::new(Members {
            connector: self.peer.as_ref().map(Endpoint::connector),
            name,
            local: local_address(settings),
        })
    }

    /// All that there is, client side first.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.client.iter().chain(&self.peer)
    }

    /// Keeps everything up to date for as long as the task lives, and reads everything again at
    /// SIGHUP.
    pub(crate) fn keep_fresh(&self) -> std::io::Result<JoinHandle<()>> {
        let endpoints = self.endpoints().cloned().collect();
        let mut hangup = signal(SignalKind::hangup())?;
        Ok(tokio::spawn(async move {
            let files = Reloader::start(endpoints);
            while hangup.recv().await.is_some() {
                tracing::info!(
                    signal = "hangup",
                    "received signal; reading certificates, keys and revocation lists again"
                );
                files.reload();
            }
        }))
    }
}

/// Connections to other members, encrypted by the scheme of their URLs.
struct Members {
    connector: Option<Connector>,
    /// The name that certificates have to be valid for, where it is not the host of the URL.
    name: Option<String>,
    /// The address that connections leave from, where it was chosen.
    local: Option<IpAddr>,
}

impl Members {
    async fn encrypted(&self, url: &Uri, name: &str, socket: impl Socket + 'static) -> io::Result<Box<dyn Socket>> {
        let Some(connector) = &self.connector else {
            let text = format!(
                "{url}: members are reached by TLS, and no --peer-cert-file or --peer-trusted-ca-file is given"
            );
            return Err(io::Error::other(text));
        };
        Ok(Box::new(connector.connect(socket, self.name.as_deref().unwrap_or(name)).await?))
    }
}

/// The first address among the advertised peer URLs that other machines can reach, with the feature
/// gate SetMemberLocalAddr.
fn local_address(settings: &Settings) -> Option<IpAddr> {
    if !settings.features.is_on(config::Gate::SetMemberLocalAddr) {
        return None;
    }
    settings.listen.advertise_peer.iter().find_map(|url| match url.endpoint() {
        Address::Tcp { host, .. } => {
            host.parse::<IpAddr>().ok().filter(|address| !address.is_loopback() && !address.is_unspecified())
        }
        Address::Unix(_) => None,
    })
}

impl Connect for Members {
    fn classify(&self, error: &(dyn std::error::Error + 'static)) -> Option<peer::Cause> {
        peer::first_cause(error, tls::HandshakeFailure::of).map(|failure| match failure {
            tls::HandshakeFailure::Name => peer::Cause::Name,
            tls::HandshakeFailure::Certificate => peer::Cause::Certificate,
        })
    }

    fn connect<'a>(&'a self, url: &'a Uri) -> Connecting<'a> {
        Box::pin(async move {
            if let Some(path) = peer::socket_path(url) {
                let socket = tokio::net::UnixStream::connect(path).await?;
                // A socket has no host; its server is on this machine.
                if url.scheme_str() == Some("unixs") {
                    return self.encrypted(url, "localhost", socket).await;
                }
                return Ok(Box::new(socket) as Box<dyn Socket>);
            }
            match url.scheme_str() {
                Some("https") => {
                    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
                    self.encrypted(url, &host, peer::tcp_from(url, self.local).await?).await
                }
                Some("http") => Ok(Box::new(peer::tcp_from(url, self.local).await?) as Box<dyn Socket>),
                _ => peer::Plain.connect(url).await,
            }
        })
    }
}

fn endpoint_settings(settings: &Settings, role: Role, auto: Option<KeyPair>) -> EndpointSettings {
    match role {
        Role::Client => EndpointSettings::client(&settings.tls, auto),
        Role::Peer => EndpointSettings::peer(&settings.tls, auto),
    }
}

fn listened(settings: &Settings, role: Role) -> impl Iterator<Item = &Url> {
    let listen = &settings.listen;
    let (first, others) = match role {
        Role::Client => (&listen.client, [&listen.client_http, &listen.metrics]),
        Role::Peer => (&listen.peer, [&listen.advertise_peer; 2]),
    };
    first.iter().chain(others.into_iter().flatten())
}

/// Returns `true` if this side is encrypted: it listens so, or it has a CA for members, which may
/// be reached so.
fn wants(settings: &Settings, role: Role) -> bool {
    let peer = &settings.tls.peer.listener;
    let connects = role == Role::Peer
        && (peer.cert_file.is_some() || peer.client_cert_file.is_some() || peer.trusted_ca_file.is_some());
    connects || listened(settings, role).any(|url| url.scheme().is_secure())
}

/// Returns `true` if this side vouches for itself: certificates that are given win.
fn is_auto(settings: &Settings, role: Role) -> bool {
    let tls = match role {
        Role::Client => &settings.tls.client,
        Role::Peer => &settings.tls.peer.listener,
    };
    if tls.auto && tls.cert_file.is_some() && wants(settings, role) {
        // etcd's message.
        tracing::warn!("ignoring {} auto TLS since certs given", role.label());
    }
    tls.auto && tls.cert_file.is_none()
}

fn self_signed(settings: &Settings, role: Role) -> Result<KeyPair, LoadError> {
    let hosts = listened(settings, role).filter_map(|url| match url.endpoint() {
        Address::Tcp { host, .. } => Some(host.as_str()),
        Address::Unix(_) => None,
    });
    let data_dir: &Path = &settings.member.data_dir;
    tls::auto_files(data_dir, role, &tls::names_of(hosts), settings.tls.self_signed_years, OffsetDateTime::now_utc())
}
