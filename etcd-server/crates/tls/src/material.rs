//! What is read from the files: checked as far as it can be before a connection needs it.

use crate::client_verifier::ClientVerifier;
use crate::error::LoadError;
use crate::server_verifier;
use crate::settings::{EndpointSettings, KeyPair};
use crate::shown::Noting;
use crate::status::CertificateStatus;
use crate::suites;
use certs::{CertificateFacts, RevocationListFacts};
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use time::OffsetDateTime;

/// Everything that connections need, as of one reading of the files.
#[derive(Debug)]
pub(crate) struct Material {
    /// Without protocols chosen yet; none where the endpoint has no certificate of its own.
    pub(crate) server: Option<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    /// Who is trusted to issue for clients; empty when no certificate is demanded.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) revocation_lists: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) certificates: Vec<CertificateStatus>,
    /// What an operator should know and nothing is refused for.
    pub(crate) warnings: Vec<String>,
}

impl Material {
    /// Reads all files of an endpoint.
    pub(crate) fn load(settings: &EndpointSettings, now: OffsetDateTime) -> Result<Self, LoadError> {
        let flags = settings.role.flags();
        let provider = suites::provider(settings)?;
        let mut reading = Reading { provider: &provider, now, certificates: Vec::new(), warnings: Vec::new() };
        let own = settings.own.as_ref().map(|pair| reading.pair((flags.cert, flags.key), pair, Shown::Serving(settings))).transpose()?;
        let as_client = settings.as_client.as_ref();
        let as_client = as_client.map(|pair| reading.pair((flags.client_cert, flags.client_key), pair, Shown::Connecting)).transpose()?;
        let authorities = settings.trusted_ca.as_deref().map(|path| reading.authorities(flags.ca, path)).transpose()?;
        let lists = settings.revocation_list.as_deref();
        let lists = lists.map(|path| reading.lists(flags.crl, path, authorities.as_deref())).transpose()?.unwrap_or_default();
        let roots = match &authorities {
            Some(authorities) => store(authorities),
            // etcd falls back to the system's authorities, on both sides.
            None => system_roots(),
        };
        let versions = suites::versions(settings);
        let verifier = if settings.demands_certificates {
            Some(
                ClientVerifier::new(settings, Arc::new(roots.clone()), &lists, &provider)
                    .map_err(|reason| LoadError::setting(flags.ca, &reason))?,
            )
        } else {
            None
        };
        let server = own.clone().map(|own| server_config(&provider, &versions, verifier, own)).transpose();
        let server = server.map_err(|error| LoadError::setting("--tls-min-version", &error))?;
        let client = server_verifier::client_config(settings, &provider, &versions, roots, lists.clone(), as_client.or(own));
        let client = client.map_err(|reason| LoadError::setting(flags.ca, &reason))?;
        let Reading { certificates, warnings, .. } = reading;
        let authorities = authorities.unwrap_or_default();
        Ok(Self { server, client: Arc::new(client), authorities, revocation_lists: lists, certificates, warnings })
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    verifier: Option<ClientVerifier>,
    own: Arc<CertifiedKey>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(Noting(Arc::new(verifier)))),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    // A resumed session does not pass the verifier: a revoked certificate would still be good in it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// How a certificate is used.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Serving(&'a EndpointSettings),
    Connecting,
}

/// One reading of the files.
struct Reading<'a> {
    provider: &'a Arc<CryptoProvider>,
    now: OffsetDateTime,
    certificates: Vec<CertificateStatus>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn pair(&mut self, flags: (&'static str, &'static str), pair: &KeyPair, shown: Shown<'_>) -> Result<Arc<CertifiedKey>, LoadError> {
        let (cert_flag, key_flag) = flags;
        let chain = self.certificates(cert_flag, &pair.cert)?;
        let key = private_key(key_flag, &pair.key)?;
        let key = self.provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| LoadError::content(key_flag, &pair.key, &"it is of a kind or size that TLS here does not know"))?;
        let facts = CertificateFacts::of(&chain[0]).map_err(|error| LoadError::content(cert_flag, &pair.cert, &error))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let reason = format!("the key in it does not belong to the certificate in {}", pair.cert.display());
                return Err(LoadError::content(key_flag, &pair.key, &reason));
            }
            Err(error) => return Err(LoadError::content(cert_flag, &pair.cert, &error)),
        }
        self.warn_of(cert_flag, &pair.cert, &facts, shown);
        self.certificates.push(CertificateStatus::of(cert_flag, &facts));
        Ok(Arc::new(certified))
    }

    fn warn_of(&mut self, flag: &str, path: &Path, facts: &CertificateFacts, shown: Shown<'_>) {
        let path = path.display();
        let mut warn = |text: &str| self.warnings.push(format!("{flag} {path}: {text}"));
        if let Shown::Serving(settings) = shown {
            if facts.names.is_empty() {
                warn("the certificate names no host (subject alternative name), so clients refuse it");
            }
            if !facts.server_usage {
                warn("the certificate's extended key usage does not allow serving, so clients refuse it");
            }
            if settings.role == crate::Role::Peer && settings.as_client.is_none() && !facts.client_usage {
                warn(
                    "the certificate's extended key usage does not allow connecting, so other members refuse it: give --peer-client-cert-file",
                );
            }
        } else if !facts.client_usage {
            warn("the certificate's extended key usage does not allow connecting, so other members refuse it");
        }
        if facts.not_after < self.now {
            warn("the certificate has expired");
        }
        if facts.not_before > self.now {
            warn("the certificate is not valid yet");
        }
    }

    fn certificates(&self, flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
        let file = certs::files::read(path).map_err(|source| LoadError::File { setting: flag, source })?;
        certs::certificates(&file).map_err(|error| LoadError::content(flag, path, &error))
    }

    fn authorities(&mut self, flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
        let found = self.certificates(flag, path)?;
        for certificate in &found {
            let facts = CertificateFacts::of(certificate).map_err(|error| LoadError::content(flag, path, &error))?;
            if facts.not_after < self.now {
                self.warnings.push(format!("{flag} {}: the authority {} has expired", path.display(), facts.subject));
            }
            self.certificates.push(CertificateStatus::of(flag, &facts));
        }
        if store(&found).is_empty() {
            return Err(LoadError::content(flag, path, &"no certificate in it can be used as an authority"));
        }
        Ok(found)
    }

    fn lists(
        &mut self,
        flag: &'static str,
        path: &Path,
        authorities: Option<&[CertificateDer<'static>]>,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, LoadError> {
        let file = certs::files::read(path).map_err(|source| LoadError::File { setting: flag, source })?;
        let lists = certs::revocation_lists(&file).map_err(|error| LoadError::content(flag, path, &error))?;
        for list in &lists {
            self.list(flag, path, list, authorities.unwrap_or_default())?;
        }
        for authority in authorities.unwrap_or_default() {
            let facts = CertificateFacts::of(authority).map_err(|error| LoadError::content(flag, path, &error))?;
            if !lists.iter().any(|list| RevocationListFacts::is_signed_by(list, authority)) {
                let path = path.display();
                self.warnings.push(format!("{flag} {path}: there is no list of {}, so its certificates are refused", facts.subject));
            }
        }
        Ok(lists)
    }

    fn list(&mut self, flag: &'static str, path: &Path, list: &[u8], authorities: &[CertificateDer<'static>]) -> Result<(), LoadError> {
        let refused = |reason: String| LoadError::content(flag, path, &reason);
        let facts = RevocationListFacts::of(list).map_err(|error| refused(error.to_string()))?;
        let subject =
            |authority: &CertificateDer<'static>| CertificateFacts::of(authority).is_ok_and(|facts_of| facts_of.subject == facts.issuer);
        let claimed = authorities.iter().any(subject);
        if claimed && !authorities.iter().any(|authority| RevocationListFacts::is_signed_by(list, authority)) {
            return Err(refused(format!("the list of {} is not signed by that authority", facts.issuer)));
        }
        let next_update =
            facts.next_update.ok_or_else(|| refused(format!("the list of {} does not say when the next one comes", facts.issuer)))?;
        if next_update < self.now {
            let since = certs::rfc3339(next_update);
            return Err(refused(format!("the list of {} has expired on {since}: publish a new one", facts.issuer)));
        }
        self.certificates.push(CertificateStatus::of_list(flag, &facts, next_update));
        Ok(())
    }
}

fn private_key(flag: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    let failed = |source| LoadError::File { setting: flag, source };
    certs::files::check_private(path).map_err(failed)?;
    let file = certs::files::read(path).map_err(failed)?;
    let text = String::from_utf8_lossy(&file);
    if text.contains("ENCRYPTED") {
        let reason = "the key is encrypted, and nobody is there to decrypt it: write it with `openssl pkey -in FILE -out NEW`";
        return Err(LoadError::content(flag, path, &reason));
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(&file);
    let key = keys.next().and_then(Result::ok);
    let key = key.ok_or_else(|| LoadError::content(flag, path, &"no private key in PEM form found"))?;
    if keys.next().is_some() {
        return Err(LoadError::content(flag, path, &"it holds more than one private key"));
    }
    Ok(key)
}

/// Those that can be used; rustls takes no anchor from a damaged certificate.
fn store(authorities: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities.iter().cloned());
    store
}

fn system_roots() -> RootCertStore {
    store(&rustls_native_certs::load_native_certs().certs)
}
