//! Traces of requests, sent to an OpenTelemetry collector by OTLP over gRPC.
//!
//! A [`Tracer`] decides at the start of a call whether it is traced, and gives a [`CallSpan`] if it
//! is. Code below the call finds the span of its own task by [`current`] and opens a child with
//! [`CallSpan::child`]; both end up in one bounded queue, from which a thread of its own sends
//! batches. A request never waits: spans that do not fit into the queue are dropped and counted.
//!
//! Own code rather than the OpenTelemetry SDK: the calls that make up most of the traffic must pay
//! nothing when they are not traced, and the SDK's batch processor does not count the spans that it
//! drops. Names, attributes, sampling and batches are those of etcd 3.7.1, which uses the SDK for
//! Go.

mod counts;
mod current;
mod exporter;
mod ids;
mod propagation;
mod sampler;
mod span;
mod tracer;

pub use counts::Counts;
pub use current::{current, error, event};
pub use exporter::Exporter;
pub use span::{Attribute, CallSpan, ChildSpan};
pub use tracer::{Settings, Tracer};
