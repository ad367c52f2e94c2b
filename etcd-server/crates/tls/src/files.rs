//! The files of an endpoint, and detection of their changes.

use crate::settings::EndpointSettings;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The properties that distinguish a file from its earlier state, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The state of all files of an endpoint at one moment; a file that is not there has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

impl Stamps {
    pub(crate) fn of(settings: &EndpointSettings) -> Self {
        Self(paths(settings).map(stamp).collect())
    }
}

fn paths(settings: &EndpointSettings) -> impl Iterator<Item = &PathBuf> {
    let pairs = settings.own.iter().chain(&settings.as_client).flat_map(|pair| [&pair.cert, &pair.key]);
    pairs.chain(&settings.trusted_ca).chain(&settings.revocation_list)
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp {
        inode: found.ino(),
        bytes: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
