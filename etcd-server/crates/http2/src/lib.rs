//! The server side of an HTTP/2 connection for gRPC, as a state machine over bytes (RFC 9113 and
//! RFC 7541).
//!
//! It does no input or output, has no clock and no locks: the driver passes received bytes to
//! [`Connection::receive`], takes [`Event`]s, calls the methods that respond, and writes
//! [`Connection::slices`]. The whole connection belongs to one task.
//!
//! Reasons against the h2 crate: it takes a mutex for each operation on a stream, builds a map of headers
//! for each request, resets calls with an `:authority` that is no URI's, and bounds the number of
//! DATA frames in place of their bytes. Measured with `make bench`, see `docs/benchmarks.md`.
//!
//! Bounds, all of them of one connection:
//!
//! | of | bound | beyond |
//! |---|---|---|
//! | a received frame | 16 KiB | GOAWAY FRAME_SIZE_ERROR |
//! | received bodies | window of the stream and of the connection, in bytes, not in frames | GOAWAY or RST_STREAM FLOW_CONTROL_ERROR |
//! | a header block, and its fields | `header_bytes_max` | response with status 431; GOAWAY ENHANCE_YOUR_CALM at four times as much |
//! | CONTINUATION frames of a block | 64 | GOAWAY ENHANCE_YOUR_CALM |
//! | open streams | `streams_max` | RST_STREAM REFUSED_STREAM |
//! | streams that end in an error of the client, beyond those that end well | 1,024 | GOAWAY ENHANCE_YOUR_CALM |
//! | streams that are reset before the application has seen them, likewise | 2,000 | GOAWAY ENHANCE_YOUR_CALM |
//! | empty DATA frames in a row | 1,000 | GOAWAY ENHANCE_YOUR_CALM |
//! | pings | [`PingPolicy`] | GOAWAY ENHANCE_YOUR_CALM |
//! | output | 256 KiB of data; other frames stop the reading at 64 KiB more | data waits in its stream, input in the socket |
#![forbid(unsafe_code)]

mod connection;
mod encoder;
mod frame;
mod head;
mod hpack;
pub mod huffman;
mod output;
mod ping_policy;
mod reason;
mod receive;
mod send;
mod static_table;
mod streams;

pub use connection::{Connection, Event, Settings};
pub use head::{FieldNames, Head, Tag};
pub use ping_policy::PingPolicy;
pub use reason::Reason;
pub use receive::TOO_MANY_PINGS;
pub use send::End;
pub use streams::{Intake, StreamKey};
