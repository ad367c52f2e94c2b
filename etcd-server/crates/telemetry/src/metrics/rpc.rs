//! Counters of each RPC, and of the client library that sent it.
//!
//! Everything is resolved beforehand: a request costs atomic additions and no search for a label.

use std::time::Duration;

use config::MetricsDetail;
use prometheus::{IntCounter, IntCounterVec};

use super::builder::{Builder, Durations, DurationsVec, OnUse};
use super::method::{CallType, Method};

/// Names of the gRPC codes, each at the place of its number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
const UNKNOWN_CODE: usize = 2;
const LABELS: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
const LABELS_AND_CODE: [&str; 4] = ["grpc_type", "grpc_service", "grpc_method", "grpc_code"];

/// The counters of one RPC.
#[derive(Debug)]
pub struct RpcMetrics {
    started: IntCounter,
    received: IntCounter,
    sent: IntCounter,
    handled: [IntCounter; CODES.len()],
    handling: Option<Durations>,
}

impl RpcMetrics {
    /// A call came in.
    pub fn started(&self) {
        self.started.inc();
    }

    /// A message of the client was received whole.
    pub fn received(&self) {
        self.received.inc();
    }

    /// A message was handed to the connection.
    pub fn sent(&self) {
        self.sent.inc();
    }

    /// The call is over, with this gRPC code (0 to 16; others are counted as `Unknown`) after this
    /// time. The time is recorded with `--metrics extensive` only; ask [`RpcMetrics::wants_time`]
    /// before reading a clock for it.
    pub fn handled(&self, code: i32, took: Duration) {
        let place = usize::try_from(code).ok().filter(|place| *place < CODES.len()).unwrap_or(UNKNOWN_CODE);
        self.handled[place].inc();
        if let Some(handling) = &self.handling {
            handling.record(took);
        }
    }

    #[must_use]
    pub fn wants_time(&self) -> bool {
        self.handling.is_some()
    }
}

/// The counters of all RPCs.
#[derive(Debug)]
pub(super) struct RpcTable {
    started: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    handled: IntCounterVec,
    handling: Option<DurationsVec>,
    methods: OnUse<RpcMetrics>,
}

impl RpcTable {
    pub(super) fn new(builder: &Builder, detail: MetricsDetail) -> Self {
        let table = Self {
            started: builder.counters("grpc_server_started_total", &LABELS),
            received: builder.counters("grpc_server_msg_received_total", &LABELS),
            sent: builder.counters("grpc_server_msg_sent_total", &LABELS),
            handled: builder.counters("grpc_server_handled_total", &LABELS_AND_CODE),
            handling: match detail {
                MetricsDetail::Basic => None,
                MetricsDetail::Extensive => Some(builder.durations_by("grpc_server_handling_seconds", &LABELS)),
            },
            methods: OnUse::new(Method::ALL.len()),
        };
        for method in Method::ALL.iter().filter(|method| method.shown_before_use()) {
            table.of(*method);
        }
        table
    }

    pub(super) fn of(&self, method: Method) -> &RpcMetrics {
        self.methods.get(method.place(), || {
            let labels = [method.call_type().label(), method.service(), method.name()];
            RpcMetrics {
                started: self.started.with_label_values(&labels),
                received: self.received.with_label_values(&labels),
                sent: self.sent.with_label_values(&labels),
                handled: CODES.map(|code| self.handled.with_label_values(&[labels[0], labels[1], labels[2], code])),
                handling: self.handling.as_ref().map(|handling| handling.of(&labels)),
            }
        })
    }
}

/// Version of a client's library, as the label `client_api_version` shows it: `3.N`, `unknown` or
/// `other`.
///
/// The header is the client's to write, so it never becomes a label itself: of `3.5`, `3.5.9` and
/// `3.5.9-rc.1` alike `3.5` is kept, and anything but such a version is `other`. At most 34 values
/// exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientVersion(u8);

const MINOR_END: u8 = 32;

impl ClientVersion {
    /// The client sent no version.
    pub const UNKNOWN: Self = Self(MINOR_END);
    const OTHER: Self = Self(MINOR_END + 1);
    const COUNT: usize = MINOR_END as usize + 2;

    /// Reads the value of the metadata `client-api-version`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let minor = text.strip_prefix("3.").and_then(|rest| rest.split('.').next());
        let minor = minor.filter(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'))
        });
        minor.and_then(|digits| digits.parse().ok()).filter(|minor| *minor < MINOR_END).map_or(Self::OTHER, Self)
    }

    fn label(self) -> String {
        match self {
            Self::UNKNOWN => "unknown".to_owned(),
            Self::OTHER => "other".to_owned(),
            Self(minor) => format!("3.{minor}"),
        }
    }
}

/// `etcd_server_client_requests_total`.
#[derive(Debug)]
pub struct ClientRequests {
    family: IntCounterVec,
    unary: OnUse<IntCounter>,
    stream: OnUse<IntCounter>,
}

impl ClientRequests {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            family: builder.counters("etcd_server_client_requests_total", &["type", "client_api_version"]),
            unary: OnUse::new(ClientVersion::COUNT),
            stream: OnUse::new(ClientVersion::COUNT),
        }
    }

    /// A call of this type came in from a client of this version.
    pub fn count(&self, version: ClientVersion, call_type: CallType) {
        let (children, label) = match call_type {
            CallType::Unary => (&self.unary, "unary"),
            CallType::ServerStream | CallType::BidiStream => (&self.stream, "stream"),
        };
        children.get(usize::from(version.0), || self.family.with_label_values(&[label, &version.label()])).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_never_becomes_a_label() {
        for (header, label) in [
            ("3.5", "3.5"),
            ("3.7.1", "3.7"),
            ("3.31", "3.31"),
            ("3.32", "other"),
            ("3.05", "other"),
            ("3.+5", "other"),
            ("3.", "other"),
            ("4.0", "other"),
            ("", "other"),
            ("3.5\"} 1\n", "other"),
        ] {
            assert_eq!(ClientVersion::parse(header).label(), label, "{header:?}");
        }
        assert_eq!(ClientVersion::UNKNOWN.label(), "unknown");
    }
}
