//! Given settings that this release cannot obey, and must therefore not start with.
//!
//! A daemon that starts a cluster of its own where one was to be joined does harm; one that says so and stops does not. Entries leave
//! this file as the features arrive.

use std::fmt;

use crate::settings::{Bootstrap, Settings};

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

pub(super) fn find(settings: &Settings) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut add = |setting: &str, text: String| found.push(Unsupported { setting: format!("--{setting}"), text });
    match &settings.cluster.bootstrap {
        Bootstrap::InitialCluster(_) => {}
        Bootstrap::Discovery(_) => add("discovery-endpoints", "discovery is not served yet".to_owned()),
        Bootstrap::DnsSrv { .. } => add("discovery-srv", "discovery is not served yet".to_owned()),
    }
    found
}
