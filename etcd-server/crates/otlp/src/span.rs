//! Spans while they are open.

use crate::current;
use crate::ids;
use crate::tracer::Tracer;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tonic::Code;

/// The sampled flag of W3C, and the bits that show that it is known whether the parent is remote.
const SAMPLED: u32 = 0x01;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// A span that ended, with the scope that it belongs to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) scope: Scope,
    pub(crate) span: Span,
}

/// The part of the program that made a span, under etcd's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Rpc,
    Server,
}

/// The value of an attribute.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// Bytes of keys are shown as text.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// A truth value.
    Bool(bool),
}

impl From<&[u8]> for Attribute {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Attribute {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

pub(crate) fn key_value(key: &'static str, value: impl Into<Attribute>) -> KeyValue {
    let value = match value.into() {
        // The wire wants UTF-8.
        Attribute::Bytes(bytes) => Value::StringValue(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
        Attribute::Text(text) => Value::StringValue(text),
        Attribute::Number(number) => Value::IntValue(number),
        Attribute::Bool(value) => Value::BoolValue(value),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The open span of a call, and the place where its children find it. Cloning it gives another
/// handle on the same span.
#[derive(Clone, Debug)]
pub struct CallSpan(Arc<Call>);

#[derive(Debug)]
struct Call {
    tracer: Tracer,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    state: String,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// `None` once it has ended.
    span: Option<Span>,
    /// Events since the last child began or ended.
    events: Vec<Event>,
}

impl CallSpan {
    pub(crate) fn begin(
        tracer: Tracer,
        trace_id: [u8; 16],
        parent: Option<[u8; 8]>,
        state: String,
        method: &str,
    ) -> Self {
        let span_id = ids::span_id();
        let span = Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            trace_state: state.clone(),
            parent_span_id: parent.map_or_else(Vec::new, |id| id.to_vec()),
            flags: SAMPLED | HAS_IS_REMOTE | if parent.is_some() { IS_REMOTE } else { 0 },
            name: method.to_owned(),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: now(),
            attributes: vec![key_value("rpc.method", method), key_value("rpc.system.name", "grpc")],
            ..Span::default()
        };
        Self(Arc::new(Call {
            tracer,
            trace_id,
            span_id,
            state,
            open: Mutex::new(Open { span: Some(span), events: Vec::new() }),
        }))
    }

    /// Adds an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Attribute>) {
        if let Some(span) = &mut self.0.open.lock().span {
            span.attributes.push(key_value(key, value));
        }
    }

    /// Runs `work` so that it finds this span by [`current()`](crate::current()).
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        current::scope(self.clone(), work).await
    }

    /// The same for one poll of a future, or other work that does not wait.
    pub fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        current::sync_scope(self.clone(), work)
    }

    /// Opens a child for an operation of this server.
    pub fn child<const N: usize>(&self, name: &'static str, attributes: [(&'static str, Attribute); N]) -> ChildSpan {
        let call = &self.0;
        call.flush_events();
        let span = Span {
            trace_id: call.trace_id.to_vec(),
            span_id: ids::span_id().to_vec(),
            trace_state: call.state.clone(),
            parent_span_id: call.span_id.to_vec(),
            flags: SAMPLED | HAS_IS_REMOTE,
            name: name.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: now(),
            attributes: attributes.into_iter().map(|(key, value)| key_value(key, value)).collect(),
            ..Span::default()
        };
        ChildSpan { call: self.clone(), span: Some(span) }
    }

    pub(crate) fn event(&self, event: Event) {
        self.0.open.lock().events.push(event);
    }

    /// Ends the span with the code of the call and the message of its status. Only the first end
    /// counts.
    pub fn end(&self, code: Code, message: &str) {
        self.0.flush_events();
        let Some(mut span) = self.0.open.lock().span.take() else { return };
        span.attributes.push(key_value("rpc.response.status_code", code_name(code)));
        if is_error(code) {
            span.status = Some(Status { message: message.to_owned(), code: StatusCode::Error.into() });
        } else {
            span.status = Some(Status::default());
        }
        span.end_time_unix_nano = now();
        self.0.tracer.ended(Ended { scope: Scope::Rpc, span });
    }
}

impl Call {
    /// Events that no child has taken are the call's.
    fn flush_events(&self) {
        let mut open = self.open.lock();
        let events = std::mem::take(&mut open.events);
        if let Some(span) = &mut open.span {
            span.events.extend(events);
        }
    }
}

/// The open span of an operation; it ends when it is dropped.
#[derive(Debug)]
pub struct ChildSpan {
    call: CallSpan,
    span: Option<Span>,
}

impl Drop for ChildSpan {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        span.events = std::mem::take(&mut self.call.0.open.lock().events);
        span.status = Some(Status::default());
        span.end_time_unix_nano = now();
        self.call.0.tracer.ended(Ended { scope: Scope::Server, span });
    }
}

/// The codes that make a server's span an error.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
