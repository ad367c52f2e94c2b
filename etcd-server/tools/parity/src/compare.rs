//! Brings responses to a form in which two servers that behave alike are equal: names that each
//! server chooses are replaced by their meaning, lists without an order are sorted, and counts of
//! time or bytes are only checked to be there.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proto::{
    etcdserverpb::WatchResponse,
    mvccpb::{Event, KeyValue},
};
use serde_json::{Map, Value, json};

use crate::{side::number, wire::WireResponse};

/// The names that one server gives to common things.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) member: u64,
    /// Leases whose id the server chose, in the order of granting.
    pub(crate) leases: &'a [i64],
    pub(crate) client_url: String,
    pub(crate) peer_url: String,
}

/// The answer as one value, `{"ok": …}` or `{"error": …}`, in the comparable form.
pub(crate) fn comparable(answer: &WireResponse, names: &Names<'_>) -> Value {
    match answer {
        WireResponse::Ok(value) => {
            let mut value = value.clone();
            names.replace_in(&mut value);
            json!({ "ok": value })
        }
        WireResponse::Error(status) => {
            json!({ "error": { "code": format!("{:?}", status.code()), "message": status.message() } })
        }
    }
}

/// Programs choose small ids; a server chooses anywhere in 63 bits, so nearly always above this.
const LEASE_CHOSEN_BY_US_MAX: i64 = 1 << 32;

/// The longest that a program may run before a remaining time to live says something else than
/// "hardly used".
const TTL_USED_MAX_SECONDS: i64 = 300;

/// Fields with bytes on disk, raft's progress or the program's version: compared in being there
/// alone.
const OWN_FIELDS: [&str; 9] = [
    "cluster_id",
    "member_id",
    "raft_term",
    "version",
    "dbSize",
    "dbSizeInUse",
    "raftIndex",
    "raftTerm",
    "raftAppliedIndex",
];

impl Names<'_> {
    fn replace_in(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    self.replace_field(name, field);
                    self.replace_in(field);
                }
                forget_time_used(fields);
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace_in(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn replace_field(&self, name: &str, field: &mut Value) {
        match (name, &mut *field) {
            ("token", _) => *field = "token".into(),
            (name, Value::String(_)) if OWN_FIELDS.contains(&name) => *field = "set".into(),
            ("ID" | "memberID" | "lease" | "leader", Value::String(id)) => {
                if let Some(name) = self.id(id) {
                    *field = name.into();
                }
            }
            ("key", Value::String(key)) => *key = self.key_text(key),
            ("keys", Value::Array(keys)) => {
                keys.iter_mut()
                    .filter_map(|key| if let Value::String(key) = key { Some(key) } else { None })
                    .for_each(|key| *key = self.key_text(key));
                sort(keys);
            }
            ("peerURLs" | "clientURLs", Value::Array(urls)) => urls.iter_mut().for_each(|url| self.url(url)),
            ("errors", Value::Array(errors)) => {
                errors.iter_mut().for_each(|error| self.alarm_text(error));
                sort(errors);
            }
            ("alarms" | "leases", Value::Array(items)) => {
                items.iter_mut().for_each(|item| self.replace_in(item));
                sort(items);
            }
            _ => {}
        }
    }

    fn id(&self, id: &str) -> Option<String> {
        if id == self.member.to_string() {
            return Some("$member".to_owned());
        }
        let id: i64 = id.parse().ok()?;
        match self.lease_index(id) {
            Some(index) => Some(format!("$lease{index}")),
            // A lease that a server made for a lock which it then refused: no client got its id.
            None => (id > LEASE_CHOSEN_BY_US_MAX).then(|| "$lease?".to_owned()),
        }
    }

    fn lease_index(&self, id: i64) -> Option<usize> {
        self.leases.iter().position(|lease| *lease == id)
    }

    fn url(&self, url: &mut Value) {
        if *url == self.client_url {
            *url = "$client".into();
        } else if *url == self.peer_url {
            *url = "$peer".into();
        }
    }

    /// `memberID:1 alarm:NOSPACE`: blanks differ between versions.
    fn alarm_text(&self, error: &mut Value) {
        if let Value::String(text) = error {
            let words: Vec<_> = text.split_whitespace().collect();
            *text = words.join(" ").replace(&self.member.to_string(), "$member");
        }
    }

    fn key_text(&self, key: &str) -> String {
        match STANDARD.decode(key) {
            Ok(bytes) => STANDARD.encode(self.key(&bytes.into())),
            Err(_) => key.to_owned(),
        }
    }

    /// Keys of locks end with their lease in hexadecimal.
    fn key(&self, key: &Bytes) -> Bytes {
        for (index, lease) in self.leases.iter().enumerate() {
            if let Some(name) = key.strip_suffix(format!("{lease:x}").as_bytes()) {
                return [name, format!("$lease{index}").as_bytes()].concat().into();
            }
        }
        key.clone()
    }

    /// An event in the comparable form.
    pub(crate) fn event(&self, event: &Event) -> Event {
        let kv = |kv: &Option<KeyValue>| kv.as_ref().map(|kv| self.key_value(kv));
        Event { r#type: event.r#type, kv: kv(&event.kv), prev_kv: kv(&event.prev_kv) }
    }

    fn key_value(&self, kv: &KeyValue) -> KeyValue {
        let lease = self.lease_index(kv.lease).and_then(|index| i64::try_from(index).ok());
        KeyValue { key: self.key(&kv.key), lease: lease.map_or(kv.lease, |index| i64::MIN + index), ..kv.clone() }
    }
}

/// A reply on a watch stream in the comparable form: ids of cluster and member and the term say
/// only that they are there.
pub(crate) fn comparable_reply(reply: &Result<WatchResponse, String>) -> String {
    let mut reply = match reply {
        Ok(reply) => reply.clone(),
        Err(reason) => return reason.clone(),
    };
    if let Some(header) = &mut reply.header {
        header.cluster_id = header.cluster_id.min(1);
        header.member_id = header.member_id.min(1);
        header.raft_term = header.raft_term.min(1);
    }
    format!("{reply:?}")
}

/// Removes a remaining time that is a little less than the granted one, because only time has
/// passed.
fn forget_time_used(fields: &mut Map<String, Value>) {
    let Some(granted) = fields.get("grantedTTL").and_then(number) else { return };
    if fields.get("TTL").and_then(number).is_some_and(|left| left <= granted && left > granted - TTL_USED_MAX_SECONDS) {
        fields.insert("TTL".to_owned(), "about all".into());
    }
}

fn sort(items: &mut [Value]) {
    items.sort_by_cached_key(ToString::to_string);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(value: Value) -> Value {
        let names = Names { member: 5, leases: &[0xabc], client_url: "http://c".into(), peer_url: "http://p".into() };
        comparable(&WireResponse::Ok(value), &names)["ok"].clone()
    }

    #[test]
    fn what_a_server_chooses_is_replaced_by_its_meaning() {
        let value = form(
            json!({"header": {"cluster_id": "9", "revision": "4"}, "ID": "2748", "leader": "5", "peerURLs": ["http://p"]}),
        );
        assert_eq!(
            value,
            json!({"header": {"cluster_id": "set", "revision": "4"}, "ID": "$lease0", "leader": "$member", "peerURLs": ["$peer"]})
        );
    }

    #[test]
    fn a_header_without_ids_stays_different() {
        assert_ne!(
            form(json!({"header": {"revision": "4"}})),
            form(json!({"header": {"cluster_id": "9", "revision": "4"}}))
        );
    }

    #[test]
    fn lists_without_order_are_sorted() {
        assert_eq!(
            form(json!({"leases": [{"ID": "3"}, {"ID": "1"}]})),
            form(json!({"leases": [{"ID": "1"}, {"ID": "3"}]}))
        );
    }

    #[test]
    fn a_time_to_live_that_is_wrong_by_much_stays() {
        assert_eq!(form(json!({"grantedTTL": "900", "TTL": "899"})), form(json!({"grantedTTL": "900", "TTL": "897"})));
        assert_ne!(form(json!({"grantedTTL": "900", "TTL": "899"})), form(json!({"grantedTTL": "900", "TTL": "500"})));
        assert_ne!(form(json!({"grantedTTL": "900", "TTL": "899"})), form(json!({"grantedTTL": "900", "TTL": "901"})));
    }

    #[test]
    fn the_lease_in_a_locks_key_is_replaced() {
        let key = |text: &str| json!({"key": STANDARD.encode(text)});
        assert_eq!(form(key("lock/abc")), key("lock/$lease0"));
    }
}
