//! The document as it is written.

use serde::{Deserialize, Serialize};
use serde_norway::Mapping;
use std::net::IpAddr;

/// The form that this tool knows.
pub(super) const SCHEMA_VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterFile {
    #[serde(default = "schema_version")]
    pub(crate) schema: u32,
    /// For people and for confirmations.
    pub(crate) name: String,
    /// The token that distinguishes this cluster from every other one; the ids of its members
    /// follow from it.
    pub(crate) token: String,
    pub(crate) members: Vec<MemberEntry>,
    #[serde(default = "client_port")]
    pub(crate) client_port: u16,
    #[serde(default = "peer_port")]
    pub(crate) peer_port: u16,
    #[serde(default = "data_dir")]
    pub(crate) data_dir: String,
    #[serde(default = "config_file")]
    pub(crate) config_file: String,
    /// The user of the daemon.
    #[serde(default = "user")]
    pub(crate) user: String,
    /// Bytes of revisions, such as `8GiB`; etcd's default if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<Size>,
    /// The kept history, as a duration; `off` if another program compacts.
    #[serde(default = "auto_compaction")]
    pub(crate) auto_compaction: String,
    #[serde(default)]
    pub(crate) tls: Tls,
    /// Without it the packages' own schedule stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<Backup>,
    /// Any other setting of the daemon, by its name in etcd's configuration file.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub(crate) settings: Mapping,
    /// For other tools: nothing here reads it.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub(crate) vars: Mapping,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberEntry {
    pub(crate) name: String,
    /// Name or address by which members and clients reach it. An IPv6 address may be in brackets.
    #[serde(deserialize_with = "host")]
    pub(crate) host: String,
    /// Its listen address; `host` where that is an address, else all addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_port: Option<u16>,
    /// More names for its certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) names: Vec<String>,
    /// In place of the cluster's, key by key.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub(crate) settings: Mapping,
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub(crate) vars: Mapping,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    pub(crate) enabled: bool,
    /// `true` if clients have to show a certificate; members always do.
    pub(crate) client_cert_auth: bool,
    pub(crate) directory: String,
    /// Kind of the members' keys.
    pub(crate) key: String,
    /// Days that their certificates live.
    pub(crate) days: u32,
}

impl Default for Tls {
    fn default() -> Self {
        let directory = "/etc/etcd/pki".to_owned();
        Self { enabled: true, client_cert_auth: true, directory, key: "p256".to_owned(), days: 365 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backup {
    pub(crate) directory: String,
    /// As systemd writes it in `OnCalendar`.
    pub(crate) calendar: String,
    pub(crate) keep: Keep,
    /// A file with ETCDCTL_USER=NAME:PASSWORD of a user with the role root; needed once
    /// authentication is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<String>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            directory: "/var/backups/etcd".to_owned(),
            calendar: "*-*-* 00,12:00:00".to_owned(),
            keep: Keep::default(),
            credentials: None,
        }
    }
}

/// Number of kept snapshots of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keep {
    pub(crate) last: u32,
    pub(crate) hourly: u32,
    pub(crate) daily: u32,
    pub(crate) weekly: u32,
    pub(crate) monthly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { last: 4, hourly: 0, daily: 7, weekly: 4, monthly: 0 }
    }
}

/// Bytes: a number, or a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Size {
    Bytes(u64),
    Text(String),
}

impl Size {
    /// None where the text is no size.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(*bytes),
            Self::Text(text) => {
                let digits = text.trim().trim_end_matches(|letter: char| !letter.is_ascii_digit());
                let unit = match text.trim()[digits.len()..].trim() {
                    "" | "B" => 1,
                    "KiB" => 1 << 10,
                    "MiB" => 1 << 20,
                    "GiB" => 1 << 30,
                    _ => return None,
                };
                digits.parse::<u64>().ok()?.checked_mul(unit)
            }
        }
    }
}

fn host<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| without_brackets(&text).to_owned())
}

/// Returns an IPv6 address without the brackets that it has in URLs; other texts as they are.
pub(crate) fn without_brackets(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()).unwrap_or(text)
}

fn schema_version() -> u32 {
    SCHEMA_VERSION
}

fn client_port() -> u16 {
    2379
}

fn peer_port() -> u16 {
    2380
}

fn data_dir() -> String {
    "/var/lib/etcd".to_owned()
}

fn config_file() -> String {
    "/etc/etcd/etcd.yaml".to_owned()
}

fn user() -> String {
    "etcd".to_owned()
}

fn auto_compaction() -> String {
    "1h".to_owned()
}

impl ClusterFile {
    /// With a fresh token and every default.
    pub(crate) fn new(name: &str, members: Vec<MemberEntry>, token: String) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            name: name.to_owned(),
            token,
            members,
            client_port: client_port(),
            peer_port: peer_port(),
            // A directory that no other package owns. The default stays: a document without the key
            // may be that of running members.
            data_dir: "/var/lib/etcd-appliance".to_owned(),
            config_file: config_file(),
            user: user(),
            quota: Some(Size::Text("8GiB".to_owned())),
            auto_compaction: auto_compaction(),
            tls: Tls::default(),
            backup: Some(Backup::default()),
            settings: Mapping::new(),
            vars: Mapping::new(),
        }
    }
}

impl MemberEntry {
    pub(crate) fn new(name: &str, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            listen: None,
            client_port: None,
            peer_port: None,
            names: Vec::new(),
            settings: Mapping::new(),
            vars: Mapping::new(),
        }
    }
}
