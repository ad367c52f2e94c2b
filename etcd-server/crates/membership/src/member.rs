//! A member, and its record in [`Table::Members`]: id, big-endian, to the JSON that etcd keeps in
//! bucket `members`.

use crate::json;
use proto::etcdserverpb;
use schema::{Batch, Cursor, Table, View};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{Fault, MemberId};

/// One member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Never 0 and never used twice.
    pub id: MemberId,
    /// Its URLs for other members.
    pub peer_urls: Vec<String>,
    /// Receives the log but does not vote.
    pub is_learner: bool,
    /// Empty until the member has started and published it.
    pub name: String,
    /// Its URLs for clients; empty until published.
    pub client_urls: Vec<String>,
}

/// The JSON form; the order of fields is etcd's.
#[derive(Serialize, Deserialize)]
pub(crate) struct MemberJson {
    pub(crate) id: u64,
    #[serde(rename = "peerURLs", default, serialize_with = "null_if_empty", deserialize_with = "empty_if_null")]
    pub(crate) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_learner: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(rename = "clientURLs", default, skip_serializing_if = "Vec::is_empty", deserialize_with = "empty_if_null")]
    pub(crate) client_urls: Vec<String>,
}

fn null_if_empty<S: serde::Serializer>(urls: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if urls.is_empty() { serializer.serialize_none() } else { urls.serialize(serializer) }
}

fn empty_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl From<Member> for MemberJson {
    fn from(member: Member) -> Self {
        let Member { id, peer_urls, is_learner, name, client_urls } = member;
        Self { id: id.0, peer_urls, is_learner, name, client_urls }
    }
}

impl From<MemberJson> for Member {
    fn from(json: MemberJson) -> Self {
        let MemberJson { id, peer_urls, is_learner, name, client_urls } = json;
        Self { id: MemberId(id), peer_urls, is_learner, name, client_urls }
    }
}

impl Member {
    /// Returns `true` if the member has ever run: it publishes its name when it starts.
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }

    /// The JSON of a backup's bucket `members`.
    pub fn to_json(&self) -> String {
        json::encode(&MemberJson::from(self.clone()))
    }

    /// Reads that JSON; unknown fields are passed over.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<MemberJson>(text).map(Self::from)
    }

    /// As answered to clients.
    pub fn to_wire(&self) -> etcdserverpb::Member {
        etcdserverpb::Member {
            id: self.id.0,
            name: self.name.clone(),
            peer_ur_ls: self.peer_urls.clone(),
            client_ur_ls: self.client_urls.clone(),
            is_learner: self.is_learner,
        }
    }
}

/// Reads the JSON by which a member of etcd 3.5 publishes its name and client URLs.
pub fn attributes_from_json(text: &[u8]) -> Result<(String, Vec<String>), serde_json::Error> {
    #[derive(Deserialize)]
    struct Attributes {
        #[serde(default)]
        name: String,
        #[serde(rename = "clientURLs", default, deserialize_with = "empty_if_null")]
        client_urls: Vec<String>,
    }
    serde_json::from_slice(text).map(|Attributes { name, client_urls }| (name, client_urls))
}

pub(crate) fn write(batch: &mut dyn Batch, member: &Member) {
    batch.put(Table::Members, &member.id.0.to_be_bytes(), member.to_json().as_bytes());
}

pub(crate) fn remove(batch: &mut dyn Batch, id: MemberId) {
    batch.delete(Table::Members, &id.0.to_be_bytes());
    batch.put(Table::RemovedMembers, &id.0.to_be_bytes(), b"removed");
}

pub(crate) fn read_all(view: &impl View) -> Result<BTreeMap<MemberId, Member>, Fault> {
    let mut members = BTreeMap::new();
    let mut cursor = view.cursor(Table::Members, None)?;
    cursor.seek(&[])?;
    while let Some((key, value)) = cursor.item() {
        let id = decode_key(key)?;
        let member =
            Member::from_json(value).map_err(|error| Fault::corrupt(format_args!("member record {id}"), error))?;
        if member.id != id {
            return Err(Fault::corrupt(
                format_args!("member record {id}"),
                format_args!("speaks of member {}", member.id),
            ));
        }
        members.insert(id, member);
        cursor.next()?;
    }
    Ok(members)
}

pub(crate) fn read_removed(view: &impl View) -> Result<BTreeSet<MemberId>, Fault> {
    let mut removed = BTreeSet::new();
    let mut cursor = view.cursor(Table::RemovedMembers, None)?;
    cursor.seek(&[])?;
    while let Some((key, _)) = cursor.item() {
        removed.insert(decode_key(key)?);
        cursor.next()?;
    }
    Ok(removed)
}

fn decode_key(key: &[u8]) -> Result<MemberId, Fault> {
    let bytes = key
        .try_into()
        .map_err(|_| Fault::corrupt(format_args!("member key {}", key.escape_ascii()), "is not eight bytes long"))?;
    Ok(MemberId(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::MemoryStore;

    #[test]
    fn records_are_etcds_json() {
        let mut member = Member {
            id: MemberId(u64::MAX),
            peer_urls: vec!["http://a:2380".to_owned(), "http://b:2380".to_owned()],
            is_learner: true,
            name: "<a>&\u{2028}\u{7f}\t\"é".to_owned(),
            client_urls: vec!["http://a:2379".to_owned()],
        };
        let json = r#"{"id":18446744073709551615,"peerURLs":["http://a:2380","http://b:2380"],"isLearner":true,"name":"\u003ca\u003e\u0026\u2028#\t\"é","clientURLs":["http://a:2379"]}"#
            .replace('#', "\u{7f}");
        assert_eq!(member.to_json(), json);
        assert_eq!(Member::from_json(json.as_bytes()).unwrap(), member);
        member = Member { id: MemberId(1), ..Member::default() };
        assert_eq!(member.to_json(), r#"{"id":1,"peerURLs":null}"#);
        assert_eq!(Member::from_json(br#"{"peerURLs":null,"later":{},"id":1}"#).unwrap(), member);
    }

    #[test]
    fn damage_is_a_fault() {
        for (key, value) in
            [(&[0; 7][..], &br#"{"id":1}"#[..]), (&[0, 0, 0, 0, 0, 0, 0, 2], br#"{"id":1}"#), (&[0; 8], b"")]
        {
            let mut store = MemoryStore::new();
            store.put(Table::Members, key, value);
            assert!(read_all(&store).is_err(), "{key:?}");
        }
        let mut store = MemoryStore::new();
        store.put(Table::RemovedMembers, b"short", b"removed");
        assert!(read_removed(&store).is_err());
    }
}
