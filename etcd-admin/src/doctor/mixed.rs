//! Members of etcd beside members of this server, and the hold of the cluster version.

use super::finding::Finding;
use crate::cluster_view::{ClusterView, Seen};

/// Returns the findings about a migration that is under way; none for a cluster of one program
/// whose version is not held.
pub(super) fn mixed(view: &ClusterView) -> Vec<Finding> {
    let names = |members: &[&Seen]| members.iter().map(|seen| seen.name()).collect::<Vec<_>>().join(", ");
    let etcds: Vec<&Seen> = view.members.iter().filter(|seen| seen.is_etcd()).collect();
    let ours = view.members.iter().filter(|seen| seen.page().is_some()).count();
    let mut findings = Vec::new();
    if !etcds.is_empty() && ours > 0 {
        let text = format!("a migration is under way: {ours} migrated, members of etcd are {}", names(&etcds));
        let remedy = "until it is complete: no upgrade, no downgrade, no new settings, no changes of members except by etcd-admin migrate";
        findings.push(Finding::warning("migration", "", text, remedy));
    }
    let Some(version) = view.cluster_version() else { return findings };
    match (view.held_version(), etcds.is_empty()) {
        (Some(held), true) => findings.push(Finding::warning(
            "hold",
            "",
            format!("all members are migrated, and the cluster version is held at {held}"),
            "complete the migration with etcd-admin migrate commit, or return with etcd-admin migrate rollback",
        )),
        (Some(held), false) => findings.push(Finding::warning(
            "hold",
            "",
            format!("the cluster version is held at {held}, and no other member of etcd may join"),
            "finish the interrupted etcd-admin migrate run or rollback",
        )),
        (None, false) if ours > 0 => {
            findings.push(Finding::good("hold", "", format!("members of etcd keep the cluster version at {version}")));
        }
        (None, _) => {}
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin_client::{Account, MemberPage};
    use certs::Severity;

    fn view(members: &str, cluster_version: &str, held_version: Option<&str>) -> ClusterView {
        let seen = |(letter, id): (char, u64)| {
            let mut seen = crate::cluster_view::seen_for_tests(id, &format!("m{id}"));
            let page = MemberPage {
                cluster_version: Some(cluster_version.to_owned()),
                held_version: held_version.map(str::to_owned),
                ..MemberPage::default()
            };
            seen.account = if letter == 'o' { Account::Own(Box::new(page)) } else { Account::Etcd([].into()) };
            seen
        };
        ClusterView::for_tests(members.chars().zip(1..).map(seen).collect())
    }

    #[test]
    fn migrations_and_holds_are_reported() {
        for (members, version, held, expected) in [
            ("eee", "3.5.0", None, &[][..]),
            ("ooo", "3.7.0", None, &[]),
            ("ooe", "3.7.0", None, &[("migration", Severity::Warning), ("hold", Severity::Good)]),
            ("ooe", "3.5.0", None, &[("migration", Severity::Warning), ("hold", Severity::Good)]),
            ("ooe", "3.5.0", Some("3.5.0"), &[("migration", Severity::Warning), ("hold", Severity::Warning)]),
            ("ooo", "3.5.0", Some("3.5.0"), &[("hold", Severity::Warning)]),
        ] {
            let found = mixed(&view(members, version, held));
            let found: Vec<_> = found.iter().map(|finding| (finding.check, finding.severity)).collect();
            assert_eq!(found, expected, "{members} {version} {held:?}");
        }
    }
}
