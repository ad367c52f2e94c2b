//! The connection to a cluster, for every command that needs one.
//!
//! Code belongs here if commands share it to talk to members: addresses and settings, trust,
//! dialling, one connection at a time with fail-over to the next endpoint, the pages of a member, the
//! download of a snapshot, and the reason of a failure. No module knows a command. A failure names
//! its endpoint and the step that broke; [`Client::explain`] gives more.
#![forbid(unsafe_code)]

mod address;
mod args;
mod broken;
mod call_error;
mod client;
mod dial;
pub mod download;
mod explain;
mod http;
mod member_config;
mod member_page;
mod session;
mod settings;
mod trust;

pub use args::ConnectionArgs;
pub use broken::Broken;
pub use call_error::{CallError, is_lost};
pub use client::{Client, ClientError, RECONNECT_PAUSE, Repeat};
pub use explain::explained;
pub use http::PageError;
pub use member_config::{own_name, settings as settings_of_file, settings_of_text};
pub use member_page::{Account, Disk, LeaderChange, MemberPage, PageCertificate, PageMember, PagePeer, PageProblem};
pub use session::{Session, require_leader};
pub use settings::{Local, SHADOWED, Settings, SettingsError};
pub use trust::TlsFiles;
