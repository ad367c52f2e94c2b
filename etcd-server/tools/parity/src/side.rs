//! One server while a program runs: its connection, its streams, and the values taken from it.

use std::collections::BTreeMap;

use serde_json::Value;
use testbed::Server;
use tonic::{Code, Status, transport::Channel};

use crate::{
    compare::Names,
    pair::ANSWER_LIMIT,
    program::Scope,
    watch_stream::WatchStream,
    wire::{Wire, WireError, WireResponse},
};

/// A token that no server gave out, for the identity `?`.
const TOKEN_OF_NOBODY: &str = "kZtRcfXwLmQpAbyD.7";

/// One of the two servers.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) server: &'a mut Server,
    pub(crate) channel: Channel,
    /// The values of `$` words here. `revision` and `compacted` follow side B on both sides.
    pub(crate) scope: Scope,
    /// Highest revision in any header so far.
    pub(crate) revision: i64,
    /// Token of each user with one.
    tokens: BTreeMap<String, String>,
    /// Watches every key from the first revision on: the history that other watchers are measured
    /// by.
    pub(crate) recorder: Option<WatchStream>,
    pub(crate) streams: BTreeMap<usize, WatchStream>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(wire: &'a Wire, server: &'a mut Server, channel: Channel) -> Self {
        let header = server.status().header.unwrap_or_default();
        let scope = Scope { revision: header.revision, compacted: 0, leases: Vec::new(), member: header.member_id };
        let (tokens, streams) = (BTreeMap::new(), BTreeMap::new());
        Self { wire, server, channel, scope, revision: header.revision, tokens, recorder: None, streams }
    }

    /// Major and minor version that the server claims, as 305 for 3.5.
    pub(crate) fn version(&self) -> u32 {
        let mut parts = self.server.status().version.split('.').map(|part| part.parse().unwrap_or(0));
        parts.next().unwrap_or(0) * 100 + parts.next().unwrap_or(0)
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names {
            member: self.scope.member,
            leases: &self.scope.leases,
            client_url: self.server.endpoint(),
            peer_url: self.server.peer_url(),
        }
    }

    pub(crate) fn token(&self, identity: &str) -> Option<&str> {
        if identity == "?" { Some(TOKEN_OF_NOBODY) } else { self.tokens.get(identity).map(String::as_str) }
    }

    /// Sends a request whose `$` words are replaced already, and learns from the answer.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        identity: &str,
        request: &Value,
    ) -> Result<WireResponse, WireError> {
        let calling = self.wire.call(&self.channel, method, self.token(identity), request);
        let answer = match tokio::time::timeout(ANSWER_LIMIT, calling).await {
            Ok(answer) => answer?,
            Err(_) => WireResponse::Error(Status::new(Code::DeadlineExceeded, "no answer in time")),
        };
        if let WireResponse::Ok(value) = &answer {
            self.learn(method, request, value);
        }
        Ok(answer)
    }

    fn learn(&mut self, method: &str, request: &Value, answer: &Value) {
        let revision = answer.pointer("/header/revision").and_then(number);
        self.revision = self.revision.max(revision.unwrap_or(0));
        let chosen_by_server = |field: &str| request.get(field).and_then(number).unwrap_or(0) == 0;
        match method {
            "Auth/Authenticate" => {
                if let (Some(Value::String(name)), Some(Value::String(token))) =
                    (request.get("name"), answer.get("token"))
                {
                    self.tokens.insert(name.clone(), token.clone());
                }
            }
            "Lease/LeaseGrant" if chosen_by_server("ID") => self.scope.leases.extend(answer.get("ID").and_then(number)),
            "Lock/Lock" if chosen_by_server("lease") => {
                self.scope.leases.extend(answer.get("key").and_then(lease_of_lock))
            }
            _ => {}
        }
    }
}

/// A 64-bit number, which protobuf's JSON writes as a string.
pub(crate) fn number(value: &Value) -> Option<i64> {
    value.as_str()?.parse().ok()
}

/// The lease in the name of a lock's key: `name/HEX`.
fn lease_of_lock(key: &Value) -> Option<i64> {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.decode(key.as_str()?).ok()?;
    let key = std::str::from_utf8(&key).ok()?;
    i64::from_str_radix(key.rsplit_once('/')?.1, 16).ok()
}
