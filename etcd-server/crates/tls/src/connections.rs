//! Connections with verified certificates: their subjects and CAs, and when they have to be closed.

use crate::tls_files::Material;
use certs::{CertificateFacts, Name, Usage};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::oneshot;

/// The other end of a connection, by its verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// With client authentication on, etcd's user.
    pub common_name: Option<String>,
    pub names: Vec<Name>,
    /// SHA-256 of the certificate of its CA, in hexadecimal.
    pub issuer: String,
}

/// All live connections with certificates.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    live: BTreeMap<u64, Live>,
}

#[derive(Debug)]
struct Live {
    chain: Vec<CertificateDer<'static>>,
    issuer: String,
    accepted_at: OffsetDateTime,
    keep: oneshot::Sender<()>,
}

/// A live connection; dropping it is its end.
#[derive(Debug)]
pub struct Connection {
    entry: Option<(Arc<Connections>, u64)>,
    dropped: Option<oneshot::Receiver<()>>,
}

impl Connection {
    /// A connection without a certificate, which nothing can happen to.
    pub(crate) fn anonymous() -> Self {
        Self { entry: None, dropped: None }
    }

    /// Completes when the certificate has been revoked, or its CA dropped, while the connection
    /// lives: it is to be closed.
    pub async fn trust_is_lost(&mut self) {
        match &mut self.dropped {
            // Nothing is ever sent; the sender is dropped.
            Some(dropped) => drop(dropped.await),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some((connections, number)) = &self.entry {
            connections.inside.lock().live.remove(number);
        }
    }
}

/// Returns the identity of a verified chain. `None` if the loaded CAs do not trust it.
pub(crate) fn identity(
    tls_files: &Material,
    chain: &[CertificateDer<'static>],
    now: OffsetDateTime,
) -> Option<PeerIdentity> {
    let facts = CertificateFacts::of(chain.first()?).ok()?;
    let path = tls_files.trust.verify(chain, Usage::Client, now).ok()?;
    // Which of the system's CAs vouches matters to no one.
    let issuer = if tls_files.trust.is_system {
        "system".to_owned()
    } else {
        CertificateFacts::of(tls_files.trust.store.certificates()[path.anchor].encoded()).ok()?.fingerprint_hex()
    };
    Some(PeerIdentity { common_name: facts.common_name, names: facts.names, issuer })
}

impl Connections {
    pub(crate) fn enter(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        issuer: String,
        now: OffsetDateTime,
    ) -> Connection {
        let (keep, dropped) = oneshot::channel();
        let mut inside = self.inside.lock();
        let number = inside.next;
        inside.next += 1;
        inside.live.insert(number, Live { chain, issuer, accepted_at: now, keep });
        Connection { entry: Some((Arc::clone(self), number)), dropped: Some(dropped) }
    }

    /// Ends connections that the loaded files would refuse; returns their number. A certificate
    /// that has merely expired since it was shown does not end its connection.
    pub(crate) fn check(&self, tls_files: &Material) -> usize {
        let shown: Vec<_> = {
            let inside = self.inside.lock();
            inside.live.iter().map(|(number, live)| (*number, live.chain.clone(), live.accepted_at)).collect()
        };
        // Chains are verified without the lock: new connections need it.
        let lost =
            shown.into_iter().filter(|(_, chain, accepted_at)| identity(tls_files, chain, *accepted_at).is_none());
        let lost: Vec<u64> = lost.map(|(number, ..)| number).collect();
        let mut inside = self.inside.lock();
        for number in &lost {
            drop(inside.live.remove(number).map(|live| live.keep));
        }
        lost.len()
    }

    pub(crate) fn by_issuer(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for live in self.inside.lock().live.values() {
            *counts.entry(live.issuer.clone()).or_default() += 1;
        }
        counts
    }
}
