//! `migrate preflight`: whether a cluster, and a host, can be migrated.

use super::args::PreflightArgs;
use super::facts::{ClusterFacts, Hashes, HostFacts, Kind, MemberFacts, OURS};
use super::{compare, gather, host};
use crate::cli::context::Context;
use crate::doctor::{Finding, tell};
use admin_client::Client;
use admin_ui::error::CliError;
use admin_ui::output::size;
use membership::Version;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// The oldest release of etcd 3.5 whose members have been migrated.
const OLDEST: Version = Version::new(3, 5, 21);
/// The raft log of a member, and room for a start.
const LOG_BYTES: u64 = 256 << 20;

pub(super) async fn preflight(context: &Context, client: &Client, args: &PreflightArgs) -> Result<ExitCode, CliError> {
    let (view, cluster) = gather::cluster(client).await?;
    let mut findings = of_cluster(&cluster, &compare::hashes(client, &view, None).await);
    if !args.cluster_only {
        let host = host::gather(&args.host, &args.compare, &view)?;
        findings.extend(of_host(&host, &cluster));
    }
    tell(context, findings)
}

/// Judges the cluster. A migration that has begun, with its hold, is fit to go on.
pub(super) fn of_cluster(cluster: &ClusterFacts, hashes: &Hashes) -> Vec<Finding> {
    let mut findings = vec![size_of_cluster(cluster), versions(cluster), data(hashes), downgrade(cluster)];
    findings.extend(cluster.members.iter().map(member));
    findings.extend(cluster.alarms.iter().map(|(name, alarm)| {
        let remedy = format!("clear it first: etcd-admin explain {alarm}");
        Finding::bad("alarm", name, format!("{alarm} is raised"), remedy)
    }));
    findings.extend(cluster.members.iter().filter(|member| member.v2_keys > 0).map(|member| {
        let text = format!("{} keys of the v2 API: they would be lost", member.v2_keys);
        let remedy = "move them to the v3 API, or remove them and set enable-v2 to false; then restart the member";
        Finding::bad("v2-keys", &member.name, text, remedy)
    }));
    findings.extend(quotas(cluster));
    findings
}

fn size_of_cluster(cluster: &ClusterFacts) -> Finding {
    match cluster.members.iter().filter(|member| !member.is_learner).count() {
        1 => Finding::bad(
            "voters",
            "",
            "one voter: it cannot be replaced while it serves",
            "add two members first, or stop writers: runbook \"Move from a real etcd\"",
        ),
        2 => Finding::warning(
            "voters",
            "",
            "two voters: none may fail while a member is replaced",
            "add a third member first",
        ),
        voters => Finding::good("voters", "", format!("{voters} vote; the others keep a quorum")),
    }
}

fn versions(cluster: &ClusterFacts) -> Finding {
    let etcds: Vec<&MemberFacts> = cluster.etcds().collect();
    let listed = |members: &[&MemberFacts]| {
        let named = |member: &&MemberFacts| {
            let version = member.version.map_or_else(|| "unknown".to_owned(), |version| version.to_string());
            format!("{} {version}", member.name)
        };
        members.iter().map(named).collect::<Vec<_>>().join(", ")
    };
    let minors: BTreeSet<Option<Version>> = etcds.iter().map(|member| member.minor()).collect();
    if etcds.is_empty() {
        return Finding::good("version", "", "no member of etcd is left");
    }
    if minors.contains(&None) {
        let remedy = "bring the member back; every version must be known";
        return Finding::bad("version", "", format!("a version is unknown: {}", listed(&etcds)), remedy);
    }
    if minors.len() > 1 {
        let text = format!("minor versions differ: {}", listed(&etcds));
        return Finding::bad("version", "", text, "finish the upgrade of etcd first");
    }
    let outside = |member: &&&MemberFacts| {
        member.version.is_none_or(|version| version < OLDEST || version.cluster() > OURS.cluster())
    };
    let outside: Vec<&MemberFacts> = etcds.iter().filter(outside).copied().collect();
    if !outside.is_empty() {
        let text = format!("{}; supported are {OLDEST} to {}", listed(&outside), OURS.minor_text());
        return Finding::bad("version", "", text, format!("upgrade every member to {OLDEST} or a later release first"));
    }
    Finding::good("version", "", format!("etcd: {}", listed(&etcds)))
}

fn data(hashes: &Hashes) -> Finding {
    match hashes {
        Hashes::Equal { revision } => {
            Finding::good("content", "", format!("HashKV is equal on all members at revision {revision}"))
        }
        Hashes::Differ(text) => Finding::bad(
            "content",
            "",
            format!("HashKV differs: {text}"),
            "one member is corrupt: remove the one that differs, and add it again with an empty data directory",
        ),
        Hashes::Unknown(reason) => Finding::bad(
            "content",
            "",
            format!("HashKV is unknown: {reason}"),
            "bring the member back; with authentication, give a user with the role root (--user)",
        ),
    }
}

fn downgrade(cluster: &ClusterFacts) -> Finding {
    match (cluster.downgrade, cluster.held()) {
        (None, _) => Finding::good("downgrade", "", "none is in progress"),
        (Some(_), Some(held)) if cluster.ours().next().is_some() => {
            Finding::good("downgrade", "", format!("the cluster version is held at {held}"))
        }
        (Some(target), _) => Finding::bad(
            "downgrade",
            "",
            format!("a downgrade to {target} is in progress"),
            "finish it, or end it with etcdctl downgrade cancel",
        ),
    }
}

fn member(member: &MemberFacts) -> Finding {
    let name = &member.name;
    if !member.is_started {
        let remedy = format!("start it, or remove it: etcd-admin member remove {name}");
        return Finding::bad("member", name, "added and never started", remedy);
    }
    if let Some(reason) = &member.away {
        let remedy = "bring it back: every member must follow the leader while one is replaced";
        return Finding::bad("member", name, format!("not available: {reason}"), remedy);
    }
    if member.is_learner {
        let remedy = format!("promote it, or remove it: etcd-admin member promote {name}");
        return Finding::bad("member", name, "a learner", remedy);
    }
    match member.kind {
        Kind::Etcd => Finding::good("member", name, "etcd, follows the leader"),
        Kind::Ours => Finding::good("member", name, "migrated, follows the leader"),
        Kind::Unknown => Finding::bad(
            "member",
            name,
            "neither /debug/member nor /metrics can be read, so its program is unknown",
            "let its metrics be read at its client URL, or give --cacert, --cert and --key",
        ),
    }
}

fn quotas(cluster: &ClusterFacts) -> Option<Finding> {
    let quotas: BTreeSet<i64> = cluster.members.iter().filter_map(|member| member.quota_bytes).collect();
    (quotas.len() > 1).then(|| {
        let listed = quotas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("quota-backend-bytes differs between members: {listed}");
        Finding::bad("setting", "quota-backend-bytes", text, "set the same value on all members first")
    })
}

/// Judges this host as the next one.
pub(super) fn of_host(host: &HostFacts, cluster: &ClusterFacts) -> Vec<Finding> {
    let from = host.from.display();
    if let Some(reason) = &host.unmapped {
        return vec![Finding::bad("configuration", from, reason, "correct the file, or give --leave-out SETTING")];
    }
    let mut findings = vec![Finding::good("configuration", &from, format!("carries over as member {}", host.name))];
    if !host.is_member {
        let text = format!("the cluster has no member {} with the peer URLs of this file", host.name);
        findings.push(Finding::bad("configuration", &from, text, "give the file of this host's etcd with --from"));
    }
    if !host.has_data {
        let text = "its data-dir is not an absolute path of a directory with the data of an etcd";
        findings.push(Finding::bad("data-dir", &from, text, "write the absolute path of the data directory"));
    }
    if let Some(reason) = &host.foreign_data_dir {
        let remedy = "chown etcd: DIR, and chmod 0700 DIR; the etcd in it is not disturbed, nor are files below it";
        findings.push(Finding::bad("data-dir", &from, reason, remedy));
    }
    if let Some(path) = &host.mounted_wal_dir {
        let text = "wal-dir is a filesystem of its own, and cannot be renamed";
        let remedy = "move the log into the data directory first, or mount the filesystem one directory above";
        findings.push(Finding::bad("wal-dir", path.display(), text, remedy));
    }
    findings.extend(host.differences.iter().map(|difference| {
        let text = format!("{} here, {} in {}", difference.here, difference.there, difference.file.display());
        Finding::bad("setting", &difference.setting, text, "set the same value on all members first")
    }));
    findings.extend(host.unusable.iter().map(|file| {
        let text = format!("{}: {}", file.setting, file.reason);
        let remedy = "the user etcd must be able to read it: chown, chmod, or another path";
        Finding::bad("file", file.path.display(), text, remedy)
    }));
    findings.extend(disk(host, cluster));
    findings
}

fn disk(host: &HostFacts, cluster: &ClusterFacts) -> Option<Finding> {
    let (free, all) = host.disk?;
    let largest = cluster.members.iter().map(|member| member.bytes).max().unwrap_or(0);
    // The received snapshot and the state that is made of it, beside the old data. A raft snapshot
    // that leaves less than a twentieth of the filesystem free is refused.
    let needed = largest * 2 + LOG_BYTES + all / 20;
    let text = format!("{} free, {} needed beside the old data", size(free), size(needed));
    Some(if free < needed {
        Finding::bad("disk", "", text, "free space, enlarge the filesystem, or give another --data-dir")
    } else {
        Finding::good("disk", "", text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Difference, UnusableFile};
    use super::*;
    use std::path::PathBuf;

    fn cluster(versions: [&str; 3]) -> ClusterFacts {
        let member = |(version, id): (&str, u64)| MemberFacts {
            id,
            name: format!("m{id}"),
            kind: if version == "ours" { Kind::Ours } else { Kind::Etcd },
            version: Some(if version == "ours" { OURS } else { version.parse().unwrap() }),
            is_started: true,
            is_learner: false,
            leads: id == 1,
            away: None,
            bytes: 100 << 20,
            quota_bytes: None,
            v2_keys: 0,
        };
        ClusterFacts {
            members: versions.into_iter().zip(1..).map(member).collect(),
            cluster_version: Some(Version::new(3, 5, 0)),
            downgrade: None,
            alarms: Vec::new(),
        }
    }

    fn host() -> HostFacts {
        HostFacts {
            from: "etcd.env".into(),
            name: "m1".to_owned(),
            is_member: true,
            has_data: true,
            disk: Some((1 << 30, 4 << 30)),
            ..HostFacts::default()
        }
    }

    fn refused(cluster: &ClusterFacts, host: &HostFacts) -> Vec<String> {
        refused_with(cluster, &Hashes::Equal { revision: 7 }, host)
    }

    fn refused_with(cluster: &ClusterFacts, hashes: &Hashes, host: &HostFacts) -> Vec<String> {
        let findings = [of_cluster(cluster, hashes), of_host(host, cluster)].concat();
        let bad = findings.into_iter().filter(|finding| finding.severity == certs::Severity::Bad);
        bad.map(|finding| {
            assert!(!finding.remedy.is_empty(), "{finding:?}");
            format!("{} {}: {}", finding.check, finding.subject, finding.text)
        })
        .collect()
    }

    #[test]
    fn fit_clusters_are_accepted() {
        for versions in [
            ["3.5.21", "3.5.30", "3.5.30"],
            ["3.6.0", "3.6.14", "3.6.14"],
            ["3.7.1", "3.7.0", "3.7.1"],
            ["ours", "3.5.30", "3.5.30"],
            ["ours", "ours", "ours"],
        ] {
            assert_eq!(refused(&cluster(versions), &host()), [""; 0], "{versions:?}");
        }
        let mut held = cluster(["ours", "3.5.30", "3.5.30"]);
        held.downgrade = Some(Version::new(3, 5, 0));
        assert_eq!(refused(&held, &host()), [""; 0]);
    }

    #[test]
    fn unfit_clusters_are_refused_with_reason() {
        let fit = || cluster(["3.5.30"; 3]);
        let mut cases = vec![
            (
                cluster(["3.5.30", "3.6.14", "3.5.30"]),
                "version : minor versions differ: m1 3.5.30, m2 3.6.14, m3 3.5.30",
            ),
            (cluster(["3.5.20", "3.5.30", "3.5.30"]), "version : m1 3.5.20; supported are 3.5.21 to 3.7"),
            (cluster(["3.8.0"; 3]), "version : m1 3.8.0, m2 3.8.0, m3 3.8.0; supported are 3.5.21 to 3.7"),
        ];
        let mut case = |change: fn(&mut ClusterFacts), says: &'static str| {
            let mut cluster = fit();
            change(&mut cluster);
            cases.push((cluster, says));
        };
        case(|cluster| cluster.alarms.push(("m2".to_owned(), "NOSPACE".to_owned())), "alarm m2: NOSPACE is raised");
        case(|cluster| cluster.members[2].is_learner = true, "member m3: a learner");
        case(
            |cluster| cluster.downgrade = Some(Version::new(3, 4, 0)),
            "downgrade : a downgrade to 3.4.0 is in progress",
        );
        // Without a member of ours it is no hold of a migration.
        case(
            |cluster| cluster.downgrade = Some(Version::new(3, 5, 0)),
            "downgrade : a downgrade to 3.5.0 is in progress",
        );
        case(|cluster| cluster.members[2].is_started = false, "member m3: added and never started");
        case(|cluster| cluster.members[2].away = Some("refused".to_owned()), "member m3: not available: refused");
        case(|cluster| cluster.members[0].v2_keys = 3, "v2-keys m1: 3 keys of the v2 API: they would be lost");
        case(
            |cluster| {
                cluster.members[0].quota_bytes = Some(1);
                cluster.members[1].quota_bytes = Some(2);
            },
            "setting quota-backend-bytes: quota-backend-bytes differs between members: 1, 2",
        );
        case(
            |cluster| cluster.members[1].kind = Kind::Unknown,
            "member m2: neither /debug/member nor /metrics can be read, so its program is unknown",
        );
        for (cluster, says) in cases {
            assert_eq!(refused(&cluster, &host()), [says]);
        }
        for (hashes, says) in [
            (Hashes::Differ("m1 1, m2 2".to_owned()), "content : HashKV differs: m1 1, m2 2"),
            (Hashes::Unknown("m1".to_owned()), "content : HashKV is unknown: m1"),
        ] {
            assert_eq!(refused_with(&fit(), &hashes, &host()), [says]);
        }
        let mut single = fit();
        single.members.truncate(1);
        assert_eq!(refused(&single, &host()), ["voters : one voter: it cannot be replaced while it serves"]);
    }

    #[test]
    fn unfit_hosts_are_refused_with_reason() {
        let path = || PathBuf::from("/pki/a.key");
        for (host, says) in [
            (
                HostFacts { unmapped: Some("x has no counterpart".to_owned()), ..host() },
                "configuration etcd.env: x has no counterpart",
            ),
            (
                HostFacts { is_member: false, ..host() },
                "configuration etcd.env: the cluster has no member m1 with the peer URLs of this file",
            ),
            (
                HostFacts { has_data: false, ..host() },
                "data-dir etcd.env: its data-dir is not an absolute path of a directory with the data of an etcd",
            ),
            (
                HostFacts { foreign_data_dir: Some("/data belongs to root".to_owned()), ..host() },
                "data-dir etcd.env: /data belongs to root",
            ),
            (
                HostFacts { mounted_wal_dir: Some("/wal".into()), ..host() },
                "wal-dir /wal: wal-dir is a filesystem of its own, and cannot be renamed",
            ),
            (
                HostFacts {
                    differences: vec![Difference {
                        setting: "heartbeat-interval".to_owned(),
                        here: "100".to_owned(),
                        there: "250".to_owned(),
                        file: "m2.env".into(),
                    }],
                    ..host()
                },
                "setting heartbeat-interval: 100 here, 250 in m2.env",
            ),
            (
                HostFacts {
                    unusable: vec![UnusableFile {
                        setting: "key-file".to_owned(),
                        path: path(),
                        reason: "permission denied".to_owned(),
                    }],
                    ..host()
                },
                "file /pki/a.key: key-file: permission denied",
            ),
            (
                HostFacts { disk: Some((600 << 20, 4 << 30)), ..host() },
                "disk : 629 MB free, 693 MB needed beside the old data",
            ),
        ] {
            assert_eq!(refused(&cluster(["3.5.30"; 3]), &host), [says]);
        }
    }
}
