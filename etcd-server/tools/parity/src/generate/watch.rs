//! Requests on watch streams.

use serde_json::{Value, json};

use super::{Generator, request, words::base64};
use crate::{program::Step, watching::ODD_STREAM};

impl Generator {
    pub(super) fn watch_create(&mut self) {
        let (key, range_end) = if self.chance(5) { (base64(b"large/"), base64(b"large0")) } else { self.key_range() };
        let start: Value = match self.rng.u8(..20) {
            0..10 => Value::Null,
            10..14 => format!("$cur-{}", self.rng.u8(..40)).into(),
            14 => self.pick(&["$cur", "$cur+1"]).into(),
            15 => format!("$cur+{}", 2 + self.rng.u8(..20)).into(),
            16 => self.pick(&["$compacted", "$compacted+1"]).into(),
            17 => self.pick(&["$compacted-1", "1"]).into(),
            18 => "2".into(),
            _ => self.pick(&["-1", "-9223372036854775808", "9223372036854775807"]).into(),
        };
        let filters: Value = match self.rng.u8(..10) {
            0 => json!(["NOPUT"]),
            1 => json!(["NODELETE"]),
            2 => json!(["NODELETE", "NOPUT"]),
            3 => json!([5, "NOPUT"]),
            _ => Value::Null,
        };
        let create = request([
            ("key", key),
            ("range_end", range_end),
            ("start_revision", start),
            ("progress_notify", self.flag(20)),
            ("filters", filters),
            ("prev_kv", self.flag(40)),
            ("watch_id", if self.chance(25) { self.watch_id() } else { Value::Null }),
            ("fragment", self.flag(20)),
        ]);
        self.watch(json!({ "create_request": create }));
    }

    pub(super) fn watch_cancel(&mut self) {
        let id = self.watch_id();
        self.watch(json!({ "cancel_request": { "watch_id": id } }));
    }

    pub(super) fn watch_progress(&mut self) {
        self.watch(json!({ "progress_request": {} }));
    }

    pub(super) fn watch_close(&mut self) {
        let stream = self.rng.usize(..=ODD_STREAM);
        self.steps.push(Step::Close { stream });
    }

    fn watch(&mut self, request: Value) {
        let stream = if self.chance(90) { self.rng.usize(..ODD_STREAM) } else { ODD_STREAM };
        let identity = self.identity().to_owned();
        self.steps.push(Step::Watch { stream, identity, request });
    }

    /// Mostly one that a server may have given out itself. Never -1, which stands for no watcher.
    fn watch_id(&mut self) -> Value {
        if self.chance(70) {
            self.rng.u8(..12).to_string().into()
        } else {
            self.pick(&["-5", "50", "9223372036854775807"]).into()
        }
    }
}
