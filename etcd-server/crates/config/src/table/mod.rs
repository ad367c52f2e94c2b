//! The one table of settings, by section, and the names that are no longer settings.

mod clustering;
mod features;
mod gone;
mod member;
mod monitoring;
mod security;

pub use gone::Removed;

use crate::row::{Row, Section};

const TABLE: &[(Section, &[Row])] = &[
    (Section::Member, member::ROWS),
    (Section::Clustering, clustering::ROWS),
    (Section::Security, security::ROWS),
    (Section::Auth, security::AUTH),
    (Section::Monitoring, monitoring::ROWS),
    (Section::Logging, monitoring::LOGGING),
    (Section::Tracing, monitoring::TRACING),
    (Section::Features, features::ROWS),
    (Section::Unsafe, features::UNSAFE),
    (Section::Control, features::CONTROL),
];

/// Every setting with its section, in the order of `--help`.
pub fn rows() -> impl Iterator<Item = (Section, &'static Row)> {
    TABLE.iter().flat_map(|(section, rows)| rows.iter().map(move |row| (*section, row)))
}

/// The setting of this name.
#[must_use]
pub fn row(name: &str) -> Option<&'static Row> {
    rows().map(|(_, row)| row).find(|row| row.name == name)
}

/// The setting at this place of the configuration file, its keys from the outermost to its own in
/// small letters.
#[must_use]
pub fn row_at(keys: &[String]) -> Option<&'static Row> {
    rows().map(|(_, row)| row).find(|row| row.yaml_path() == keys)
}

/// Names that etcd still takes on its command line and throws away; they need no value.
#[must_use]
pub fn ignored() -> &'static [&'static str] {
    gone::IGNORED
}

/// Returns the fate of a name that etcd once had and 3.7.1 refuses.
#[must_use]
pub fn removed(name: &str) -> Option<&'static Removed> {
    gone::REMOVED.iter().find(|removed| removed.name == name)
}
