//! Requests of the Cluster, Maintenance, Lock and Election services and of health. Nothing here
//! costs a cluster of one its quorum.

use serde_json::{Value, json};

use super::{Generator, request, words::base64};

/// No member has it.
const MEMBER_UNKNOWN: &str = "12345";

impl Generator {
    pub(super) fn cluster(&mut self) {
        match self.rng.u8(..100) {
            0..20 => {
                let query = request([("revision", self.revision())]);
                self.call("Maintenance/HashKV", query);
            }
            20..35 => self.call("Maintenance/Status", json!({})),
            35..50 => {
                let query = request([("linearizable", self.flag(50))]);
                self.call("Cluster/MemberList", query);
            }
            50..62 => self.alarm(),
            62..75 => self.member_mistake(),
            75..80 => self.downgrade_check(),
            80..82 => self.call("Maintenance/Defragment", json!({})),
            82..88 => {
                let target = self.pick(&["$member", MEMBER_UNKNOWN, "0"]);
                self.call("Maintenance/MoveLeader", json!({ "targetID": target }));
            }
            88..94 => {
                let service = self.pick(&["", "x"]);
                self.call("Health/Check", json!({ "service": service }));
            }
            _ => self.alarm_query(),
        }
    }

    fn alarm_query(&mut self) {
        let alarm = self.pick(&["NONE", "NOSPACE", "CORRUPT"]);
        self.call("Maintenance/Alarm", json!({ "action": "GET", "alarm": alarm, "memberID": "0" }));
    }

    /// An alarm that is switched off again a few steps later, or one that was never on. One at a
    /// time: when the first of two alarms goes, a 3.5 takes writes again, while later ones go on
    /// refusing them.
    fn alarm(&mut self) {
        let member = self.pick(&["$member", MEMBER_UNKNOWN, "0", "18446744073709551615"]);
        let alarm = self.pick(&["NOSPACE", "NOSPACE", "CORRUPT", "NONE"]);
        let with = |action: &str| json!({ "action": action, "memberID": member, "alarm": alarm });
        if self.chance(50) && self.alarms.is_empty() {
            self.call("Maintenance/Alarm", with("ACTIVATE"));
            let steps = self.steps.len() + 1 + self.rng.usize(..12);
            self.alarms.push((steps, with("DEACTIVATE")));
        } else {
            self.call("Maintenance/Alarm", with("DEACTIVATE"));
        }
    }

    fn member_mistake(&mut self) {
        match self.rng.u8(..5) {
            0 => {
                let url = self.pick(&["", "x", "http://127.0.0.1", "http://127.0.0.1:1/path", "ftp://127.0.0.1:1"]);
                let add = request([
                    ("peerURLs", if url.is_empty() { Value::Null } else { json!([url]) }),
                    ("isLearner", self.flag(50)),
                ]);
                self.call("Cluster/MemberAdd", add);
            }
            1 => self.call("Cluster/MemberRemove", json!({ "ID": MEMBER_UNKNOWN })),
            2 => self.call("Cluster/MemberUpdate", json!({ "ID": MEMBER_UNKNOWN, "peerURLs": ["http://127.0.0.1:1"] })),
            3 => self.call("Cluster/MemberPromote", json!({ "ID": MEMBER_UNKNOWN })),
            _ => self.call("Cluster/MemberPromote", json!({ "ID": "$member" })),
        }
    }

    fn downgrade_check(&mut self) {
        let version = self.pick(&["", "x", "3", "3.0.0", "99.0"]);
        self.call("Maintenance/Downgrade", json!({ "action": "VALIDATE", "version": version }));
    }

    /// Locks a name. Each name belongs to one lease, so no client ever waits for another.
    pub(super) fn lock(&mut self) {
        let lease = self.lease_id();
        let name = base64(format!("lock-{}", lease.as_str().unwrap_or_default()).as_bytes());
        match self.rng.u8(..10) {
            0..3 => self.call("Lock/Lock", json!({ "name": name, "lease": lease })),
            3 if self.with_own_leases => {
                let name = base64(format!("once-{}", self.steps.len()).as_bytes());
                self.call("Lock/Lock", json!({ "name": name }));
            }
            3..5 => {
                let key = self.key();
                self.call("Lock/Unlock", request([("key", key)]));
            }
            5 => self.call("Election/Leader", json!({ "name": name })),
            _ => self.election(&lease),
        }
    }

    fn election(&mut self, lease: &Value) {
        let identity = self.identity();
        let name = format!("election-{}", lease.as_str().unwrap_or_default());
        let hex = lease
            .as_str()
            .and_then(|id| id.parse::<i64>().ok())
            .map(|id| if id < 0 { format!("-{:x}", id.unsigned_abs()) } else { format!("{id:x}") });
        let key = base64(format!("{name}/{}", hex.unwrap_or_default()).as_bytes());
        let name = base64(name.as_bytes());
        let leader = |revision: &str| json!({ "name": name, "key": key, "rev": revision, "lease": lease });
        let value = self.value();
        self.call_as(identity, "Election/Campaign", json!({ "name": name, "lease": lease, "value": value }));
        if self.chance(70) {
            let value = self.value();
            self.call_as(identity, "Election/Proclaim", json!({ "leader": leader("$cur"), "value": value }));
        }
        self.call_as(identity, "Election/Leader", json!({ "name": name }));
        if self.chance(70) {
            let revision = self.pick(&["$cur", "$cur-1"]);
            self.call_as(identity, "Election/Resign", json!({ "leader": leader(revision) }));
        } else if self.chance(20) {
            let method = self.pick(&["Election/Resign", "Election/Proclaim"]);
            self.call_as(identity, method, json!({}));
        }
    }
}
