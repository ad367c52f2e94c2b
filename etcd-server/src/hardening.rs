//! What the process gives up for itself, once and for good, before it touches a secret.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Files that this process makes are its owner's alone, whatever the process that started it thinks of that; and a core, which would hold
/// passwords, tokens and keys, is never written.
pub(crate) fn harden() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "failed to forbid core dumps");
    }
}
