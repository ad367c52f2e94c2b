//! With which code the daemon ends when it fails.
//!
//! Where a person or a script starts it, etcd's codes: 1, and 2 for a command line that cannot be
//! read. Where a service manager does, settings that no restart mends have a code of their own,
//! which it can leave alone.

use crate::start_error::StartError;
use config::ConfigError;
use types::Fault;

/// `EX_CONFIG` of sysexits.h; systemd shows it as `CONFIG`.
const CONFIGURATION: u8 = 78;

/// Settings that were refused before there was a log.
pub(crate) fn of_problem(problem: &ConfigError) -> u8 {
    if is_service() && !problem.may_pass() { CONFIGURATION } else { problem.exit_code() }
}

/// A start, or a member, that failed.
pub(crate) fn of_start_error(failure: &StartError) -> u8 {
    match (failure, is_service()) {
        // A service that ends before it was ready would be started again for every code.
        (StartError::Removed, false) => 0,
        (failure, true) if needs_operator(failure) => CONFIGURATION,
        _ => 1,
    }
}

/// Returns the code for a fault of a running member. A service whose files were removed must not be
/// started again by itself: on an empty data directory it would found a new, empty cluster.
pub(crate) fn of_fault(fault: &Fault) -> u8 {
    if is_service() && fault.is_file_lost() { CONFIGURATION } else { 1 }
}

/// Returns `true` if only the operator can fix it. Failures of other members, ports, disks and the
/// network may pass.
fn needs_operator(failure: &StartError) -> bool {
    match failure {
        StartError::Configuration(problem) => !problem.may_pass(),
        StartError::Token(_) | StartError::Encryption(_) | StartError::Removed => true,
        StartError::Dir(refused) => !refused.may_pass(),
        StartError::Setting(_) | StartError::Open(_) | StartError::Listen(_) | StartError::Runtime(_) => false,
        StartError::Fault(fault) => fault.is_file_lost(),
    }
}

/// Returns `true` under systemd, and any manager with its protocol.
fn is_service() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}
