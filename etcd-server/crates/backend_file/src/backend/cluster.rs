//! Buckets `members`, `members_removed`, `cluster` and `alarm`.

use super::go_json;
use super::record::{Entry, RecordError, decode, encode, text};
use bytes::Bytes;
use proto::etcdserverpb::AlarmMember;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::MemberId;

/// In `cluster`: a [`Version`] as text.
pub const CLUSTER_VERSION_KEY: &[u8] = b"clusterVersion";

/// In `cluster`, since 3.5: a [`Downgrade`].
pub const DOWNGRADE_KEY: &[u8] = b"downgrade";

/// The value of every key in `members_removed`.
pub const REMOVED_VALUE: &[u8] = b"removed";

/// A member as JSON, keys in etcd's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The member's id; never 0.
    pub id: u64,
    /// Its URLs for other members; none is written as `null`.
    #[serde(rename = "peerURLs", default, with = "nullable")]
    pub peer_urls: Vec<String>,
    /// `true` if it has no vote yet.
    #[serde(rename = "isLearner", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_learner: bool,
    /// Its name, once published.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its URLs for clients, once published.
    #[serde(rename = "clientURLs", default, with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub client_urls: Vec<String>,
}

impl MemberRecord {
    /// The entry of `members`.
    pub fn entry(&self) -> Entry {
        (member_key(MemberId(self.id)), go_json::to_bytes(self).into())
    }

    /// Reads a value of `members`.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        serde_json::from_slice(value).map_err(|error| RecordError::new("member", error))
    }
}

/// A list that is `null` when empty.
mod nullable {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// The key of a member, in `members` and in `members_removed`: lower-case hex without leading
/// zeros.
pub fn member_key(id: MemberId) -> Bytes {
    id.to_string().into()
}

/// Reads such a key.
pub fn member_id_from(key: &[u8]) -> Result<MemberId, RecordError> {
    let id = u64::from_str_radix(text("member id", key)?, 16).map(MemberId);
    id.map_err(|error| RecordError::new("member id", error))
}

/// A version of cluster or storage: `3.6.0`, the last number always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 3.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.0", self.major, self.minor)
    }
}

impl Version {
    /// The stored text.
    pub fn encode(self) -> Bytes {
        self.to_string().into()
    }

    /// Reads the stored text; the part behind the minor number is ignored.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let refuse = || RecordError::new("version", format!("{:?} is none", value.escape_ascii().to_string()));
        let mut numbers = text("version", value)?.splitn(3, '.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return Err(refuse()) };
        Ok(Self { major, minor })
    }
}

/// A downgrade of the cluster to an older version, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downgrade {
    /// The version aimed at, `3.5.0`; empty when there is none.
    #[serde(rename = "target-version", default)]
    pub target_version: String,
    /// `true` if a downgrade is under way.
    #[serde(default)]
    pub enabled: bool,
}

impl Downgrade {
    /// The stored JSON.
    pub fn encode(&self) -> Bytes {
        go_json::to_bytes(self).into()
    }

    /// Reads the stored JSON.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        serde_json::from_slice(value).map_err(|error| RecordError::new("downgrade", error))
    }
}

/// The entry of a raised alarm: all of it is key. Member 0 stands for the whole cluster.
pub fn alarm_entry(alarm: &AlarmMember) -> Entry {
    (encode(alarm), Bytes::new())
}

/// Reads the key of `alarm`.
pub fn alarm_from(key: Bytes) -> Result<AlarmMember, RecordError> {
    decode("alarm", key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(member: &MemberRecord, json: &str) {
        assert_eq!(member.entry().1, json);
        assert_eq!(MemberRecord::decode(json.as_bytes()).as_ref(), Ok(member));
    }

    #[test]
    fn members_are_written_as_etcd_does() {
        let mut member = MemberRecord {
            id: 223_626_786_896_561_539,
            peer_urls: vec!["http://127.0.0.1:52380".into()],
            is_learner: false,
            name: "n1".into(),
            client_urls: vec!["http://127.0.0.1:52379".into()],
        };
        let json = r#"{"id":223626786896561539,"peerURLs":["http://127.0.0.1:52380"],"name":"n1","clientURLs":["http://127.0.0.1:52379"]}"#;
        check(&member, json);
        assert_eq!(member.entry().0, "31a7b60bb3b4583");
        assert_eq!(member_id_from(b"31a7b60bb3b4583"), Ok(MemberId(member.id)));
        member =
            MemberRecord { is_learner: true, name: "<&>".into(), client_urls: vec![], peer_urls: vec![], ..member };
        check(&member, r#"{"id":223626786896561539,"peerURLs":null,"isLearner":true,"name":"\u003c\u0026\u003e"}"#);
    }

    #[test]
    fn downgrade_and_version_have_their_known_text() {
        assert_eq!(Downgrade::default().encode(), r#"{"target-version":"","enabled":false}"#);
        assert_eq!(Version { major: 3, minor: 6 }.encode(), "3.6.0");
        assert_eq!(Version::decode(b"3.6.0"), Ok(Version { major: 3, minor: 6 }));
        assert!(Version::decode(b"3").is_err() && Version::decode(b"x.y.z").is_err());
    }

    #[test]
    fn alarms_are_all_key() {
        let alarm = AlarmMember { member_id: 0, alarm: 2 };
        assert_eq!(alarm_entry(&alarm), (Bytes::from_static(&[0x10, 2]), Bytes::new()));
        assert_eq!(alarm_from(Bytes::from_static(&[0x08, 0x01, 0x10, 1])), Ok(AlarmMember { member_id: 1, alarm: 1 }));
    }
}
