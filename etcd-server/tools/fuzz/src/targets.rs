//! The decoders, by name.

mod certificates;
mod entries;
mod frames;
mod http2;
mod json;
mod requests;
mod settings;
mod tokens;

use crate::Target;

/// A decoder's name, and how to get ready for trying it.
pub type Named = (&'static str, fn() -> Box<dyn Target>);

/// All targets.
pub const ALL: [Named; 8] = [
    ("peer-frames", || Box::new(frames::Frames)),
    ("http2-connections", || Box::new(http2::Connections)),
    ("raft-entries", || Box::new(entries::Entries::new())),
    ("protobuf-requests", || Box::new(requests::Requests::new())),
    ("json-requests", || Box::new(json::Json::new())),
    ("certificates", || Box::new(certificates::Certificates::new())),
    ("settings", || Box::new(settings::SettingsFiles::new())),
    ("tokens", || Box::new(tokens::Tokens::new())),
];
