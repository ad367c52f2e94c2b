//! The reason why a call has no response, and the codes and texts for it.

use crate::broken::Broken;
use admin_ui::error::{self, CliError};
use std::error::Error as _;
use std::time::Duration;
use tonic::{Code, Status};

/// The reason why a call has no response.
#[derive(Clone, Debug)]
pub enum CallError {
    /// No endpoint could be reached.
    Unreachable(Vec<Broken>),
    /// A member answered, or its connection broke.
    Status { endpoint: String, status: Status },
    /// The user was not let in.
    Login { endpoint: String, status: Status },
    /// No endpoint responded in time.
    TimedOut { endpoint: String, limit: Duration },
}

impl CallError {
    /// Returns the code of the response; unreachable endpoints and timeouts have one too.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable(_) => Code::Unavailable,
            Self::Status { status, .. } | Self::Login { status, .. } if is_lost(status) => Code::Unavailable,
            Self::Status { status, .. } | Self::Login { status, .. } => status.code(),
            Self::TimedOut { .. } => Code::DeadlineExceeded,
        }
    }

    /// Returns the exit status of a command that this call ends.
    pub fn exit_status(&self) -> u8 {
        match (self, self.code()) {
            (Self::Unreachable(_), _) => error::UNREACHABLE,
            (Self::Login { .. }, _) => error::DENIED,
            (_, Code::Unauthenticated | Code::PermissionDenied) => error::DENIED,
            (_, Code::DeadlineExceeded) => error::TIMED_OUT,
            (_, Code::Unavailable) => error::UNREACHABLE,
            _ => error::FAILED,
        }
    }

    /// Returns the text of etcd's own client.
    pub fn text(&self) -> String {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } => "context deadline exceeded".to_owned(),
            Self::Status { status, .. } | Self::Login { status, .. }
                if status.message().starts_with("etcdserver: ") =>
            {
                status.message().to_owned()
            }
            Self::Status { status, .. } | Self::Login { status, .. } => {
                format!("rpc error: code = {} desc = {}", go_name(self.code()), status.message())
            }
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(broken) => {
                write!(f, "no endpoint could be reached")?;
                broken.iter().try_for_each(|broken| write!(f, "\n  {broken}"))
            }
            Self::Status { endpoint, status } => write!(f, "{endpoint}: {}", status.message()),
            Self::Login { endpoint, status } => write!(f, "{endpoint}: the user was not let in: {}", status.message()),
            Self::TimedOut { endpoint, limit } => write!(f, "{endpoint}: RPC: no response within {limit:?}"),
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        Self::new(error.exit_status(), error.to_string())
    }
}

/// Returns `true` if the connection was lost or the member cannot serve: another member may.
/// grpc-go calls both Unavailable; tonic reports a lost connection under several codes, with the
/// cause as the source.
pub fn is_lost(status: &Status) -> bool {
    let may_be_transport = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    status.code() == Code::Unavailable || (may_be_transport && transport(status).is_some())
}

/// Go's name of a code.
fn go_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Returns the step that broke below the call, when the status is not a member's response.
pub(super) fn transport(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}
