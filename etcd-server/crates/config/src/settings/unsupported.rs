//! Given settings that this release cannot obey, and must therefore not start with.
//!
//! A daemon that serves plain text where TLS was asked for, or starts a cluster of its own where one was to be joined,
//! does harm; one that says so and stops does not. Entries leave this file as the features arrive.

use std::fmt;

use crate::merged::Merged;
use crate::settings::{Bootstrap, Settings};
use crate::url::Url;

/// A setting that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The flag's name, with dashes.
    pub setting: String,
    pub text: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}

/// Settings that ask for TLS by being given.
const TLS: &[&str] = &[
    "cert-file",
    "key-file",
    "client-cert-file",
    "client-key-file",
    "client-cert-auth",
    "client-crl-file",
    "client-cert-allowed-hostname",
    "trusted-ca-file",
    "auto-tls",
    "peer-cert-file",
    "peer-key-file",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-client-cert-auth",
    "peer-trusted-ca-file",
    "peer-cert-allowed-cn",
    "peer-cert-allowed-hostname",
    "peer-auto-tls",
    "peer-crl-file",
    "peer-skip-client-san-verification",
    "cipher-suites",
    "tls-min-version",
    "tls-max-version",
];

const URLS: &[&str] = &[
    "listen-peer-urls",
    "listen-client-urls",
    "listen-client-http-urls",
    "listen-metrics-urls",
    "initial-advertise-peer-urls",
    "advertise-client-urls",
];

pub(super) fn find(merged: &Merged, settings: &Settings) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut add = |setting: &str, text: String| found.push(Unsupported { setting: format!("--{setting}"), text });
    for flag in TLS.iter().filter(|flag| asks_for_something(merged, flag)) {
        add(flag, "TLS is not served yet; connections would be plain text".to_owned());
    }
    for flag in URLS {
        for url in merged.urls(flag).iter().filter(|url: &&Url| url.scheme().is_secure()) {
            add(flag, format!("TLS is not served yet; {url} would be plain text"));
        }
    }
    match &settings.cluster.bootstrap {
        Bootstrap::InitialCluster(_) => {}
        Bootstrap::Discovery(_) => add("discovery-endpoints", "discovery is not served yet".to_owned()),
        Bootstrap::DnsSrv { .. } => add("discovery-srv", "discovery is not served yet".to_owned()),
    }
    found
}

/// A flag given with its default value, such as `--auto-tls=false`, asks for nothing.
fn asks_for_something(merged: &Merged, flag: &str) -> bool {
    merged.is_given(flag) && !merged.has_default_value(flag)
}
