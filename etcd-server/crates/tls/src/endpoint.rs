//! One side of the server, with the files that it uses now.

use crate::acceptor::{Acceptor, ServerConfigs};
use crate::connections::Connections;
use crate::connector::Connector;
use crate::error::LoadError;
use crate::files::Stamps;
use crate::handshake_limiter::HandshakeLimiter;
use crate::quiet::Quiet;
use crate::settings::EndpointSettings;
use crate::status::{Counters, Status};
use crate::suites;
use crate::tls_files::Material;
use crate::weak::WeakCertificates;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use time::OffsetDateTime;

/// Handshakes under way at a time. Each holds a descriptor and some 30 KiB.
const HANDSHAKES_MAX: usize = 512;

/// The loaded files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) tls_files: Material,
    pub(crate) servers: Option<ServerConfigs>,
}

/// One side of the server: towards clients, or towards members.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) settings: EndpointSettings,
    pub(crate) loaded: ArcSwap<Loaded>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) counters: Counters,
    pub(crate) room: HandshakeLimiter,
    pub(crate) quiet: Quiet,
    pub(crate) weak: WeakCertificates,
    /// The time at which the last failed handshake with each host was logged.
    pub(crate) failures: Mutex<BTreeMap<String, Instant>>,
    /// The state of the files when they were last read, usable or not: a bad file is logged once.
    read: Mutex<Stamps>,
}

impl Endpoint {
    /// Reads all files.
    ///
    /// # Errors
    /// When one of them cannot be used; nothing is served then.
    pub fn load(settings: EndpointSettings) -> Result<Arc<Self>, LoadError> {
        let stamps = Stamps::of(&settings);
        let tls_files = Material::load(&settings, OffsetDateTime::now_utc())?;
        for suite in suites::unserved(&settings) {
            tracing::warn!(suite, "cipher suite is not served here; it is left out");
        }
        tell(&settings, &tls_files);
        let loaded = ArcSwap::from_pointee(Loaded::of(tls_files));
        Ok(Arc::new(Self {
            settings,
            loaded,
            connections: Arc::default(),
            counters: Counters::default(),
            room: HandshakeLimiter::new(HANDSHAKES_MAX),
            quiet: Quiet::new(),
            weak: WeakCertificates::default(),
            failures: Mutex::default(),
            read: Mutex::new(stamps),
        }))
    }

    /// Returns the acceptor for listeners. `None` where this side has no certificate.
    #[must_use]
    pub fn acceptor(self: &Arc<Self>) -> Option<Acceptor> {
        self.loaded.load().servers.is_some().then(|| Acceptor::of(Arc::clone(self)))
    }

    /// Returns the connector to other members.
    #[must_use]
    pub fn connector(self: &Arc<Self>) -> Connector {
        Connector::of(Arc::clone(self))
    }

    #[must_use]
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Certificates, handshakes and connections now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            certificates: self.loaded.load().tls_files.certificates.clone(),
            handshakes: self.counters.handshakes(),
            connections: self.connections.by_issuer(),
            reloads: self.counters.reloads(),
        }
    }

    /// Reads the files again if they have changed since they were read, or if `forced`. An unusable
    /// file is logged once, and the loaded ones stay in use. Connections that would be refused now
    /// are ended. Blocks on files.
    pub fn reload(&self, forced: bool) {
        let stamps = Stamps::of(&self.settings);
        {
            let mut read = self.read.lock();
            if *read == stamps && !forced {
                return;
            }
            *read = stamps;
        }
        let endpoint = self.settings.role.label();
        match Material::load(&self.settings, OffsetDateTime::now_utc()) {
            Ok(tls_files) => {
                tell(&self.settings, &tls_files);
                self.loaded.store(Arc::new(Loaded::of(tls_files)));
                self.counters.reloads.fetch_add(1, Ordering::Relaxed);
                let ended = self.connections.check(&self.loaded.load().tls_files);
                tracing::info!(endpoint, connections_ended = ended, "reloaded TLS files");
            }
            Err(error) => {
                self.counters.reloads_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(endpoint, %error, "TLS files have changed and cannot be used; those loaded before stay in use");
            }
        }
    }
}

impl Loaded {
    fn of(tls_files: Material) -> Self {
        let servers = tls_files.server.as_ref().map(ServerConfigs::of);
        Self { tls_files, servers }
    }
}

fn tell(settings: &EndpointSettings, tls_files: &Material) {
    let endpoint = settings.role.label();
    for warning in &tls_files.warnings {
        tracing::warn!(endpoint, "{warning}");
    }
    let now = OffsetDateTime::now_utc();
    for certificate in &tls_files.certificates {
        let (days_left, not_after) = (certificate.days_left(now), certs::rfc3339(certificate.not_after));
        tracing::info!(
            endpoint,
            setting = certificate.setting,
            subject = certificate.subject,
            not_after,
            days_left,
            "loaded certificate"
        );
    }
}
