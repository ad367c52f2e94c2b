//! The daemon's configuration file of one host.

use super::host::Host;
use crate::host::{FLAGS, list_name};
use admin_ui::error::{CliError, FAILED};
use certs::CaKind;
use serde_norway::{Mapping, Value};

/// Settings that count only when a member starts for the first time. A host that runs keeps its
/// own.
pub(crate) const FOUNDING: [&str; 3] = ["initial-cluster", "initial-cluster-state", "initial-cluster-token"];

/// Settings that follow from the document, and may not be said beside it.
pub(super) const OWN: [&str; 13] = [
    "name",
    "data-dir",
    "listen-client-urls",
    "advertise-client-urls",
    "listen-peer-urls",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "quota-backend-bytes",
    "auto-compaction-retention",
    "client-transport-security",
    "peer-transport-security",
];

impl Host<'_> {
    /// Returns every setting of an initial member, in the order of the file.
    pub(crate) fn settings(&self) -> Mapping {
        let file = self.file;
        let mut all = Mapping::new();
        let mut say = |key: &str, value: Value| drop(all.insert(key.into(), value));
        say("name", self.entry.name.clone().into());
        say("data-dir", self.data_dir().display().to_string().into());
        say("listen-client-urls", self.listen_client_url().into());
        say("advertise-client-urls", self.client_url().into());
        say("listen-peer-urls", self.listen_peer_url().into());
        say("initial-advertise-peer-urls", self.peer_url().into());
        say("initial-cluster", file.initial_cluster().into());
        say("initial-cluster-token", file.token.clone().into());
        say("initial-cluster-state", "new".into());
        if let Some(bytes) = file.quota.as_ref().and_then(super::document::Size::bytes) {
            say("quota-backend-bytes", bytes.into());
        }
        if file.auto_compaction != "off" {
            say("auto-compaction-mode", "periodic".into());
            say("auto-compaction-retention", file.auto_compaction.clone().into());
        }
        if file.tls.enabled {
            say("client-transport-security", self.transport("", file.tls.client_cert_auth).into());
            say("peer-transport-security", self.transport("peer-", true).into());
        }
        for (key, value) in file.settings.iter().chain(&self.entry.settings) {
            all.insert(key.clone(), value.clone());
        }
        all
    }

    /// Adds the revocation lists that are on the host. Without the keys a member would ignore them;
    /// with a key and no file it would not start.
    pub(crate) fn enforce(&self, mut settings: Mapping, lists: &[CaKind]) -> Mapping {
        for kind in lists {
            let section = match kind {
                CaKind::Client => "client-transport-security",
                CaKind::Peer => "peer-transport-security",
            };
            if let Some(Value::Mapping(section)) = settings.get_mut(section) {
                let path = self.certificates().join("current").join(list_name(*kind));
                section.insert("crl-file".into(), path.display().to_string().into());
            }
        }
        settings
    }

    /// One listener's files, by the flags that they are for.
    fn transport(&self, prefix: &str, shown: bool) -> Mapping {
        let current = self.certificates().join("current");
        let mut section = Mapping::new();
        for (name, flag) in FLAGS {
            let peers = flag.starts_with("peer-");
            let key = flag.strip_prefix("peer-").unwrap_or(flag);
            // Only where a list is on the host, see `enforce`.
            if peers == (prefix == "peer-") && !key.ends_with("crl-file") {
                section.insert(key.into(), current.join(name).display().to_string().into());
            }
        }
        section.insert("client-cert-auth".into(), shown.into());
        section
    }
}

/// A mapping as a configuration file.
pub(crate) fn yaml_text(head: &str, settings: &Mapping) -> Result<String, CliError> {
    let text =
        serde_norway::to_string(settings).map_err(|error| CliError::new(FAILED, format!("write YAML: {error}")))?;
    Ok(format!("{head}{text}"))
}
