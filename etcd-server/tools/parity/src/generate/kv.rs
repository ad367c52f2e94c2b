//! Requests of the KV service.

use serde_json::{Value, json};

use super::{Generator, request, words::base64};

/// Deepest nesting of transactions.
const DEPTH_MAX: u8 = 4;
/// More than the limit of operations that servers are started with.
const TOO_MANY: usize = 13;

impl Generator {
    pub(super) fn put(&mut self) {
        let put = self.put_request();
        self.call("KV/Put", put);
    }

    fn put_request(&mut self) -> Value {
        let (ignore_value, ignore_lease) = (self.chance(6), self.chance(6));
        let value = if ignore_value && self.chance(85) { Value::Null } else { self.value() };
        let with_lease = if ignore_lease { self.chance(10) } else { self.chance(20) };
        request([
            ("key", self.key()),
            ("value", value),
            ("lease", if with_lease { self.lease_id() } else { Value::Null }),
            ("prev_kv", self.flag(25)),
            ("ignore_value", if ignore_value { true.into() } else { Value::Null }),
            ("ignore_lease", if ignore_lease { true.into() } else { Value::Null }),
        ])
    }

    pub(super) fn range(&mut self) {
        let mut range = self.range_request();
        if self.chance(10) && range.get("keys_only").is_none() {
            range["sort_target"] = self.pick(&["VERSION", "CREATE", "MOD", "VALUE"]).into();
            range["sort_order"] = self.pick(&["ASCEND", "DESCEND", "NONE"]).into();
        }
        if self.chance(2) {
            let field = self.pick(&["sort_order", "sort_target"]);
            range[field] = self.pick(&[9, -1, 7]).into();
        }
        let method = if self.chance(8) { "KV/RangeStream" } else { "KV/Range" };
        self.call(method, range);
    }

    fn range_request(&mut self) -> Value {
        let (key, range_end) = self.key_range();
        let sorted = self.chance(35);
        let order = self.pick(&["ASCEND", "DESCEND", "NONE"]);
        let mut limit = |percent| {
            if self.chance(percent) { self.pick(&["1", "2", "3", "5", "100", "-1"]).into() } else { Value::Null }
        };
        let limit = limit(40);
        let mut filter = || if self.chance(5) { self.revision() } else { Value::Null };
        let (min_mod, max_mod, min_create, max_create) = (filter(), filter(), filter(), filter());
        request([
            ("key", key),
            ("range_end", range_end),
            ("limit", limit),
            ("revision", self.revision()),
            ("sort_order", if sorted { order.into() } else { Value::Null }),
            ("sort_target", if sorted { "KEY".into() } else { Value::Null }),
            ("serializable", self.flag(40)),
            ("keys_only", self.flag(12)),
            ("count_only", self.flag(12)),
            ("min_mod_revision", min_mod),
            ("max_mod_revision", max_mod),
            ("min_create_revision", min_create),
            ("max_create_revision", max_create),
        ])
    }

    pub(super) fn delete_range(&mut self) {
        let delete = self.delete_request();
        self.call("KV/DeleteRange", delete);
    }

    fn delete_request(&mut self) -> Value {
        let (key, range_end) = self.key_range();
        request([("key", key), ("range_end", range_end), ("prev_kv", self.flag(40))])
    }

    pub(super) fn txn(&mut self) {
        let txn = self.txn_request(1);
        self.call("KV/Txn", txn);
    }

    fn txn_request(&mut self, depth: u8) -> Value {
        let compares = self.rng.usize(..4);
        let mut operations = |most: usize| if self.chance(1) { TOO_MANY } else { self.rng.usize(..most) };
        let (then, otherwise) = (operations(5), operations(4));
        let reads_only = self.chance(20);
        request([
            ("compare", (0..compares).map(|_| self.compare()).collect()),
            ("success", (0..then).map(|_| self.operation(depth, reads_only)).collect()),
            ("failure", (0..otherwise).map(|_| self.operation(depth, reads_only)).collect()),
        ])
    }

    fn operation(&mut self, depth: u8, reads_only: bool) -> Value {
        match self.rng.u8(..100) {
            0..30 => json!({ "request_range": self.range_request() }),
            _ if reads_only => json!({ "request_range": self.range_request() }),
            30..65 => json!({ "request_put": self.put_request() }),
            65..80 => json!({ "request_delete_range": self.delete_request() }),
            80..98 if depth < DEPTH_MAX => json!({ "request_txn": self.txn_request(depth + 1) }),
            98 => json!({}),
            _ => json!({ "request_put": self.put_request() }),
        }
    }

    fn compare(&mut self) -> Value {
        let (key, range_end) = self.key_range();
        let target = self.pick(&["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]);
        let operand = if self.chance(95) { target } else { self.pick(&["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]) };
        let (field, value) = match operand {
            "VERSION" => ("version", self.pick(&["0", "1", "2", "3", "-1"]).into()),
            "CREATE" => ("create_revision", self.stored_revision()),
            "MOD" => ("mod_revision", self.stored_revision()),
            "VALUE" => ("value", self.value()),
            _ => ("lease", if self.chance(50) { "0".into() } else { self.lease_id() }),
        };
        request([
            (
                "result",
                if self.chance(2) { 9.into() } else { self.pick(&["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]).into() },
            ),
            ("target", if self.chance(2) { 77.into() } else { target.into() }),
            ("key", key),
            ("range_end", if self.chance(25) { range_end } else { Value::Null }),
            (field, value),
        ])
    }

    fn stored_revision(&mut self) -> Value {
        if self.chance(30) { "0".into() } else { format!("$cur-{}", self.rng.u8(..8)).into() }
    }

    /// Values that fill a watch answer in three, and requests at and above the limits of raft and
    /// of gRPC.
    pub(super) fn large_values(&mut self) {
        let bytes = self.pick(&[
            "$bytes700000",
            "$bytes700000",
            "$bytes1572800",
            "$bytes1572865",
            "$bytes2097100",
            "$bytes2200000",
        ]);
        for key in [&b"large/1"[..], b"large/2", b"large/3"] {
            self.call("KV/Put", json!({ "key": base64(key), "value": bytes }));
        }
        let everything_large = || json!({ "key": base64(b"large/"), "range_end": base64(b"large0") });
        self.call("KV/Range", everything_large());
        let mut delete = everything_large();
        delete["prev_kv"] = true.into();
        self.call("KV/DeleteRange", delete);
    }

    pub(super) fn compact(&mut self) {
        let revision: Value = match self.rng.u8(..12) {
            0..5 => format!("$cur-{}", self.rng.u8(..30)).into(),
            5 => "$cur".into(),
            6 => "$compacted".into(),
            7 => "$compacted+1".into(),
            8 => format!("$cur+{}", 1 + self.rng.u8(..3)).into(),
            9 => "-1".into(),
            10 => Value::Null,
            _ => "1".into(),
        };
        let compaction = request([("revision", revision), ("physical", self.flag(50))]);
        self.call("KV/Compact", compaction);
    }
}
