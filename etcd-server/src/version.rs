//! The version of etcd that this daemon stands for.

use membership::Version;

/// The version of etcd whose behaviour this program has; tools choose features by it.
pub(crate) const ETCD_VERSION: &str = "3.7.1";
/// [`ETCD_VERSION`] in numbers.
pub(crate) const OWN_VERSION: Version = Version::new(3, 7, 1);
