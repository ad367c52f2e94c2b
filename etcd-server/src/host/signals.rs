//! Signals that end a process by default and mean nothing to etcd: they are taken and dropped, as
//! Go's runtime does.

use tokio::signal::unix::{SignalKind, signal};

/// The first and the last of the real-time signals that programs may use, on Linux.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Has these signals do nothing for the rest of the process's life. Called within a runtime. INT,
/// TERM and HUP have a meaning; QUIT, ABRT and the signals of faults end the process, in Go as
/// well; stopping and continuing stay with the system.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn ignore_others() -> std::io::Result<()> {
    use nix::libc::{SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGPWR, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ};
    let named = [SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGPWR, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ];
    for number in named.into_iter().chain(REAL_TIME) {
        // The handler stays when the stream goes.
        drop(signal(SignalKind::from_raw(number))?);
    }
    Ok(())
}
