//! Distributions' packages of etcd that are there, or were removed and not purged: their purge
//! deletes `/var/lib/etcd`, and with older versions the user `etcd`.

use super::finding::Finding;
use std::process::Command;

/// Debian's and Ubuntu's names for packages with etcd's daemon.
const NAMES: [&str; 2] = ["etcd", "etcd-server"];

/// Returns a finding for each such package of this host; one good finding when there is none,
/// nothing on a host without dpkg.
pub(super) fn packages() -> Vec<Finding> {
    // Fails for names that dpkg does not know, and lists the others.
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\\n"])
        .args(NAMES)
        .output();
    let Ok(query) = query else { return Vec::new() };
    let found: Vec<_> = not_purged(&String::from_utf8_lossy(&query.stdout))
        .map(|(package, is_installed)| finding(package, is_installed))
        .collect();
    if found.is_empty() {
        vec![Finding::good("packages", "dpkg", "no etcd package of the distribution can delete the data")]
    } else {
        found
    }
}

fn finding(package: &str, is_installed: bool) -> Finding {
    let state = if is_installed { "installed" } else { "removed, but not purged" };
    Finding::bad(
        "packages",
        package,
        format!("{state}: its purge deletes /var/lib/etcd and, before version 3.5, the user etcd"),
        format!(
            "stop the member if one runs, move the data out of /var/lib/etcd, then: dpkg --purge {package}; systemd-sysusers; \
             systemd-tmpfiles --create; then move the data back"
        ),
    )
}

/// Returns the packages of [`NAMES`] that dpkg can still purge, and whether they are installed:
/// from lines with a name and a state.
fn not_purged(listed: &str) -> impl Iterator<Item = (&str, bool)> {
    let listed = listed.lines().filter_map(|line| line.split_once(' '));
    listed
        .filter(|(package, state)| NAMES.contains(package) && *state != "not-installed")
        .map(|(package, state)| (package, state == "installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_etcd_daemon_that_can_be_purged_is_found() {
        for package in ["etcd-server", "etcd", "etcd-client", "etcd-appliance", "my-etcd-server"] {
            for (state, is_left) in [
                ("config-files", true),
                ("installed", true),
                ("half-installed", true),
                ("unpacked", true),
                ("not-installed", false),
            ] {
                let listed = format!("adduser installed\n{package} {state}\nzip config-files\n");
                let expected = if is_left && NAMES.contains(&package) {
                    vec![(package, state == "installed")]
                } else {
                    Vec::new()
                };
                assert_eq!(not_purged(&listed).collect::<Vec<_>>(), expected, "{package} {state}");
            }
        }
        assert_eq!(not_purged("").count(), 0);
    }
}
