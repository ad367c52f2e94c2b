//! Judges a history: order, watches, leases. Pure; takes a second for a hundred thousand
//! operations.
//!
//! Every change of the key space has a revision, and every response states its revision. So the
//! order of all operations is not searched for: it is read off, and then only has to be shown to
//! explain every response and to agree with real time.

mod leases;
mod order;
#[cfg(test)]
mod tests;
mod truth;
mod watches;

use crate::history::History;
use std::fmt;
use truth::Truth;

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise: `linearizable`, `reliable`, `lease`…
    pub promise: &'static str,
    /// The observation.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.promise, self.what)
    }
}

/// All violations in a history.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let truth = Truth::of(history, &mut violations);
    let authors = order::check(history, &truth, &mut violations);
    watches::check(history, &truth, &mut violations);
    leases::check(history, &truth, &authors, &mut violations);
    violations
}
