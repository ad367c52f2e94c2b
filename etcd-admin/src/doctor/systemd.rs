//! Properties of units, as `systemctl show` prints them.

use std::process::Command;

/// The properties of one unit, a line each.
#[derive(Clone, Debug)]
pub(super) struct Properties(pub(super) String);

impl Properties {
    /// Reads properties by name. `None` where there is no systemd.
    pub(super) fn of(unit: &str, names: &str) -> Option<Self> {
        let property = format!("--property={names}");
        let out = Command::new("systemctl").args(["show", unit, &property]).output().ok()?;
        out.status.success().then(|| Self(String::from_utf8_lossy(&out.stdout).into_owned()))
    }

    /// Returns a property; it is empty if the unit does not have it.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    }

    /// Returns `true` if the unit is installed.
    pub(super) fn is_loaded(&self) -> bool {
        self.get("LoadState") == "loaded"
    }
}
