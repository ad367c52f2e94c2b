//! Violations: the outcome of a run in which something that must hold does not.

use types::Fault;

/// Something that must hold does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

pub(crate) type Checked<T = ()> = Result<T, Violation>;

impl From<Fault> for Violation {
    fn from(fault: Fault) -> Self {
        Self(format!("a member cannot continue: {fault}"))
    }
}

pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation(otherwise())) }
}
