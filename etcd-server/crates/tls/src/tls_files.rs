//! The content of the files: checked as far as possible before a connection needs it.

use crate::client_verifier::ClientVerifier;
use crate::error::LoadError;
use crate::server_verifier;
use crate::settings::{EndpointSettings, KeyPair};
use crate::status::CertificateStatus;
use crate::suites;
use crate::trust::{AllowedNames, Trust};
use certs::verify::{KeyKind, ParsedCertificate, RevocationLists, RevocationRule, TrustStore};
use certs::{CertificateFacts, RevocationListFacts};
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use time::OffsetDateTime;

/// Everything that connections need, as of one reading of the files.
#[derive(Debug)]
pub(crate) struct Material {
    /// Without protocols chosen yet; none where the endpoint has no certificate of its own.
    pub(crate) server: Option<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    /// The trust of the endpoint, as a server and as a client.
    pub(crate) trust: Trust,
    pub(crate) certificates: Vec<CertificateStatus>,
    /// Warnings for the operator about files that are accepted.
    pub(crate) warnings: Vec<String>,
}

impl Material {
    /// Reads all files of an endpoint.
    pub(crate) fn load(settings: &EndpointSettings, now: OffsetDateTime) -> Result<Self, LoadError> {
        let flags = settings.role.flags();
        let provider = suites::provider(settings)?;
        let mut reading = Reading {
            provider: &provider,
            now,
            strict: settings.strict,
            certificates: Vec::new(),
            warnings: Vec::new(),
        };
        let own = settings
            .own
            .as_ref()
            .map(|pair| reading.pair((flags.cert, flags.key), pair, Shown::Serving(settings)))
            .transpose()?;
        let as_client = settings.as_client.as_ref();
        let as_client = as_client
            .map(|pair| reading.pair((flags.client_cert, flags.client_key), pair, Shown::Connecting))
            .transpose()?;
        let cas = settings.trusted_ca.as_deref().map(|path| reading.cas(flags.ca, path)).transpose()?;
        let lists = settings.revocation_list.as_deref();
        let lists = lists.map(|path| reading.lists(flags.crl, path, cas.as_deref())).transpose()?.unwrap_or_default();
        let trust = reading.trust(settings, cas.as_deref(), lists)?;
        let allowed = AllowedNames {
            common_names: settings.allowed_common_names.clone(),
            hostnames: settings.allowed_hostnames.clone(),
        };
        let versions = suites::versions(settings);
        let verifier =
            settings.demands_certificates.then(|| ClientVerifier::new(trust.clone(), allowed.clone(), &provider));
        let server = own.clone().map(|own| server_config(&provider, &versions, verifier, own)).transpose();
        let server = server.map_err(|error| LoadError::setting("--tls-min-version", &error))?;
        let client =
            server_verifier::client_config(settings, &provider, &versions, trust.clone(), allowed, as_client.or(own));
        let client = client.map_err(|reason| LoadError::setting(flags.ca, &reason))?;
        let Reading { certificates, warnings, .. } = reading;
        Ok(Self { server, client: Arc::new(client), trust, certificates, warnings })
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
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    // A resumed session does not pass the verifier: a revoked certificate would still be good in
    // it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The use of a certificate.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Serving(&'a EndpointSettings),
    Connecting,
}

/// One reading of the files.
struct Reading<'a> {
    provider: &'a Arc<CryptoProvider>,
    now: OffsetDateTime,
    /// Refuses the files that would only be warned about.
    strict: bool,
    certificates: Vec<CertificateStatus>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn pair(
        &mut self,
        flags: (&'static str, &'static str),
        pair: &KeyPair,
        shown: Shown<'_>,
    ) -> Result<Arc<CertifiedKey>, LoadError> {
        let (cert_flag, key_flag) = flags;
        let chain = self.certificates(cert_flag, &pair.cert)?;
        let key = self.private_key(key_flag, &pair.key)?;
        let key = self.provider.key_provider.load_private_key(key);
        let unknown = "it is of a kind or size that cannot sign here: use ECDSA P-256, P-384, P-521, Ed25519, or RSA of 2048 to 8192 bits";
        let key = key.map_err(|_| LoadError::content(key_flag, &pair.key, &unknown))?;
        let parsed =
            ParsedCertificate::of(&chain[0]).map_err(|error| LoadError::content(cert_flag, &pair.cert, &error))?;
        let facts =
            CertificateFacts::of(&chain[0]).map_err(|error| LoadError::content(cert_flag, &pair.cert, &error))?;
        // rustls would compare them too, and cannot read certificates of version 1.
        if key.public_key().is_some_and(|public| public.as_ref() != parsed.key_info()) {
            let reason = format!("the key in it does not belong to the certificate in {}", pair.cert.display());
            return Err(LoadError::content(key_flag, &pair.key, &reason));
        }
        let certified = CertifiedKey::new(chain, key);
        self.warn_of(cert_flag, &pair.cert, &facts, shown);
        if let Some(weakness) = weakness_of(&parsed) {
            self.warnings.push(format!("{cert_flag} {}: {weakness}", pair.cert.display()));
        }
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

    fn cas(&mut self, flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
        let found = self.certificates(flag, path)?;
        for certificate in &found {
            let parsed = ParsedCertificate::of(certificate).map_err(|error| LoadError::content(flag, path, &error))?;
            let facts = CertificateFacts::of(certificate).map_err(|error| LoadError::content(flag, path, &error))?;
            let mut warn =
                |text: &str| self.warnings.push(format!("{flag} {}: the CA {} {text}", path.display(), facts.subject));
            if facts.not_after < self.now {
                warn("has expired, so certificates of it are refused: issue new ones with another CA");
            } else if let Err(reason) = parsed.check_issuing() {
                warn(&format!("vouches for itself alone, because {reason}"));
            }
            if let KeyKind::Rsa { bits: bits @ ..2048 } = parsed.key_kind() {
                warn(&format!(
                    "has an RSA key of {bits} bits, which is weak: move to a CA with RSA 2048 or ECDSA P-256"
                ));
            }
            self.certificates.push(CertificateStatus::of(flag, &facts));
        }
        Ok(found)
    }

    fn trust(
        &self,
        settings: &EndpointSettings,
        cas: Option<&[CertificateDer<'static>]>,
        lists: RevocationLists,
    ) -> Result<Trust, LoadError> {
        let flags = settings.role.flags();
        let store = match cas {
            Some(cas) => TrustStore::of(cas).map_err(|(_, problem)| LoadError::setting(flags.ca, &problem))?,
            // etcd falls back to the system's CAs, on both sides.
            None => TrustStore::of_readable(&rustls_native_certs::load_native_certs().certs),
        };
        if settings.demands_certificates && store.is_empty() {
            let reason = "client certificates are demanded, and no CA is trusted: every connection would be refused; name the CA of the clients";
            return Err(LoadError::setting(flags.ca, &reason));
        }
        let rule = if self.strict { RevocationRule::Covered } else { RevocationRule::Named };
        Ok(Trust { store, is_system: cas.is_none(), lists, rule })
    }

    fn lists(
        &mut self,
        flag: &'static str,
        path: &Path,
        cas: Option<&[CertificateDer<'static>]>,
    ) -> Result<RevocationLists, LoadError> {
        let file = certs::files::read(path).map_err(|source| LoadError::File { setting: flag, source })?;
        let lists = certs::revocation_lists(&file).map_err(|error| LoadError::content(flag, path, &error))?;
        for list in &lists {
            self.list(flag, path, list, cas.unwrap_or_default())?;
        }
        for ca in cas.unwrap_or_default() {
            let facts = CertificateFacts::of(ca).map_err(|error| LoadError::content(flag, path, &error))?;
            if !lists.iter().any(|list| RevocationListFacts::is_signed_by(list, ca)) {
                let path = path.display();
                let outcome = if self.strict { "are refused (--strict-file-checks)" } else { "cannot be revoked" };
                self.warnings.push(format!(
                    "{flag} {path}: no CRL of CA {}, so its certificates {outcome}: add its CRL to the file",
                    facts.subject
                ));
            }
        }
        RevocationLists::of(&lists).map_err(|error| LoadError::content(flag, path, &error))
    }

    fn list(
        &mut self,
        flag: &'static str,
        path: &Path,
        list: &[u8],
        cas: &[CertificateDer<'static>],
    ) -> Result<(), LoadError> {
        let facts = RevocationListFacts::of(list).map_err(|error| LoadError::content(flag, path, &error))?;
        let subject = |ca: &CertificateDer<'static>| {
            CertificateFacts::of(ca).is_ok_and(|facts_of| facts_of.subject == facts.issuer)
        };
        let claimed = cas.iter().any(subject);
        if claimed && !cas.iter().any(|ca| RevocationListFacts::is_signed_by(list, ca)) {
            self.doubt(
                flag,
                path,
                &format!("the list of {} is not signed by that CA: publish it again", facts.issuer),
            )?;
        }
        let Some(next_update) = facts.next_update else {
            return self.doubt(
                flag,
                path,
                &format!("the CRL of {} has no next update: publish it with one", facts.issuer),
            );
        };
        if next_update < self.now {
            let since = certs::rfc3339(next_update);
            self.doubt(flag, path, &format!("the list of {} has expired on {since}: publish a new one", facts.issuer))?;
        }
        self.certificates.push(CertificateStatus::of_list(flag, &facts, next_update));
        Ok(())
    }

    /// Reports a defect that etcd ignores: a warning, or with `--strict-file-checks` a refusal.
    fn doubt(&mut self, flag: &'static str, path: &Path, reason: &str) -> Result<(), LoadError> {
        if self.strict {
            return Err(LoadError::content(flag, path, &reason));
        }
        self.warnings.push(format!("{flag} {}: {reason}", path.display()));
        Ok(())
    }

    fn private_key(&mut self, flag: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
        let failed = |source| LoadError::File { setting: flag, source };
        match certs::files::check_private(path) {
            Err(error @ certs::Error::Exposed { .. }) if !self.strict => self.warnings.push(format!("{flag}: {error}")),
            checked => checked.map_err(failed)?,
        }
        let file = certs::files::read(path).map_err(failed)?;
        let text = String::from_utf8_lossy(&file);
        if text.contains("ENCRYPTED") {
            let reason =
                "the key is encrypted, and a daemon cannot decrypt it: write it with `openssl pkey -in FILE -out NEW`";
            return Err(LoadError::content(flag, path, &reason));
        }
        // As in etcd, the first key of a file counts.
        let key = PrivateKeyDer::pem_slice_iter(&file).next().and_then(Result::ok);
        key.ok_or_else(|| LoadError::content(flag, path, &"no private key in PEM form found"))
    }
}

/// The weakness of a certificate that is accepted nevertheless, with the remedy.
pub(crate) fn weakness_of(certificate: &ParsedCertificate) -> Option<String> {
    let mut found = Vec::new();
    if let KeyKind::Rsa { bits: bits @ ..2048 } = certificate.key_kind() {
        found.push(format!("its RSA key of {bits} bits is weak"));
    }
    if certificate.version() < 3 {
        found.push(format!("it is of X.509 version {}, so its use cannot be restricted", certificate.version()));
    }
    if certificate.has_ca_flag() {
        found.push("it is a CA certificate, so its key can issue other certificates".to_owned());
    }
    let remedy = "issue an X.509 version 3 certificate with CA:FALSE and a key of RSA 2048 or ECDSA P-256";
    (!found.is_empty()).then(|| format!("the certificate is weak: {}; {remedy}", found.join(", ")))
}
