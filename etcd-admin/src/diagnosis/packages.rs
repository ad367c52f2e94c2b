//! Distributions' packages of etcd that are there, or were removed and not purged: their purge
//! deletes `/var/lib/etcd`, and with older versions the user `etcd`.

use super::finding::Finding;

/// dpkg's list of all packages that it knows.
const STATUS: &str = "/var/lib/dpkg/status";
/// Debian's and Ubuntu's names for packages with etcd's daemon.
const NAMES: [&str; 2] = ["etcd", "etcd-server"];

/// Returns a finding for each such package of this host; one good finding when there is none,
/// nothing on a host without dpkg.
pub(super) fn packages() -> Vec<Finding> {
    let Ok(status) = std::fs::read_to_string(STATUS) else { return Vec::new() };
    let found: Vec<_> = not_purged(&status).map(|(package, is_installed)| finding(package, is_installed)).collect();
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

/// Returns the packages of [`NAMES`] that dpkg can still purge, and whether they are installed.
fn not_purged(status: &str) -> impl Iterator<Item = (&str, bool)> {
    status.split("\n\n").filter_map(|paragraph| {
        let value = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        let (package, state) = (value("Package: ")?, value("Status: ")?);
        (NAMES.contains(&package) && !state.ends_with(" not-installed")).then_some((package, state.ends_with(" installed")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_etcd_daemon_that_can_be_purged_is_found() {
        let paragraph =
            |package: &str, state: &str| format!("Package: {package}\nStatus: {state}\nPriority: optional\nDescription: one\n more\n\n");
        let states = ["deinstall ok config-files", "purge ok config-files", "install ok installed", "purge ok not-installed"];
        for package in ["etcd-server", "etcd", "etcd-client", "etcd-appliance", "my-etcd-server"] {
            for state in states {
                let status = paragraph("adduser", states[2]) + &paragraph(package, state) + &paragraph("zip", states[0]);
                let is_expected = NAMES.contains(&package) && state != states[3];
                let expected = if is_expected { vec![(package, state == states[2])] } else { Vec::new() };
                assert_eq!(not_purged(&status).collect::<Vec<_>>(), expected, "{package} {state}");
            }
        }
        assert_eq!(not_purged("").count(), 0);
    }
}
