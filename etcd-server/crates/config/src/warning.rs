//! Warnings for the operator that do not prevent the start.

use std::fmt;

/// A remark about one setting. The daemon logs each once, at level warn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The flag, variable or file key, as the operator wrote it.
    pub setting: String,
    pub text: String,
    pub kind: WarningKind,
}

/// The kind of a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningKind {
    Remark,
    /// A key of the configuration file that no setting has; `--check-config` fails for it.
    UnknownKey,
}

impl Warning {
    pub(crate) fn new(setting: impl Into<String>, text: impl Into<String>) -> Self {
        Self { setting: setting.into(), text: text.into(), kind: WarningKind::Remark }
    }

    pub(crate) fn unknown_key(path: String, text: String) -> Self {
        Self { setting: path, text, kind: WarningKind::UnknownKey }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.text)
    }
}
