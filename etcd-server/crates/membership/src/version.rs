//! Versions as `major.minor.patch`. Pre-release and build parts are read and dropped: no rule here
//! looks at them.

use std::fmt;
use std::str::FromStr;

/// A version of a server or of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; 0 in cluster versions.
    pub patch: u32,
}

/// Not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version of the form X.Y or X.Y.Z")]
pub struct MalformedVersion {
    /// The invalid text.
    pub text: String,
}

impl Version {
    /// `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Returns `major.minor`, as etcd logs versions of clusters.
    pub fn minor_text(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The cluster version of servers of this version: the patch does not count.
    #[must_use]
    pub fn cluster(self) -> Self {
        Self { patch: 0, ..self }
    }

    /// Returns the version as cluster versions are printed: `major.minor` (etcd: version.Cluster).
    pub fn as_cluster(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The one version to which a cluster may go down from this one: one minor lower; none below
    /// minor 0.
    pub fn downgrade_target(self) -> Option<Self> {
        self.minor.checked_sub(1).map(|minor| Self::new(self.major, minor, 0))
    }
}

/// Reads `X.Y.Z` with optional `-pre` and `+build`, or `X.Y`, which stands for `X.Y.0`.
impl FromStr for Version {
    type Err = MalformedVersion;

    fn from_str(text: &str) -> Result<Self, MalformedVersion> {
        let without_build = text.split_once('+').map_or(text, |(core, _)| core);
        let core = without_build.split_once('-').map_or(without_build, |(core, _)| core);
        let numbers: Option<Vec<u32>> = core.split('.').map(number).collect();
        match numbers.as_deref() {
            Some([major, minor, patch]) => Ok(Self::new(*major, *minor, *patch)),
            Some([major, minor]) if core == text => Ok(Self::new(*major, *minor, 0)),
            _other_count => Err(MalformedVersion { text: text.to_owned() }),
        }
    }
}

/// Digits only: the standard parser would let a sign pass.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, version) in
            [("3.6", (3, 6, 0)), ("3.5.30", (3, 5, 30)), ("3.7.0-alpha.0+git", (3, 7, 0)), ("10.0.1", (10, 0, 1))]
        {
            assert_eq!(text.parse(), Ok(Version::new(version.0, version.1, version.2)));
        }
        for text in ["", "3", "3.", "3.6.", "3.6.1.1", "v3.6.0", "+3.6", "3.-6.0", "3.6-rc", "99999999999.1", "3. 6"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
