//! The downgrade that is under way, if any: kept as the JSON of etcd's bucket `cluster`, key `downgrade`.

use crate::json;
use serde::{Deserialize, Serialize};

/// Whether the cluster goes down to an earlier version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downgrade {
    /// For example `3.6.0`; empty when none is under way.
    #[serde(rename = "target-version", default)]
    pub target_version: String,
    /// Whether one is under way.
    #[serde(default)]
    pub enabled: bool,
}

impl Downgrade {
    /// The JSON of a backup.
    pub fn to_json(&self) -> String {
        json::encode(self)
    }

    /// Reads that JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}
