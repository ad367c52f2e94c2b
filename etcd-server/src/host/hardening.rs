//! Restrictions of the process, set once and for good, before it reads a secret.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Makes new files of this process accessible to their owner alone, regardless of the inherited
/// mask; and disables core dumps, which would hold passwords, tokens and keys.
pub(crate) fn harden() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "failed to forbid core dumps");
    }
}
