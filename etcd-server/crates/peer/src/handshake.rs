//! The identity that members exchange before messages, and the refusal of others.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use membership::Version;
use types::{ClusterId, MemberId};

/// The sender.
pub(crate) const FROM: HeaderName = HeaderName::from_static("x-server-from");
/// The sender's version.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-server-version");
/// The oldest version that the sender works with.
pub(crate) const MINIMUM_VERSION: HeaderName = HeaderName::from_static("x-min-cluster-version");
/// The sender's cluster.
pub(crate) const CLUSTER: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
/// The peer URLs of the sender.
pub(crate) const PEER_URLS: HeaderName = HeaderName::from_static("x-peerurls");
/// The intended receiver; on streams only.
pub(crate) const TO: HeaderName = HeaderName::from_static("x-raft-to");

/// Not etcd's: the sender honours the fences of forwarded proposals, see [`crate::Local::fencing`].
pub(crate) const FENCES: HeaderName = HeaderName::from_static("x-proposal-fences");
/// Not etcd's: which state is sent.
pub(crate) const TRANSFER: HeaderName = HeaderName::from_static("x-state-transfer");
/// Not etcd's: from which of its bytes on.
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("x-state-offset");

/// The form of fences that this program honours.
pub(crate) const FENCES_VERSION: &str = "1";

/// Returns `true` if a member that sends these headers honours the fences of proposals.
pub(crate) fn honours_fences(headers: &HeaderMap) -> bool {
    headers.get(&FENCES).is_some_and(|version| version == FENCES_VERSION)
}

/// The oldest version that this program works with, as etcd 3.4 to 3.7 say.
const OLDEST: Version = Version::new(3, 0, 0);

/// The identity of this member for its peers.
#[derive(Clone, Debug)]
pub struct PeerIdentity {
    /// This member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its version.
    pub version: Version,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
}

impl PeerIdentity {
    /// The headers of a request to `to`.
    pub(crate) fn headers(&self, to: Option<u64>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, text: String| {
            // Hex numbers, versions and parsed URLs are always legal in a header.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        };
        put(FROM, self.member.to_string());
        put(VERSION, self.version.to_string());
        put(MINIMUM_VERSION, OLDEST.to_string());
        put(CLUSTER, self.cluster.to_string());
        put(PEER_URLS, self.peer_urls.join(","));
        put(FENCES, FENCES_VERSION.to_owned());
        if let Some(to) = to {
            put(TO, MemberId(to).to_string());
        }
        headers
    }
}

/// The reason why a request of a peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The versions do not work together.
    #[error("incompatible version")]
    Version,
    /// The sender belongs to another cluster.
    #[error("cluster ID mismatch")]
    Cluster,
    /// The request was meant for another member.
    #[error("to field mismatch")]
    Member,
}

impl Mismatch {
    pub(crate) const STATUS: StatusCode = StatusCode::PRECONDITION_FAILED;

    /// Returns what an operator does about it.
    pub(crate) fn remedy(self) -> &'static str {
        crate::link::Cause::of_mismatch(self).remedy()
    }

    /// Returns the meaning of a refusal by another member.
    pub(crate) fn from_body(body: &[u8]) -> Option<Self> {
        [Self::Version, Self::Cluster, Self::Member]
            .into_iter()
            .find(|mismatch| body.trim_ascii() == mismatch.to_string().as_bytes())
    }
}

/// Checks that a request with these headers comes from a member of a compatible version of the same
/// cluster.
pub(crate) fn check(headers: &HeaderMap, own: &PeerIdentity) -> Result<(), Mismatch> {
    let version = |name| match headers.get(name) {
        None => Some(Version::new(2, 0, 0)),
        Some(value) => value.to_str().ok()?.parse::<Version>().ok(),
    };
    let (theirs, minimum) =
        (version(&VERSION).ok_or(Mismatch::Version)?, version(&MINIMUM_VERSION).ok_or(Mismatch::Version)?);
    if theirs.cluster() < OLDEST || minimum.cluster() > own.version.cluster() {
        return Err(Mismatch::Version);
    }
    let cluster = headers.get(&CLUSTER).and_then(|value| value.to_str().ok());
    if cluster == Some(own.cluster.to_string().as_str()) { Ok(()) } else { Err(Mismatch::Cluster) }
}

/// A member id in a header or path: hex.
pub(crate) fn id_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> PeerIdentity {
        let peer_urls = vec!["http://a:1".to_owned(), "http://b:1".to_owned()];
        PeerIdentity { member: MemberId(0xab), cluster: ClusterId(0xcd), version: Version::new(3, 7, 1), peer_urls }
    }

    #[test]
    fn a_member_is_understood_by_its_like() {
        let headers = own().headers(Some(0x1f));
        assert_eq!(check(&headers, &own()), Ok(()));
        let text: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        for expected in
            ["x-server-from=ab", "x-server-version=3.7.1", "x-peerurls=http://a:1,http://b:1", "x-raft-to=1f"]
        {
            assert!(text.iter().any(|line| line == expected), "{expected}: {text:?}");
        }
    }

    #[test]
    fn others_are_turned_away() {
        let with = |name: &HeaderName, value: Option<&'static str>| {
            let mut headers = own().headers(None);
            match value {
                Some(value) => drop(headers.insert(name, HeaderValue::from_static(value))),
                None => drop(headers.remove(name)),
            }
            check(&headers, &own())
        };
        assert_eq!(with(&VERSION, None), Err(Mismatch::Version));
        assert_eq!(with(&VERSION, Some("2.3.8")), Err(Mismatch::Version));
        assert_eq!(with(&VERSION, Some("v3.5")), Err(Mismatch::Version));
        assert_eq!(with(&VERSION, Some("3.9.0")), Ok(()));
        assert_eq!(with(&MINIMUM_VERSION, Some("3.8.0")), Err(Mismatch::Version));
        assert_eq!(with(&CLUSTER, Some("ce")), Err(Mismatch::Cluster));
        assert_eq!(with(&CLUSTER, None), Err(Mismatch::Cluster));
        assert_eq!(Mismatch::from_body(b"cluster ID mismatch\n"), Some(Mismatch::Cluster));
    }
}
