//! The reasons why a request got no response from the state.

use apply::ApplyError;

/// The error of the pipeline in place of a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request was ordered, and the state says no.
    #[error(transparent)]
    State(#[from] ApplyError),
    /// The pipeline is full; nothing was proposed.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// The encoded request is larger than allowed; nothing was proposed.
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// No leader took the proposal within the time allowed.
    #[error("context deadline exceeded")]
    NoLeader,
    /// The proposal was taken but not applied within the time allowed; it may still be.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The same, and the leader that the proposal went to was lost meanwhile.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    LeaderFailed,
    /// The member is stopping.
    #[error("etcdserver: server stopped")]
    Stopped,
}
