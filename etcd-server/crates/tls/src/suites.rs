//! Protocol versions and cipher suites: Go's names on one side, rustls on the other.

use crate::error::LoadError;
use crate::settings::EndpointSettings;
use config::TlsVersion;
use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::Arc;

/// Cryptography with the suites that the settings leave.
pub(crate) fn provider(settings: &EndpointSettings) -> Result<Arc<CryptoProvider>, LoadError> {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        let wanted: Vec<_> = settings.cipher_suites.iter().filter_map(|name| suite(name)).collect();
        let needs_older = versions(settings).contains(&&rustls::version::TLS12);
        // As in Go, the suites of TLS 1.3 are not for choosing.
        let (newer, older): (Vec<_>, Vec<_>) =
            provider.cipher_suites.into_iter().partition(|suite| suite.tls13().is_some());
        let older: Vec<_> =
            wanted.iter().filter_map(|name| older.iter().find(|suite| suite.suite() == *name).copied()).collect();
        if needs_older && older.is_empty() && !newer_allowed(settings) {
            let reason = "none of them is served: suites without forward secrecy or with CBC, RC4 or 3DES are not; name a GCM or CHACHA20 suite";
            return Err(LoadError::setting("--cipher-suites", &reason));
        }
        provider.cipher_suites = older.into_iter().chain(newer).collect();
    }
    Ok(Arc::new(provider))
}

/// Suites that were asked for by name and are not served.
pub(crate) fn unserved(settings: &EndpointSettings) -> Vec<&str> {
    let served = aws_lc_rs::default_provider().cipher_suites;
    let is_served = |name: &str| suite(name).is_some_and(|suite| served.iter().any(|served| served.suite() == suite));
    settings.cipher_suites.iter().map(String::as_str).filter(|name| !is_served(name)).collect()
}

/// The versions that the settings leave, newest first.
pub(crate) fn versions(settings: &EndpointSettings) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if newer_allowed(settings) {
        versions.push(&rustls::version::TLS13);
    }
    if settings.version_min == TlsVersion::Tls12 {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

fn newer_allowed(settings: &EndpointSettings) -> bool {
    settings.version_max != Some(TlsVersion::Tls12)
}

fn suite(go_name: &str) -> Option<rustls::CipherSuite> {
    use rustls::CipherSuite as Suite;
    Some(match go_name {
        "TLS_AES_128_GCM_SHA256" => Suite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_256_GCM_SHA384" => Suite::TLS13_AES_256_GCM_SHA384,
        "TLS_CHACHA20_POLY1305_SHA256" => Suite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        _ => return None,
    })
}
