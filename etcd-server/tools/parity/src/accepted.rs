//! The one table of differences that are known and right: side A behaves as etcd 3.7.1, side B is
//! often a 3.5.
//!
//! Every use of a row is counted and printed. A row that hides an answer altogether says so; add
//! one only with its source.

use serde_json::{Map, Value};

use crate::side::number;

/// The way in which a row keeps a known difference from being reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The request never goes to a server that cannot take it.
    NotSent,
    /// The differing part is taken out of both answers; the rest is compared.
    PartIgnored,
    /// Both answers are taken as they are.
    Tolerated,
}

/// One known difference.
#[derive(Debug)]
pub struct Accepted {
    /// Short name, printed with its count.
    pub name: &'static str,
    pub treatment: Treatment,
    /// The difference, and why it is right.
    pub reason: &'static str,
    /// The source of the difference.
    pub source: &'static str,
    /// Takes the difference out of the two answers, if it is there. Rows that are applied elsewhere
    /// have none.
    remove: Option<fn(&mut Exchange<'_>) -> bool>,
}

/// One request and its two answers in the comparable form.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a str,
    pub(crate) request: &'a Value,
    pub(crate) a: &'a mut Value,
    pub(crate) b: &'a mut Value,
    /// Versions of the servers, as 305 for 3.5.
    pub(crate) versions: (u32, u32),
    /// Ids that a server chose lie in the data, so hashes of it differ.
    pub(crate) own_ids_in_data: bool,
    /// Revisions that were compacted at, the newest last.
    pub(crate) compactions: &'a [i64],
}

pub(crate) const SORT_ENUMS: &str = "unknown-sort-enum";
pub(crate) const RANGE_STREAM: &str = "range-stream";
pub(crate) const DELETE_THEN_IGNORE: &str = "txn-delete-then-ignore";
pub(crate) const NESTED_COST: &str = "nested-txn-cost";
pub(crate) const ETCD_STOPS: &str = "etcd-stops";
pub(crate) const CATCH_UP_HEADER: &str = "watch-header-revision";
pub(crate) const EMPTY_WATCH_KEY: &str = "watch-empty-key-with-auth";
pub(crate) const INVERTED_RANGE: &str = "inverted-range-by-permission";
pub(crate) const ALARM_WITHOUT_AUTH: &str = "alarm-passes-by-permissions";
pub(crate) const UNLIKE_HISTORY: &str = "events-unlike-history";

/// All known differences.
pub const ACCEPTED: [Accepted; 21] = [
    Accepted {
        name: SORT_ENUMS,
        treatment: Treatment::NotSent,
        reason: "an unknown sort_order or sort_target stops every 3.5 server; from 3.6 on the answer is InvalidArgument, which side A is held to",
        source: "reference api.md 5.1, changes.md 1 row 27",
        remove: None,
    },
    Accepted {
        name: DELETE_THEN_IGNORE,
        treatment: Treatment::NotSent,
        reason: "a transaction that deletes a key and then puts it with ignore_value or ignore_lease stops etcd with a panic",
        source: "seen on 3.5.30: `unexpected error during txn with writes`, `applyTxn: failed Put: etcdserver: key not found`",
        remove: None,
    },
    Accepted {
        name: NESTED_COST,
        treatment: Treatment::NotSent,
        reason: "under a NOSPACE alarm 3.7.1 refuses a transaction whose nested puts need space, older ones let it through",
        source: "reference api.md 6.5, changes.md 2.1",
        remove: None,
    },
    Accepted {
        name: ETCD_STOPS,
        treatment: Treatment::Tolerated,
        reason: "etcd ended by itself with one of its known fatal messages; the rest of that program is not compared",
        source: "seen on 3.5.30: a range at the compacted revision in a transaction, `range failed to find revision pair`",
        remove: None,
    },
    Accepted {
        name: RANGE_STREAM,
        treatment: Treatment::NotSent,
        reason: "RangeStream is new in 3.7: side A's chunks are compared with its own unary Range, and a side A without it is left alone",
        source: "reference api.md 5.3, changes.md 2 row 1",
        remove: None,
    },
    Accepted {
        name: INVERTED_RANGE,
        treatment: Treatment::NotSent,
        reason: "who may not do everything asks for a range that ends before it begins: it holds no key, side A permits it, and etcd finds \
                 a permission for it or not by the way that its tree of permissions is balanced",
        source: "etcd pkg/adt/interval_tree.go (Contains, on an interval whose end is its smaller bound); seen on 3.5.30",
        remove: None,
    },
    Accepted {
        name: ALARM_WITHOUT_AUTH,
        treatment: Treatment::NotSent,
        reason: "from the first alarm of a kind to the end of the last, 3.5 executes what is ordered without looking at permissions",
        source: "etcd 3.5 server/etcdserver/apply.go (Alarm); seen on 3.5.30: AuthDisable succeeds for anybody while NOSPACE is raised",
        remove: None,
    },
    Accepted {
        name: EMPTY_WATCH_KEY,
        treatment: Treatment::NotSent,
        reason: "3.7.1 checks the permission of a watch on the range as received, older ones on the normalised range, in which no key is the \
                 first one and the end `00` is that of a single key (GHSA-xg4h-6gfc-h4m8)",
        source: "reference api.md 8.1, changes.md 2.1",
        remove: None,
    },
    Accepted {
        name: CATCH_UP_HEADER,
        treatment: Treatment::PartIgnored,
        reason: "the header of a catch-up answer carries the revision of that moment, which depends on timing; it must not be below its events",
        source: "reference api.md 8.2",
        remove: None,
    },
    Accepted {
        name: UNLIKE_HISTORY,
        treatment: Treatment::Tolerated,
        reason: "both servers delivered the same, but not what the history predicts: a start at the compacted revision finds what compaction left",
        source: "reference api.md 8.1",
        remove: None,
    },
    Accepted {
        name: "sort-ties",
        treatment: Treatment::PartIgnored,
        reason: "keys that are equal in what they are sorted by come in any order, and a limit may cut among them; groups are compared",
        source: "reference api.md 5.2 (sort)",
        remove: Some(sort_ties),
    },
    Accepted {
        name: "keys-only-lease",
        treatment: Treatment::PartIgnored,
        reason: "3.7 answers keys_only from its index, which knows no lease, so `lease` is 0 where older ones tell it",
        source: "reference api.md 5.2, changes.md 2 row 2",
        remove: Some(keys_only_lease),
    },
    Accepted {
        name: "fields-since-3.6",
        treatment: Treatment::PartIgnored,
        reason: "hash_revision, storageVersion, dbSizeQuota and downgradeInfo are new in 3.6",
        source: "reference api.md 2 (HashKVResponse, StatusResponse), changes.md 1 rows 2, 10, 11",
        remove: Some(fields_since_3_6),
    },
    Accepted {
        name: "auth-status-without-identity",
        treatment: Treatment::Tolerated,
        reason: "AuthStatus needs no identity since 3.7; older ones want the root role",
        source: "reference api.md 10.2, changes.md 2 row 6",
        remove: Some(auth_status),
    },
    Accepted {
        name: "txn-error-order",
        treatment: Treatment::Tolerated,
        reason: "a transaction with several faults is refused for one of them; which one is found first changed with the checks of 3.6 and 3.7",
        source: "reference api.md 6.3, changes.md 2 row 3",
        remove: Some(txn_error_order),
    },
    Accepted {
        name: "own-ids-in-hash",
        treatment: Treatment::PartIgnored,
        reason: "values carry lease ids, so after a lease with a chosen id was attached the hashes of two servers differ",
        source: "reference api.md 12 (HashKV)",
        remove: Some(own_ids_in_hash),
    },
    Accepted {
        name: "hash-of-a-compaction",
        treatment: Treatment::Tolerated,
        reason: "etcd remembers the hashes it took during its last 10 compactions and answers them as they were then; side A takes each hash anew",
        source: "reference api.md 12 (HashKV)",
        remove: Some(hash_of_a_compaction),
    },
    Accepted {
        name: "status-for-everybody",
        treatment: Treatment::Tolerated,
        reason: "Status is for every user since 3.6.12; older ones want the root role",
        source: "reference changes.md 1.1 (3.6.12)",
        remove: Some(status_for_everybody),
    },
    Accepted {
        name: "root-role-permission",
        treatment: Treatment::PartIgnored,
        reason: "3.7.1 answers what the role root may do (everything), 3.5 what was granted to it (nothing)",
        source: "reference api.md 10.2 (RoleGet); seen on 3.5.30",
        remove: Some(root_role_permission),
    },
    Accepted {
        name: "maintenance-errors",
        treatment: Treatment::Tolerated,
        reason: "3.5 lets failures of authentication out of the Maintenance service as they are inside (Unknown, `auth: …`), later ones map them",
        source: "reference api.md 10.4; seen on 3.5.30",
        remove: Some(maintenance_errors),
    },
    Accepted {
        name: "downgrade-versions",
        treatment: Treatment::Tolerated,
        reason: "a downgrade target is judged against the server's own version, and 3.7 lets every cancel succeed",
        source: "reference api.md 12 (Downgrade)",
        remove: Some(downgrade),
    },
];

/// Takes known differences out of both answers; returns the names of the rows that were needed.
pub(crate) fn remove_known(exchange: &mut Exchange<'_>) -> Vec<&'static str> {
    let mut used = Vec::new();
    for row in &ACCEPTED {
        if exchange.a == exchange.b {
            break;
        }
        if row.remove.is_some_and(|remove| remove(exchange)) {
            used.push(row.name);
        }
    }
    used
}

impl Exchange<'_> {
    fn newer_against_older(&self, since: u32) -> bool {
        self.versions.0 >= since && self.versions.1 < since
    }

    fn error_messages(&self) -> Option<(&str, &str)> {
        Some((error_message(self.a)?, error_message(self.b)?))
    }

    fn tolerate(&mut self) -> bool {
        *self.a = self.b.clone();
        true
    }
}

fn error_message(answer: &Value) -> Option<&str> {
    answer.pointer("/error/message")?.as_str()
}

fn keys_only_lease(exchange: &mut Exchange<'_>) -> bool {
    let keys_only = exchange.request.to_string().contains("\"keys_only\":true");
    exchange.newer_against_older(307) && keys_only && leases_without_value(exchange.a, exchange.b)
}

/// Walks both answers in step and removes `lease` from key-values of B that have no value and no
/// lease in A.
fn leases_without_value(a: &Value, b: &mut Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let is_key_value = b.contains_key("mod_revision") && !b.contains_key("value") && !a.contains_key("lease");
            let mut removed = is_key_value && b.remove("lease").is_some();
            for (name, field) in b.iter_mut() {
                removed |= a.get(name).is_some_and(|of_a| leases_without_value(of_a, field));
            }
            removed
        }
        (Value::Array(a), Value::Array(b)) => {
            a.iter().zip(b).fold(false, |removed, (of_a, of_b)| leases_without_value(of_a, of_b) | removed)
        }
        _ => false,
    }
}

/// Brings keys that tie into the order of their names; of the last ones under a limit only the
/// number is compared.
fn sort_ties(exchange: &mut Exchange<'_>) -> bool {
    let field = match exchange.request.get("sort_target").and_then(Value::as_str) {
        Some("VERSION") => "version",
        Some("MOD") => "mod_revision",
        Some("CREATE") => "create_revision",
        Some("VALUE") => "value",
        _ => return false,
    };
    let cut = exchange.request.get("limit").is_some();
    let tied = [&mut *exchange.a, &mut *exchange.b].map(|answer| order_ties(answer, field, cut));
    exchange.method == "KV/Range" && tied.contains(&true)
}

/// Returns `true` if it changed anything.
fn order_ties(answer: &mut Value, field: &str, cut: bool) -> bool {
    let Some(kvs) = answer.pointer_mut("/ok/kvs").and_then(Value::as_array_mut) else { return false };
    let before = kvs.clone();
    kvs.chunk_by_mut(|left, right| left.get(field) == right.get(field))
        .for_each(|ties| ties.sort_by_cached_key(|kv| kv.get("key").map(ToString::to_string)));
    if cut && let Some(last) = before.last() {
        let of_last = kvs.iter_mut().filter(|kv| kv.get(field) == last.get(field));
        of_last.for_each(|kv| *kv = "among the last ties".into());
    }
    *kvs != before
}

fn fields_since_3_6(exchange: &mut Exchange<'_>) -> bool {
    let fields: &[&str] = match exchange.method {
        "Maintenance/HashKV" => &["hash_revision"],
        "Maintenance/Status" => &["storageVersion", "dbSizeQuota", "downgradeInfo"],
        _ => return false,
    };
    exchange.newer_against_older(306)
        && ok_fields(exchange.a)
            .is_some_and(|ok| fields.iter().fold(false, |any, name| ok.remove(*name).is_some() | any))
}

fn ok_fields(answer: &mut Value) -> Option<&mut Map<String, Value>> {
    answer.get_mut("ok")?.as_object_mut()
}

fn auth_status(exchange: &mut Exchange<'_>) -> bool {
    let a_answers = exchange.a.get("ok").is_some();
    let b_refuses = exchange.b.get("error").is_some();
    exchange.newer_against_older(307)
        && exchange.method == "Auth/AuthStatus"
        && a_answers
        && b_refuses
        && exchange.tolerate()
}

/// Reasons for which a transaction as a whole is refused.
const TXN_FAULTS: [&str; 6] = [
    "etcdserver: key not found",
    "etcdserver: key is not provided",
    "etcdserver: requested lease not found",
    "etcdserver: duplicate key given in txn request",
    "etcdserver: mvcc: required revision has been compacted",
    "etcdserver: mvcc: required revision is a future revision",
];

fn txn_error_order(exchange: &mut Exchange<'_>) -> bool {
    let Some((a, b)) = exchange.error_messages() else { return false };
    let both_are_faults = TXN_FAULTS.contains(&a) && TXN_FAULTS.contains(&b);
    exchange.newer_against_older(306) && exchange.method == "KV/Txn" && both_are_faults && exchange.tolerate()
}

fn own_ids_in_hash(exchange: &mut Exchange<'_>) -> bool {
    if exchange.method != "Maintenance/HashKV" || !exchange.own_ids_in_data {
        return false;
    }
    let of_a = ok_fields(exchange.a).and_then(|ok| ok.remove("hash"));
    let of_b = ok_fields(exchange.b).and_then(|ok| ok.remove("hash"));
    of_a.is_some() && of_b.is_some()
}

fn hash_of_a_compaction(exchange: &mut Exchange<'_>) -> bool {
    const REMEMBERED: usize = 10;
    // Zero, which asks for the newest revision, is looked up as it is: a compaction at zero is
    // found by it.
    let asked = exchange.request.get("revision").and_then(number).unwrap_or(0);
    let known = exchange.compactions.iter().rev().take(REMEMBERED).any(|compaction| *compaction == asked);
    exchange.method == "Maintenance/HashKV" && known && exchange.tolerate()
}

fn status_for_everybody(exchange: &mut Exchange<'_>) -> bool {
    let a_answers = exchange.a.get("ok").is_some();
    let b_refuses = error_message(exchange.b).is_some_and(|message| message.ends_with("permission denied"));
    exchange.newer_against_older(306)
        && exchange.method == "Maintenance/Status"
        && a_answers
        && b_refuses
        && exchange.tolerate()
}

fn root_role_permission(exchange: &mut Exchange<'_>) -> bool {
    let asks_for_root =
        exchange.method == "Auth/RoleGet" && exchange.request.get("role").is_some_and(|role| role == "root");
    asks_for_root && exchange.newer_against_older(306) && {
        let of_a = ok_fields(exchange.a).and_then(|ok| ok.remove("perm"));
        let of_b = ok_fields(exchange.b).and_then(|ok| ok.remove("perm"));
        of_a.is_some() || of_b.is_some()
    }
}

fn maintenance_errors(exchange: &mut Exchange<'_>) -> bool {
    let same =
        |(a, b): (&str, &str)| a.strip_prefix("etcdserver: ").is_some_and(|a| b.strip_prefix("auth: ") == Some(a));
    let alike = exchange.error_messages().is_some_and(same);
    exchange.newer_against_older(306) && exchange.method.starts_with("Maintenance/") && alike && exchange.tolerate()
}

fn downgrade(exchange: &mut Exchange<'_>) -> bool {
    exchange.versions.0 != exchange.versions.1 && exchange.method == "Maintenance/Downgrade" && exchange.tolerate()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn used(method: &str, request: &Value, mut a: Value, mut b: Value) -> (Vec<&'static str>, bool) {
        let exchange = &mut Exchange {
            method,
            request,
            a: &mut a,
            b: &mut b,
            versions: (307, 305),
            own_ids_in_data: false,
            compactions: &[7],
        };
        let used = remove_known(exchange);
        (used, a == b)
    }

    #[test]
    fn a_lease_is_forgiven_only_where_keys_alone_were_asked_for() {
        let a = || json!({"ok": {"kvs": [{"key": "YQ==", "mod_revision": "2"}]}});
        let b = || json!({"ok": {"kvs": [{"key": "YQ==", "mod_revision": "2", "lease": "9"}]}});
        assert_eq!(used("KV/Range", &json!({"keys_only": true}), a(), b()), (vec!["keys-only-lease"], true));
        assert_eq!(used("KV/Range", &json!({}), a(), b()), (vec![], false));
    }

    #[test]
    fn ties_are_compared_as_groups() {
        let answer = |keys: [(&str, &str); 3]| json!({"ok": {"kvs": keys.map(|(key, version)| json!({"key": key, "version": version}))}});
        let (a, b) = (|| answer([("b", "1"), ("a", "1"), ("c", "2")]), || answer([("a", "1"), ("b", "1"), ("c", "2")]));
        let by_version = json!({"sort_target": "VERSION"});
        assert_eq!(used("KV/Range", &by_version, a(), b()), (vec!["sort-ties"], true));
        assert!(!used("KV/Range", &json!({"sort_target": "KEY"}), a(), b()).1);
        assert!(!used("KV/Range", &by_version, a(), answer([("a", "1"), ("c", "2"), ("b", "1")])).1);
        let limited = json!({"sort_target": "VERSION", "limit": "3"});
        assert!(used("KV/Range", &limited, a(), answer([("a", "1"), ("b", "1"), ("d", "2")])).1);
    }

    #[test]
    fn the_rest_of_an_answer_is_still_compared() {
        let (used, equal) = used(
            "Maintenance/HashKV",
            &json!({}),
            json!({"ok": {"hash": 1, "hash_revision": "4"}}),
            json!({"ok": {"hash": 2}}),
        );
        assert_eq!((used, equal), (vec!["fields-since-3.6"], false));
    }

    #[test]
    fn a_hash_is_forgiven_only_at_a_compaction() {
        let (a, b) = (
            || json!({"ok": {"hash": 1, "compact_revision": "7"}}),
            || json!({"ok": {"hash": 2, "compact_revision": "-1"}}),
        );
        assert!(used("Maintenance/HashKV", &json!({"revision": "7"}), a(), b()).1);
        assert!(!used("Maintenance/HashKV", &json!({"revision": "8"}), a(), b()).1);
    }

    #[test]
    fn a_refused_and_a_granted_transaction_differ() {
        let refused = json!({"error": {"code": "NotFound", "message": "etcdserver: requested lease not found"}});
        assert!(!used("KV/Txn", &json!({}), json!({"ok": {}}), refused).1);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ACCEPTED.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ACCEPTED.len());
    }
}
