//! What an operator should hear although the start goes on.

use std::fmt;

/// A remark about one setting. The daemon logs each once, at level warn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The flag, variable or file key, as the operator wrote it.
    pub setting: String,
    pub text: String,
}

impl Warning {
    pub(crate) fn new(setting: impl Into<String>, text: impl Into<String>) -> Self {
        Self { setting: setting.into(), text: text.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}
