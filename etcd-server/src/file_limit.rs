//! Open files: as many as this process may have at all, and how many of them clients may use up.
//!
//! A store or a log that cannot open its next file ends the member, so clients must not be able to take the last one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are not clients': tables (512 are kept open at most), log segments, peers, and a reserve.
const OWN_FILES: u64 = 640;
/// Where there are few files at all, clients get at least one of this many.
const SHARE_OF_FEW: u64 = 4;

/// Takes the hard limit, as every Go program does, and tells how many connections clients may have. Further ones wait to be accepted.
pub(crate) fn connections_max() -> usize {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => {
            let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
            if raised { hard } else { soft }
        }
        Err(_) => 1024,
    };
    let of_clients = limit.saturating_sub(OWN_FILES).max(limit / SHARE_OF_FEW).max(1);
    usize::try_from(of_clients).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS)
}
