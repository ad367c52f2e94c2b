//! Every setting of the daemon from one table: flags, environment, YAML.
//!
//! Three stages: [`Given`] (the settings of each source) → [`Merged`] (precedence applied) →
//! [`Settings`] (checked, typed). Only `Settings` is meant to travel further, and each part of the
//! daemon takes the piece it needs. Everything is checked here, before a port or a file is opened.
//! [`read`] is the one place that touches the process, its files or the network; all else is a
//! function of its arguments. Nothing is logged: messages for the operator are returned as a list
//! of [`Warning`]s.
#![forbid(unsafe_code)]

mod command_line;
mod environment;
mod error;
mod feature_gate;
mod file;
mod given;
mod go_duration;
mod go_number;
mod help;
mod initial_cluster;
mod load;
mod merged;
mod nearest;
mod read;
mod row;
mod sample;
mod settings;
mod table;
mod url;
mod value;
mod version;
mod warning;
mod yaml;

pub use command_line::redacted;
pub use error::ConfigError;
pub use feature_gate::{FeatureGates, Gate, GateStage};
pub use given::{Assignment, Given, Source};
pub use go_duration::{duration, duration_nanos};
pub use help::help_text;
pub use initial_cluster::InitialCluster;
pub use load::{Environment, Loaded, Start, load};
pub use merged::Merged;
pub use read::read;
pub use row::{Kind, Meaning, Row, Section, Yaml};
pub use sample::sample_file;
pub use settings::*;
pub use table::{Removed, ignored, removed, row, row_at, rows};
pub use url::{Endpoint, Scheme, Url, UrlError};
pub use value::Value;
pub use version::{BuildSource, ETCD_VERSION, version_text};
pub use warning::{Warning, WarningKind};
