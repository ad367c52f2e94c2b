//! A member, and its record in [`Table::Members`]: id, big-endian, to the JSON that etcd keeps in bucket `members`.

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
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Receives the log but does not vote.
    pub is_learner: bool,
    /// Empty until the member has started and published it.
    pub name: String,
    /// Where clients reach it; empty until published.
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

#[expect(clippy::ptr_arg, reason = "serde hands over the field as it is")]
fn null_if_empty<S: serde::Serializer>(urls: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
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
    /// Whether the member has ever run: it publishes its name when it starts.
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
        let member = Member::from_json(value).map_err(|error| Fault::corrupt(format_args!("member record {id}"), error))?;
        if member.id != id {
            return Err(Fault::corrupt(format_args!("member record {id}"), format_args!("speaks of member {}", member.id)));
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
    let bytes = key.try_into().map_err(|_| Fault::corrupt(format_args!("member key {}", key.escape_ascii()), "is not eight bytes long"))?;
    Ok(MemberId(u64::from_be_bytes(bytes)))
}
