//! Open files: the limit of this process, and the part that clients may use.
//!
//! A store or a log that cannot open its next file ends the member, so clients must not be able to
//! take the last one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are no connections: tables (512 are kept open at most), log segments, and a reserve.
const OWN_FILES: u64 = 640;
/// Where there are few files at all, clients get at least one of this many.
const SHARE_OF_FEW: u64 = 4;

/// The part for other members, and unknown clients at the peer port: far more than a cluster needs,
/// and enough that clients that are silent for their ten seconds do not keep members out.
const PEERS_SHARE: u64 = 8;
const PEERS_MIN: u64 = 16;
const PEERS_MAX: u64 = 16_384;

/// Takes the hard limit, as every Go program does, and returns the number of connections that
/// clients may have. Further ones wait to be accepted.
pub(crate) fn connections_max() -> usize {
    let limit = open_files_max();
    let of_clients = limit.saturating_sub(OWN_FILES + of_peers(limit)).max(limit / SHARE_OF_FEW).max(1);
    usize::try_from(of_clients).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS)
}

/// The same for connections to the port between members.
pub(crate) fn peer_connections_max() -> usize {
    usize::try_from(of_peers(open_files_max())).unwrap_or(usize::MAX)
}

fn of_peers(limit: u64) -> u64 {
    (limit / PEERS_SHARE).clamp(PEERS_MIN, PEERS_MAX)
}

fn open_files_max() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => {
            let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
            if raised { hard } else { soft }
        }
        Err(_) => 1024,
    }
}
