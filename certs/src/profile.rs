//! The purpose of a certificate, and its consequences.

use crate::CaKind;
use rcgen::ExtendedKeyUsagePurpose;

/// The purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Serves clients. It can be shown as a client too, which etcd's gateway does with it.
    Server,
    /// Shown to other members, in both directions.
    Peer,
    /// A user: the common name is the user's.
    Client,
    /// The user `root`.
    Admin,
    /// Reads metrics. Its common name is a user without any role.
    Metrics,
}

impl Profile {
    pub const ALL: [Self; 5] = [Self::Server, Self::Peer, Self::Client, Self::Admin, Self::Metrics];

    /// As operators write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Returns the kind of CA that issues it: members trust another CA than clients do.
    #[must_use]
    pub fn ca(self) -> CaKind {
        match self {
            Self::Peer => CaKind::Peer,
            Self::Server | Self::Client | Self::Admin | Self::Metrics => CaKind::Client,
        }
    }

    /// Returns `true` if others connect to its holder, which must then be named in it.
    #[must_use]
    pub fn is_dialled(self) -> bool {
        matches!(self, Self::Server | Self::Peer)
    }

    /// The common name that it always has; others choose theirs.
    #[must_use]
    pub fn fixed_common_name(self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("root"),
            Self::Metrics => Some("metrics"),
            Self::Server | Self::Peer | Self::Client => None,
        }
    }

    pub(crate) fn usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Server | Self::Peer => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Self::Client | Self::Admin | Self::Metrics => vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}
