//! Gives a program to two servers, step by step, and compares every answer. Stops at the first
//! difference.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tonic::Code;

use crate::{
    accepted::{
        ALARM_WITHOUT_AUTH, DELETE_THEN_IGNORE, ETCD_STOPS, Exchange, INVERTED_RANGE, NESTED_COST, RANGE_STREAM,
        SORT_ENUMS, remove_known,
    },
    alarms::{Alarms, is_permitted_when_applied},
    compare::comparable,
    inverted::has_inverted_range,
    pair::Pair,
    panics::{deletes_then_ignores, is_known_end},
    program::{Program, Step},
    side::{Side, number},
    wire::{Wire, WireError, WireResponse},
};

/// A step that the two servers did not do alike.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Position of the step in its program, from 0.
    pub step: usize,
    /// The compared request.
    pub what: String,
    /// Answer of side A.
    pub a: String,
    /// Answer of side B.
    pub b: String,
}

/// The outcome of a program.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that both servers got.
    pub operations: u64,
    /// Uses of each row of the table of accepted differences.
    pub accepted: BTreeMap<&'static str, u64>,
    /// Requests and errors of side B by method, to see the coverage of a program.
    pub coverage: BTreeMap<String, (u64, u64)>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) a: Side<'a>,
    pub(crate) b: Side<'a>,
    pub(crate) outcome: Outcome,
    pub(crate) step: usize,
    /// Ids that a server chose lie in the data.
    own_ids_in_data: bool,
    /// Revisions that were compacted at.
    compactions: Vec<i64>,
    alarms: Alarms,
    /// The last answer says that there is no connection, so a server may be about to end.
    connection_lost: bool,
    /// A server ended.
    ended: bool,
    /// Authentication is on, as far as we know.
    pub(crate) auth_enabled: bool,
}

/// Runs `program` on a fresh pair.
///
/// # Errors
/// When a step of the program is not a request that can be sent. A fault of a server is a
/// difference, not an error.
pub async fn run(program: &Program, pair: &mut Pair, wire: &Wire) -> Result<Outcome, WireError> {
    let (a_channel, b_channel) = (pair.a.1.clone(), pair.b.1.clone());
    let mut run = Run {
        a: Side::new(wire, &mut pair.a.0, a_channel),
        b: Side::new(wire, &mut pair.b.0, b_channel),
        outcome: Outcome::default(),
        step: 0,
        own_ids_in_data: false,
        compactions: Vec::new(),
        alarms: Alarms::default(),
        connection_lost: false,
        ended: false,
        auth_enabled: false,
    };
    if pair.record {
        run.record().await;
    }
    for (index, step) in program.steps.iter().enumerate() {
        if run.outcome.difference.is_some() || run.ended {
            break;
        }
        run.step = index;
        run.take(step).await?;
        run.look_for_the_dead(step).await;
    }
    if run.outcome.difference.is_none() && !run.ended {
        run.settle().await;
        run.look_for_the_dead(&Step::Settle).await;
    }
    Ok(run.outcome)
}

impl Run<'_> {
    async fn take(&mut self, step: &Step) -> Result<(), WireError> {
        self.outcome.operations += 1;
        self.b.scope.revision = self.b.revision;
        self.a.scope.revision = self.b.revision;
        match step {
            Step::Call { method, identity, request } => self.call(method, identity, request).await,
            Step::Watch { stream, identity, request } => self.watch(*stream, identity, request).await,
            Step::Close { stream } => {
                self.settle().await;
                self.a.streams.remove(stream);
                self.b.streams.remove(stream);
                Ok(())
            }
            Step::Settle => {
                self.settle().await;
                Ok(())
            }
        }
    }

    async fn call(&mut self, method: &str, identity: &str, request: &Value) -> Result<(), WireError> {
        if method == "KV/RangeStream" {
            return self.range_stream(identity, request).await;
        }
        if method == "KV/Compact" {
            self.settle().await;
        }
        let (of_a, of_b) = (self.a.scope.resolve(request), self.b.scope.resolve(request));
        if method == "KV/Txn" && deletes_then_ignores(request) {
            self.accept(DELETE_THEN_IGNORE);
            return Ok(());
        }
        let nested_puts = || request.to_string().contains("request_txn") && request.to_string().contains("request_put");
        if method == "KV/Txn"
            && self.alarms.no_space()
            && nested_puts()
            && self.a.version() >= 307
            && self.b.version() < 307
        {
            self.accept(NESTED_COST);
            return Ok(());
        }
        let by_permission = self.auth_enabled && identity != "root";
        if by_permission && method.starts_with("KV/") && has_inverted_range(&of_b) {
            self.accept(INVERTED_RANGE);
            return Ok(());
        }
        if by_permission
            && self.b.version() < 306
            && self.alarms.pass_by_authentication
            && is_permitted_when_applied(method)
        {
            self.accept(ALARM_WITHOUT_AUTH);
            return Ok(());
        }
        if method == "KV/Range" && has_unknown_sort(request) && self.b.version() < 306 {
            return self.unknown_sort(identity, &of_a).await;
        }
        // The hash at a compacted revision changes its form when the compaction is done, without a
        // notification; retry until both are.
        let attempts = if method == "Maintenance/HashKV" { 40 } else { 1 };
        for attempt in 1..=attempts {
            let (a, b) = tokio::join!(self.a.call(method, identity, &of_a), self.b.call(method, identity, &of_b));
            let (a, b) = (a?, b?);
            self.connection_lost = [&a, &b]
                .iter()
                .any(|answer| matches!(answer, WireResponse::Error(status) if is_lost_connection(status)));
            self.follow(method, request, &b);
            if self.compare(method, identity, request, (&a, &b), attempt == attempts) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Takes values from side B that later steps refer to.
    fn follow(&mut self, method: &str, request: &Value, answer: &WireResponse) {
        let counts = self.outcome.coverage.entry(method.to_owned()).or_default();
        counts.0 += 1;
        if let WireResponse::Error(_) = answer {
            counts.1 += 1;
            return;
        }
        let text = request.to_string();
        let chosen_lease = text.contains("$lease") || (method == "Lock/Lock" && request.get("lease").is_none());
        match method {
            "KV/Put" | "KV/Txn" | "Lock/Lock" | "Election/Campaign" if chosen_lease => self.own_ids_in_data = true,
            "KV/Compact" => {
                let revision = self.b.scope.resolve(request).get("revision").and_then(number).unwrap_or(0);
                self.a.scope.compacted = revision;
                self.b.scope.compacted = revision;
                self.compactions.push(revision);
            }
            "Maintenance/Alarm" => {
                let resolved = self.b.scope.resolve(request);
                let member = resolved.get("memberID").map(ToString::to_string).unwrap_or_default();
                let word = |field: &str| request.get(field).and_then(Value::as_str).unwrap_or_default();
                self.alarms.follow(word("action"), word("alarm"), member);
            }
            "Auth/AuthEnable" => self.auth_enabled = true,
            "Auth/AuthDisable" => self.auth_enabled = false,
            _ => {}
        }
    }

    /// Returns `true` if both responses are alike; a difference is kept if it is `last`.
    fn compare(
        &mut self,
        method: &str,
        identity: &str,
        request: &Value,
        answers: (&WireResponse, &WireResponse),
        last: bool,
    ) -> bool {
        let mut a = comparable(answers.0, &self.a.names());
        let mut b = comparable(answers.1, &self.b.names());
        let versions = (self.a.version(), self.b.version());
        let (own_ids_in_data, compactions) = (self.own_ids_in_data, self.compactions.as_slice());
        let request = &self.b.scope.resolve(request);
        let used = remove_known(&mut Exchange {
            method,
            request,
            a: &mut a,
            b: &mut b,
            versions,
            own_ids_in_data,
            compactions,
        });
        if a == b || last {
            used.into_iter().for_each(|name| self.accept(name));
        }
        if a != b && last {
            self.differ(format!("{method} as {identity:?} {request}"), a.to_string(), b.to_string());
        }
        a == b
    }

    pub(crate) fn accept(&mut self, name: &'static str) {
        *self.outcome.accepted.entry(name).or_default() += 1;
    }

    pub(crate) fn differ(&mut self, what: String, a: String, b: String) {
        self.outcome.difference.get_or_insert(Difference { step: self.step, what, a, b });
    }

    /// Side A alone is asked, and held to the answer of 3.6 and later.
    async fn unknown_sort(&mut self, identity: &str, request: &Value) -> Result<(), WireError> {
        self.accept(SORT_ENUMS);
        if self.a.version() < 306 {
            return Ok(());
        }
        let answer = comparable(&self.a.call("KV/Range", identity, request).await?, &self.a.names());
        let message = if request.get("key").is_some() {
            "etcdserver: invalid sort option"
        } else {
            "etcdserver: key is not provided"
        };
        let right = json!({"error": {"code": "InvalidArgument", "message": message}});
        if answer != right {
            self.differ(format!("KV/Range as {identity:?} {request}"), answer.to_string(), right.to_string());
        }
        Ok(())
    }

    /// Side A's stream of chunks is held to side A's unary answer.
    async fn range_stream(&mut self, identity: &str, request: &Value) -> Result<(), WireError> {
        self.accept(RANGE_STREAM);
        if self.a.version() < 307 {
            return Ok(());
        }
        let request = self.a.scope.resolve(request);
        let unary = self.a.call("KV/Range", identity, &request).await?;
        let streamed = match self.a.call("KV/RangeStream", identity, &request).await? {
            WireResponse::Ok(chunks) => WireResponse::Ok(joined(&chunks)),
            WireResponse::Error(status) if status.code() == Code::Unimplemented && is_ordered_or_filtered(&request) => {
                return Ok(());
            }
            error @ WireResponse::Error(_) => error,
        };
        let names = self.a.names();
        let (streamed, unary) = (comparable(&streamed, &names), comparable(&unary, &names));
        if streamed != unary {
            self.differ(
                format!("KV/RangeStream (A) and KV/Range (B), both of side A, as {identity:?} {request}"),
                streamed.to_string(),
                unary.to_string(),
            );
        }
        Ok(())
    }

    /// A server that ended is the difference, also when both ended and so answered alike.
    async fn look_for_the_dead(&mut self, step: &Step) {
        let mut looks = if self.connection_lost { 100 } else { 1 };
        while self.a.server.is_running() && self.b.server.is_running() {
            looks -= 1;
            if looks == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let asked = serde_json::to_string(step).unwrap_or_default();
        let known = is_known_end(&self.b.server.log_tail());
        let both_alike = self.a.server.is_running() || is_known_end(&self.a.server.log_tail());
        self.outcome.difference = None;
        self.ended = true;
        if known && both_alike {
            return self.accept(ETCD_STOPS);
        }
        let (a, b) = (last_words(self.a.server), last_words(self.b.server));
        self.differ(format!("a server ended after: {asked}"), a, b);
    }
}

fn last_words(server: &mut testbed::Server) -> String {
    if server.is_running() { "runs".to_owned() } else { format!("ended; its last lines:\n{}", server.log_tail()) }
}

/// Returns `true` for tonic's error when a connection ends or cannot be made. A server's own
/// `Unavailable` has another text.
fn is_lost_connection(status: &tonic::Status) -> bool {
    use std::error::Error as _;
    status.source().is_some() || status.message().starts_with("connection: ")
}

fn has_unknown_sort(request: &Value) -> bool {
    ["sort_order", "sort_target"].iter().any(|field| request.get(field).is_some_and(Value::is_number))
}

fn is_ordered_or_filtered(request: &Value) -> bool {
    let fields = request.as_object().into_iter().flatten().map(|(name, _)| name);
    fields.into_iter().any(|name| name.starts_with("sort_") || name.starts_with("min_") || name.starts_with("max_"))
}

/// One answer out of many chunks: all key-values in order, and the rest from the last chunk.
fn joined(chunks: &Value) -> Value {
    let chunks = chunks.as_array().into_iter().flatten().filter_map(|chunk| chunk.get("range_response")?.as_object());
    let mut whole = serde_json::Map::new();
    let mut kvs = Vec::new();
    for chunk in chunks {
        kvs.extend(chunk.get("kvs").and_then(Value::as_array).into_iter().flatten().cloned());
        whole.extend(chunk.iter().map(|(name, field)| (name.clone(), field.clone())));
    }
    whole.remove("kvs");
    if !kvs.is_empty() {
        whole.insert("kvs".to_owned(), kvs.into());
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_in_order_with_the_last_ones_count() {
        let chunks = json!([{"range_response": {"kvs": [1, 2]}}, {"range_response": {"kvs": [3], "count": "3"}}]);
        assert_eq!(joined(&chunks), json!({"kvs": [1, 2, 3], "count": "3"}));
        assert_eq!(joined(&json!([{"range_response": {"count": "0"}}])), json!({"count": "0"}));
    }
}
