//! The errors of etcdctl's commands.

use admin_client::{CallError, ClientError};
use admin_ui::error;
use std::fmt;

/// etcdctl's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Error,
    BadConnection,
    InvalidInput,
    BadFeature,
    Interrupted,
    BadArguments,
    /// Of a command that was run on behalf.
    Child(u8),
}

/// The line that etcdctl prints behind `Error: `, and our addition to it.
#[derive(Debug)]
pub struct CtlError {
    pub(crate) exit: Exit,
    /// Empty when all has been said.
    pub text: String,
    /// The failed call, for further diagnosis.
    pub call: Option<CallError>,
}

impl CtlError {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), call: None }
    }

    pub(crate) fn arguments(text: impl Into<String>) -> Self {
        Self::new(Exit::BadArguments, text)
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self::new(Exit::Error, text)
    }

    /// Of a call, under another exit code than 1.
    pub(crate) fn with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same with words around the text.
    pub(crate) fn wrapped(self, wrap: impl FnOnce(&str) -> String) -> Self {
        let text = wrap(&self.text);
        Self { text, ..self }
    }

    /// As etcdctl ends.
    pub(crate) fn code(&self) -> u8 {
        match self.exit {
            Exit::Error => 1,
            Exit::BadConnection => 2,
            Exit::InvalidInput => 3,
            Exit::BadFeature => 4,
            Exit::Interrupted => 5,
            Exit::BadArguments => 128,
            Exit::Child(code) => code,
        }
    }

    /// As this tool ends: every code has one meaning.
    pub fn own_code(&self) -> u8 {
        match (self.exit, self.call.as_ref()) {
            (Exit::Child(code), _) => code,
            (Exit::InvalidInput | Exit::BadFeature | Exit::BadArguments, _) => error::USAGE,
            (_, Some(call)) => call.exit_status(),
            (Exit::Error | Exit::BadConnection | Exit::Interrupted, None) => error::FAILED,
        }
    }
}

impl From<CallError> for CtlError {
    fn from(call: CallError) -> Self {
        // etcdctl logs in while it connects.
        let exit = if matches!(call, CallError::Login { .. }) { Exit::BadConnection } else { Exit::Error };
        Self { exit, text: call.text(), call: Some(call) }
    }
}

impl From<ClientError> for CtlError {
    fn from(error: ClientError) -> Self {
        Self::arguments(error.to_string())
    }
}

impl From<std::io::Error> for CtlError {
    fn from(error: std::io::Error) -> Self {
        Self::error(error.to_string())
    }
}

impl fmt::Display for CtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
