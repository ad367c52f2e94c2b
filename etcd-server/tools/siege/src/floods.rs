//! The floods by name.

pub mod calls;
pub mod fairness;
pub mod frames;
pub mod logins;
pub mod slow;

use crate::measure::{Bounds, FloodReport};
use frames::FrameFlood;
use std::io;
use testbed::Server;

/// All floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    Frames(FrameFlood),
    SlowHeaders,
    SlowBodies,
    DeepMessages,
    HugeLengths,
    Watches,
    WatchStreams,
    Ranges,
    Snapshots,
    WrongPasswords,
    Logins,
    Leases,
    Labels,
    LockWaiters,
    LeaseKeepers,
    SlowRanges,
    SlowSnapshots,
    SortedRanges,
}

impl Flood {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let others = [
            Self::SlowHeaders,
            Self::SlowBodies,
            Self::DeepMessages,
            Self::HugeLengths,
            Self::Watches,
            Self::WatchStreams,
            Self::Ranges,
            Self::Snapshots,
            Self::WrongPasswords,
            Self::Logins,
            Self::Leases,
            Self::Labels,
            Self::LockWaiters,
            Self::LeaseKeepers,
            Self::SlowRanges,
            Self::SlowSnapshots,
            Self::SortedRanges,
        ];
        FrameFlood::ALL.into_iter().map(Self::Frames).chain(others).collect()
    }

    /// Returns its name on the command line and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frames(flood) => flood.name(),
            Self::SlowHeaders => "slow-headers",
            Self::SlowBodies => "slow-bodies",
            Self::DeepMessages => "deep-messages",
            Self::HugeLengths => "huge-lengths",
            Self::Watches => "watches",
            Self::WatchStreams => "watch-streams",
            Self::Ranges => "ranges",
            Self::Snapshots => "snapshots",
            Self::WrongPasswords => "wrong-passwords",
            Self::Logins => "logins",
            Self::Leases => "leases",
            Self::Labels => "labels",
            Self::LockWaiters => "lock-waiters",
            Self::LeaseKeepers => "lease-keepers",
            Self::SlowRanges => "slow-ranges",
            Self::SlowSnapshots => "slow-snapshots",
            Self::SortedRanges => "sorted-ranges",
        }
    }

    /// Returns `true` if the server needs users for it.
    #[must_use]
    pub fn needs_users(self) -> bool {
        matches!(self, Self::WrongPasswords | Self::Logins)
    }

    /// Returns `true` if the server holds 25 MB that are read.
    #[must_use]
    pub fn reads_large(self) -> bool {
        matches!(self, Self::SlowRanges | Self::SlowSnapshots | Self::SortedRanges)
    }

    /// Returns the default number of its frames, requests or clients.
    #[must_use]
    pub fn usual_count(self) -> u64 {
        match self {
            Self::Frames(_) | Self::Leases => 100_000,
            Self::Watches | Self::WatchStreams => 50_000,
            Self::SlowHeaders | Self::SlowBodies => 500,
            Self::Ranges => 200,
            Self::Snapshots => 50,
            Self::WrongPasswords => 20_000,
            Self::LockWaiters => 1_000,
            Self::LeaseKeepers => 10_000,
            Self::SlowRanges | Self::SlowSnapshots => 16,
            Self::SortedRanges => 40,
            Self::DeepMessages | Self::HugeLengths | Self::Logins | Self::Labels => 2_000,
        }
    }

    /// Keeps at it until a bound is reached.
    pub async fn run(self, server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
        match self {
            Self::Frames(flood) => frames::run(server.place().client_port, flood, bounds).await,
            Self::SlowHeaders => slow::headers(server, bounds).await,
            Self::SlowBodies => slow::bodies(server, bounds).await,
            Self::DeepMessages => calls::deep_messages(server, bounds).await,
            Self::HugeLengths => calls::huge_lengths(server, bounds).await,
            Self::Watches => calls::watches(server, bounds).await,
            Self::WatchStreams => calls::watch_streams(server, bounds).await,
            Self::Ranges => calls::ranges(server, bounds).await,
            Self::Snapshots => calls::snapshots(server, bounds).await,
            Self::WrongPasswords => logins::wrong_passwords(server, bounds).await,
            Self::Logins => logins::logins(server, bounds).await,
            Self::Leases => calls::leases(server, bounds).await,
            Self::Labels => calls::labels(server, bounds).await,
            Self::LockWaiters => fairness::lock_waiters(server, bounds).await,
            Self::LeaseKeepers => fairness::lease_keepers(server, bounds).await,
            Self::SlowRanges => fairness::slow_ranges(server, bounds).await,
            Self::SlowSnapshots => fairness::slow_snapshots(server, bounds).await,
            Self::SortedRanges => fairness::sorted_ranges(server, bounds).await,
        }
    }
}
