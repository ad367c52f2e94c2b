//! `doctor cluster`: the reports of the members about themselves and about each other. It works
//! without a leader.

use super::finding::{Finding, tell};
use super::mixed::mixed;
use super::snapshots::failed_snapshots;
use crate::cli::context::Context;
use crate::cluster_view::{BrokenLink, ClusterView, Seen, headline, may_fail};
use admin_client::{Client, Repeat};
use admin_ui::error::CliError;
use admin_ui::output::Format;
use admin_ui::output::size;
use proto::etcdserverpb::{HashKvRequest, MemberListRequest};
use std::collections::BTreeSet;
use std::process::ExitCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Largest number of entries that a member may lag by.
const LAG_MAX: u64 = 1000;
/// Share of its size that a database may hold without using it, in percent, and the size from which
/// it matters.
const FREE_PERCENT: i64 = 50;
const FREE_MATTERS: i64 = 64 << 20;
/// Share of the quota at which it is time to act, in percent.
const QUOTA_PERCENT: i64 = 80;
/// Free share of the disk, in percent, below which there is a warning, and below which writes are
/// about to fail.
const DISK_WARN_PERCENT: u64 = 15;
const DISK_BAD_PERCENT: u64 = 5;
/// Free space that is enough for any quota: state, log and a snapshot.
const DISK_ENOUGH_BYTES: u64 = 32 << 30;
/// Days before the end of a certificate at which it is time to renew it. A CRL lives for a month.
const CERTIFICATE_DAYS: i64 = 30;
const CRL_DAYS: i64 = 7;
/// Largest difference of two clocks: certificates, leases and tokens depend on them.
const CLOCK_DRIFT_MAX_MILLISECONDS: i64 = 1000;
/// A response takes part of this, so that small differences say nothing.
const OWN_CLOCK_DRIFT_MAX_MILLISECONDS: i64 = 10_000;

pub(super) async fn doctor(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let view = ClusterView::survey(client).await?;
    if context.format == Format::Table {
        admin_ui::output::say(&format!("{}\n\n", headline(&view)))?;
    }
    let mut findings = of_view(&view);
    findings.extend(failed_snapshots());
    findings.extend(lists(client, &view).await);
    findings.extend(hashes(client, &view).await);
    tell(context, findings)
}

/// Returns the findings about a cluster that call for action.
pub(crate) fn problems(view: &ClusterView) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_view(view).into_iter().filter(Finding::is_problem).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Returns the findings that need only the reports of the members.
fn of_view(view: &ClusterView) -> Vec<Finding> {
    let mut findings = vec![leader(view)];
    findings.extend(newest_log(view));
    findings.push(voters(view));
    findings.extend(view.strangers.iter().map(|(endpoint, cluster)| {
        let text = format!("it belongs to another cluster, {cluster:x}");
        Finding::bad(
            "endpoint",
            endpoint,
            text,
            "remove it from --endpoints, or check its data: etcd-admin doctor offline",
        )
    }));
    findings.extend(view.members.iter().map(|seen| member(view, seen)));
    findings.extend(connections(view));
    findings.extend(versions(view));
    findings.extend(mixed(view));
    findings.extend(alarms(view));
    findings.extend(view.members.iter().flat_map(certificates));
    findings.extend(view.members.iter().filter_map(disk));
    findings.extend(clocks(view));
    for seen in &view.members {
        findings.extend(space(seen));
    }
    findings
}

fn leader(view: &ClusterView) -> Finding {
    if let Some(leader) = view.leader() {
        return if view.is_led() {
            let change = view.last_leader_change().map(|change| view.describe_leader_change(&change));
            Finding::good("leader", leader.name(), change.unwrap_or_else(|| "leads".to_owned()))
        } else {
            let remedy = "the leader was lost or its disk hangs: give the command again in some seconds; etcd-admin doctor host on its host";
            Finding::bad("leader", leader.name(), "no read is confirmed by a quorum", remedy)
        };
    }
    let (reachable, voters, quorum) = (view.reachable_voters(), view.voters().count(), view.quorum());
    let text = format!("no leader: {reachable} of {voters} voters respond, {quorum} are needed");
    let away: Vec<String> = view.voters().filter(|seen| seen.status.is_err()).map(Seen::name).collect();
    let remedy = if reachable < quorum {
        format!(
            "start {}: on the host, run etcd-admin doctor host, then systemctl start etcd-server; if it is permanently lost: etcd-admin recover inspect",
            away.join(" or ")
        )
    } else if view.broken_links().is_empty() {
        "an election is under way: give the command again in some seconds; if it stays so, etcd-admin doctor host on each host".to_owned()
    } else {
        "repair the connections that are listed as broken; a leader is elected within seconds".to_owned()
    };
    Finding::bad("leader", "", text, remedy)
}

/// Returns the members by their last log entries while there is no leader: the first one may be
/// elected, and recovery starts from it.
fn newest_log(view: &ClusterView) -> Option<Finding> {
    if view.leader().is_some() {
        return None;
    }
    let mut logs: Vec<((u64, u64), String)> =
        view.voters().filter_map(|seen| Some((seen.last_entry()?, seen.name()))).collect();
    logs.sort_by(|one, other| other.cmp(one));
    let text = logs
        .iter()
        .map(|((term, index), name)| format!("{name} ends at entry {index} of term {term}"))
        .collect::<Vec<_>>();
    (!logs.is_empty()).then(|| Finding::good("log", "", text.join(", ")))
}

fn voters(view: &ClusterView) -> Finding {
    let (voters, tolerance) = (view.voters().count(), view.tolerance());
    let text = format!("{voters} vote, {} are needed, {}", view.quorum(), may_fail(&tolerance));
    match (voters, tolerance.verified) {
        (1, _) => Finding::warning("quorum", "", text, "grow it to three: etcd-admin join on another host"),
        (_, 0) if tolerance.assumed > 0 => {
            let remedy = "their connections are not visible: read their metrics (etcd_network_active_peers), or let /debug/member be served";
            Finding::warning("quorum", "", text, remedy)
        }
        (_, 0) => Finding::bad(
            "quorum",
            "",
            text,
            "bring back the members that are away, and repair broken connections, before one more fails",
        ),
        (voters, _) if voters % 2 == 0 => Finding::warning(
            "quorum",
            "",
            text,
            "an even number survives no more failures than one less: add or remove one",
        ),
        _ => Finding::good("quorum", "", text),
    }
}

fn member(view: &ClusterView, seen: &Seen) -> Finding {
    let name = seen.name();
    let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
    match &seen.status {
        _ if !seen.has_started() => {
            let kind = if seen.member.is_learner {
                "a learner that was added and never started"
            } else {
                "added and never started"
            };
            let remedy = format!(
                "start it on the host of {} (etcd-admin join), or remove it: etcd-admin member remove {}",
                seen.member.peer_ur_ls.join(","),
                seen.id()
            );
            Finding::bad("member", name, format!("{kind}; it blocks other changes of members"), remedy)
        }
        Err(error) => {
            let reached = view.reached_by(seen);
            let text = match reached.len() {
                0 => format!("not reached: {error}"),
                _ => format!("not reached from here: {error}; {} are connected to it", reached.join(", ")),
            };
            let remedy = if reached.is_empty() && view.leader().is_none() {
                "on its host: etcd-admin doctor host, then systemctl start etcd-server".to_owned()
            } else if reached.is_empty() {
                format!(
                    "on its host: etcd-admin doctor host; if it is lost: etcd-admin member replace {name} --with NAME --peer-urls URL"
                )
            } else {
                "it runs: check its client URLs and this command's --cacert, --cert and --key".to_owned()
            };
            Finding::bad("member", name, text, remedy)
        }
        Ok(status) if !status.errors.is_empty() => {
            Finding::warning("member", name, status.errors.join("; "), "run etcd-admin explain with its name")
        }
        Ok(_) if seen.member.is_learner => Finding::warning(
            "member",
            name.clone(),
            "a learner, without a vote",
            format!("etcd-admin member promote {name}"),
        ),
        Ok(status) if status.leader == 0 => {
            Finding::bad("member", name, "it responds and has no leader", "see leader and connection in this list")
        }
        Ok(_) if !seen.proven => {
            let remedy = "it is cut off from the leader, or its disk hangs: etcd-admin doctor host there";
            Finding::bad("member", name, "it responds, but does not follow the leader", remedy)
        }
        Ok(status) if newest.saturating_sub(status.raft_applied_index) > LAG_MAX => {
            let text = format!("{} entries behind", newest - status.raft_applied_index);
            Finding::warning("member", name, text, "slow disk or network: etcd-admin bench fsync there")
        }
        Ok(_) => Finding::good("member", name, "keeps up"),
    }
}

/// Returns one finding for each connection that is broken, as each side reports it. That a member
/// which is down is not reached is said once, by the finding about that member.
fn connections(view: &ClusterView) -> Vec<Finding> {
    let is_news = |link: &BrokenLink<'_>| {
        link.to.status.is_ok() || !matches!(link.reason.as_str(), "address" | "silence" | "" | "other")
    };
    let broken: Vec<Finding> = view
        .broken_links()
        .into_iter()
        .filter(is_news)
        .map(|link| {
            let kind = if link.reason.is_empty() { String::new() } else { format!("{}: ", link.reason) };
            let remedy = if link.remedy.is_empty() {
                format!("etcd-admin doctor host on the hosts of {} and {}", link.from.name(), link.to.name())
            } else {
                link.remedy
            };
            Finding::bad(
                "connection",
                format!("{}-{}", link.from.name(), link.to.name()),
                format!("{kind}{}", link.error),
                remedy,
            )
        })
        .collect();
    let reporting = view.members.iter().filter(|seen| seen.page().is_some() || seen.is_etcd()).count();
    if broken.is_empty() && view.members.len() > 1 && reporting > 0 {
        return vec![Finding::good(
            "connection",
            "",
            format!(
                "{reporting} of {} members report theirs: none is missing between members that respond",
                view.members.len()
            ),
        )];
    }
    broken
}

/// Returns `3.7.1` for a member of ours, and `etcd 3.5.30` for a real etcd.
fn version_of(seen: &Seen) -> Option<String> {
    let version = &seen.status.as_ref().ok()?.version;
    Some(if seen.is_etcd() { format!("etcd {version}") } else { version.clone() })
}

fn versions(view: &ClusterView) -> Vec<Finding> {
    let of = |seen: &Seen| Some((version_of(seen)?, seen.page().map(|page| page.package_version.clone())));
    let versions: BTreeSet<String> = view.members.iter().filter_map(version_of).collect();
    let listed = versions.iter().cloned().collect::<Vec<_>>().join(", ");
    let real: Vec<&Seen> = view.members.iter().filter(|seen| seen.is_etcd()).collect();
    if !real.is_empty() && real.len() < view.members.iter().filter(|seen| seen.status.is_ok()).count() {
        return real.into_iter().map(replace_real).collect();
    }
    let packages: BTreeSet<_> = view.members.iter().filter_map(of).filter_map(|(_, package)| package).collect();
    match versions.len() {
        0 => Vec::new(),
        1 if packages.len() > 1 => {
            let text = format!("packages differ: {}", packages.into_iter().collect::<Vec<_>>().join(", "));
            vec![Finding::warning("version", "", text, "finish the upgrade: etcd-admin roll upgrade lists the order")]
        }
        1 => vec![Finding::good("version", "", listed)],
        _ => {
            let remedy = if real.is_empty() {
                "finish the upgrade: etcd-admin roll upgrade lists the order"
            } else {
                "finish the upgrade of etcd"
            };
            vec![Finding::warning("version", "", format!("members differ: {listed}"), remedy)]
        }
    }
}

/// A real etcd beside members of ours: our package does not upgrade it.
fn replace_real(seen: &Seen) -> Finding {
    let text = format!("a real etcd: {}", version_of(seen).unwrap_or_default());
    let remedy = "to migrate it, on its host: etcd-admin migrate run; it is upgraded with its own package";
    Finding::warning("version", seen.name(), text, remedy)
}

/// Returns the certificates and CRLs of a member that expire soon.
fn certificates(seen: &Seen) -> Vec<Finding> {
    let Some(page) = seen.page() else { return Vec::new() };
    let near = page.certificates.iter().filter(|certificate| certificate.days_left < limit_of(&certificate.setting));
    let findings: Vec<Finding> = near
        .map(|certificate| {
            let is_crl = certificate.setting.contains("crl");
            let what = if is_crl { "CRL" } else { "certificate" };
            let ends = if certificate.days_left < 0 {
                format!("has expired {} days ago", -certificate.days_left)
            } else {
                format!("expires in {} days", certificate.days_left)
            };
            let text = format!("the {what} of {} ({}) {ends}", certificate.setting, certificate.subject);
            let remedy = if is_crl {
                "etcd-admin crl publish where the CA is, then copy it to the host"
            } else {
                "etcd-admin cert renew, or etcd-admin init apply on its host"
            };
            let kind = if certificate.days_left < 0 { Finding::bad } else { Finding::warning };
            kind("certificate", seen.name(), text, remedy.to_owned())
        })
        .collect();
    match (findings.is_empty(), seen.certificate_days()) {
        (true, Some(days)) => {
            vec![Finding::good("certificate", seen.name(), format!("the first one expires in {days} days"))]
        }
        _ => findings,
    }
}

fn limit_of(setting: &str) -> i64 {
    if setting.contains("crl") { CRL_DAYS } else { CERTIFICATE_DAYS }
}

fn disk(seen: &Seen) -> Option<Finding> {
    let disk = seen.page()?.disk.as_ref()?;
    let text = format!("{} of {} free in {}", size(disk.free_bytes), size(disk.total_bytes), disk.path);
    let remedy = "free disk space or enlarge the disk before it is full: the member stops when a write fails";
    Some(match disk.free_percent() {
        // A small share of a very large disk is enough.
        _ if disk.free_bytes > DISK_ENOUGH_BYTES => Finding::good("disk", seen.name(), text),
        percent if percent < DISK_BAD_PERCENT => Finding::bad("disk", seen.name(), text, remedy),
        percent if percent < DISK_WARN_PERCENT => Finding::warning("disk", seen.name(), text, remedy),
        _ => Finding::good("disk", seen.name(), text),
    })
}

/// Returns clocks that differ: between members by their probes of each other, and from this
/// machine's clock by the time on their pages.
fn clocks(view: &ClusterView) -> Vec<Finding> {
    const REMEDY: &str =
        "synchronize the clocks (chrony, systemd-timesyncd): certificates, leases and tokens depend on them";
    let mut findings = Vec::new();
    for to in &view.members {
        let reported = view.members.iter().filter_map(|from| {
            let peer = from.page()?.peers.iter().find(|peer| peer.id == to.id())?;
            Some((from, peer.clock_drift_milliseconds?))
        });
        if let Some((from, drift)) = reported
            .filter(|(_, drift)| drift.abs() > CLOCK_DRIFT_MAX_MILLISECONDS)
            .max_by_key(|(_, drift)| drift.abs())
        {
            findings.push(Finding::warning(
                "clock",
                to.name(),
                format!("{} that of {}", ahead(drift), from.name()),
                REMEDY,
            ));
        }
    }
    let now = OffsetDateTime::now_utc();
    for seen in &view.members {
        let Some(theirs) = seen.page().and_then(|page| OffsetDateTime::parse(&page.time, &Rfc3339).ok()) else {
            continue;
        };
        let drift = i64::try_from((theirs - now).whole_milliseconds()).unwrap_or(i64::MAX);
        if drift.abs() > OWN_CLOCK_DRIFT_MAX_MILLISECONDS {
            findings.push(Finding::warning(
                "clock",
                seen.name(),
                format!("{} that of this machine", ahead(drift)),
                REMEDY,
            ));
        }
    }
    findings
}

fn ahead(milliseconds: i64) -> String {
    let seconds = milliseconds.abs() / 1000;
    format!("its clock is {seconds} s {}", if milliseconds > 0 { "ahead of" } else { "behind" })
}

fn alarms(view: &ClusterView) -> Vec<Finding> {
    let report = view.alarms.iter().map(|(id, alarm)| {
        let name = view.name_of(*id);
        let remedy = match alarm.as_str() {
            "NOSPACE" => "nothing can be written: etcd-admin maintenance reclaim, then raise quota or delete keys",
            "CORRUPT" => "its data differs from the others': etcd-admin member rebuild, and never disarm before",
            _ => "run etcd-admin explain with its name",
        };
        Finding::bad("alarm", name, alarm.clone(), remedy)
    });
    report.collect()
}

fn space(seen: &Seen) -> Vec<Finding> {
    let Ok(status) = &seen.status else { return Vec::new() };
    let bytes = |bytes: i64| size(u64::try_from(bytes).unwrap_or(0));
    let text = format!("{}, of which {} in use", bytes(status.db_size), bytes(status.db_size_in_use));
    let mut findings = Vec::new();
    let wasted = status.db_size - status.db_size_in_use;
    findings.push(if status.db_size > FREE_MATTERS && wasted * 100 > status.db_size * FREE_PERCENT {
        Finding::warning(
            "space",
            seen.name(),
            text,
            "give it back: etcd-admin defrag --endpoints of one member at a time",
        )
    } else {
        Finding::good("space", seen.name(), text)
    });
    if status.db_size_quota > 0 && status.db_size * 100 > status.db_size_quota * QUOTA_PERCENT {
        let text = format!("{} of a quota of {}", bytes(status.db_size), bytes(status.db_size_quota));
        let remedy = "run etcd-admin maintenance reclaim, and check that auto-compaction is on";
        findings.push(Finding::warning("quota", seen.name(), text, remedy));
    }
    findings
}

/// Every member has to list the same members.
async fn lists(client: &Client, view: &ClusterView) -> Vec<Finding> {
    let wanted: Vec<u64> = view.members.iter().map(|seen| seen.member.id).collect();
    let mut findings = Vec::new();
    for seen in view.members.iter().filter(|seen| seen.status.is_ok()) {
        let Some(own) = seen.endpoint.as_ref().and_then(|endpoint| client.at(endpoint).ok()) else { continue };
        let request = MemberListRequest { linearizable: false };
        let listed = own.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
        let listed: Option<Vec<u64>> =
            listed.ok().map(|listed| listed.members.iter().map(|member| member.id).collect());
        if listed.is_some_and(|listed| listed != wanted) {
            let remedy = "if this persists, it belongs to another cluster: check its data directory with etcd-admin doctor offline";
            findings.push(Finding::warning("members", seen.name(), "it lists other members than the others", remedy));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("members", "", "all list the same members"));
    }
    findings
}

/// The same key space at the same revision on all.
async fn hashes(client: &Client, view: &ClusterView) -> Option<Finding> {
    let mut hashes = Vec::new();
    for seen in view.members.iter().filter(|seen| seen.proven) {
        let own = client.at(seen.endpoint.as_ref()?).ok()?;
        let request = HashKvRequest { revision: view.revision };
        let response =
            own.call(Repeat::Safe, async |session| session.maintenance().hash_kv(request).await).await.ok()?;
        hashes.push((seen.name(), response.hash, response.compact_revision));
    }
    let compacted: BTreeSet<i64> = hashes.iter().map(|(_, _, compacted)| *compacted).collect();
    let distinct: BTreeSet<u32> = hashes.iter().map(|(_, hash, _)| *hash).collect();
    let text = hashes.iter().map(|(name, hash, _)| format!("{name} {hash:08x}")).collect::<Vec<_>>().join(", ");
    match (compacted.len(), distinct.len()) {
        (_, 0) => None,
        (1, 1) => {
            Some(Finding::good("content", "", format!("the same at revision {} on {}", view.revision, hashes.len())))
        }
        // Compacted at different moments, which hashes distinguish too.
        (compacted, _) if compacted > 1 => None,
        _ => {
            let remedy = "the one that differs from the majority is damaged: etcd-admin member rebuild";
            Some(Finding::bad("content", "", format!("members differ at revision {}: {text}", view.revision), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin_client::{Account, Disk, MemberPage, PageCertificate, PagePeer, PageProblem};

    /// Three members with pages, which `change` alters.
    fn view(change: impl Fn(u64, &mut MemberPage)) -> ClusterView {
        let members = (1..=3_u64).map(|id| {
            let peer = |other: u64| PagePeer {
                id: format!("{other:x}"),
                streams_in: 2,
                streams_out: 2,
                ..PagePeer::default()
            };
            let mut page = MemberPage {
                peers: (1..=3).filter(|other| *other != id).map(peer).collect(),
                time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap(),
                disk: Some(Disk { path: "/data".to_owned(), free_bytes: 50, total_bytes: 100 }),
                ..MemberPage::default()
            };
            change(id, &mut page);
            let mut seen = crate::cluster_view::seen_for_tests(id, &format!("m{id}"));
            seen.status.as_mut().unwrap().leader = 1;
            seen.account = Account::Own(Box::new(page));
            seen
        });
        ClusterView::for_tests(members.collect())
    }

    /// The problems in one text.
    fn text(view: &ClusterView) -> String {
        problems(view).iter().map(Finding::paragraph).collect()
    }

    #[test]
    fn healthy_members_have_no_problems() {
        assert_eq!(text(&view(|_, _| {})), "");
    }

    #[test]
    fn every_page_is_a_source_of_problems() {
        let certificate = |setting: &str, days_left| PageCertificate {
            setting: setting.to_owned(),
            subject: "CN=m2".to_owned(),
            days_left,
        };
        type Change = Box<dyn Fn(&mut MemberPage)>;
        let cases: Vec<(Change, &str)> = vec![
            (
                Box::new(|page| page.disk = Some(Disk { path: "/data".to_owned(), free_bytes: 1, total_bytes: 100 })),
                "disk m2: ",
            ),
            (
                Box::new(move |page| page.certificates = vec![certificate("--cert-file", 29)]),
                "certificate of --cert-file (CN=m2) expires in 29 days",
            ),
            (Box::new(move |page| page.certificates = vec![certificate("--cert-file", -1)]), "has expired 1 days ago"),
            (
                Box::new(move |page| page.certificates = vec![certificate("--client-crl-file", 6)]),
                "the CRL of --client-crl-file",
            ),
            (Box::new(|page| page.time = "2020-01-01T00:00:00Z".to_owned()), "behind that of this machine"),
            (
                Box::new(|page| page.peers[0].clock_drift_milliseconds = Some(3_600_000)),
                "clock m1: its clock is 3600 s ahead of that of m2",
            ),
            (Box::new(|page| page.package_version = "0.2.0".to_owned()), "packages differ"),
        ];
        for (change, says) in cases {
            let found = text(&view(|id, page| {
                if id == 2 {
                    change(page);
                }
            }));
            assert!(found.contains(says), "{says}: {found}");
        }
        // A fresh CRL, which lives for a month, is none.
        let fresh = view(|_, page| {
            page.certificates = vec![PageCertificate {
                setting: "--peer-crl-file".to_owned(),
                subject: "CN=ca".to_owned(),
                days_left: 29,
            }]
        });
        assert_eq!(text(&fresh), "");
    }

    #[test]
    fn every_reason_of_a_broken_connection_is_shown_with_its_remedy() {
        for reason in
            ["address", "certificate", "name", "version", "cluster_id", "member_id", "membership", "silence", "other"]
        {
            let view = view(|id, page| {
                if id == 2 {
                    page.peers[1].streams_in = 0;
                    page.peers[1].problem = Some(PageProblem {
                        reason: reason.to_owned(),
                        error: "it broke".to_owned(),
                        remedy: "repair it".to_owned(),
                    });
                }
            });
            let found = text(&view);
            assert!(
                found.contains(&format!("connection m2-m3: {reason}: it broke\n    repair it\n")),
                "{reason}: {found}"
            );
            assert!(!view.is_healthy() && view.tolerance().verified == 0, "{reason}");
        }
    }

    #[test]
    fn a_real_etcd_among_members_of_ours_is_told_apart() {
        let mut view = view(|_, _| {});
        view.members[2].account = Account::Etcd([("1".to_owned(), true), ("2".to_owned(), true)].into());
        view.members[2].status.as_mut().unwrap().version = "3.5.30".to_owned();
        let found = text(&view);
        assert!(found.contains("version m3: a real etcd: etcd 3.5.30") && !found.contains("roll upgrade"), "{found}");
        assert_eq!(view.tolerance().verified, 1, "a real etcd reports its connections on its metrics page");
    }
}
