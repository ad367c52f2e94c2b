//! The host that the daemon runs on: data directory, limits, signals and systemd.

pub(crate) mod data_dir;
pub(crate) mod file_limit;
pub(crate) mod hardening;
pub(crate) mod ownership;
pub(crate) mod signals;
pub(crate) mod systemd;
