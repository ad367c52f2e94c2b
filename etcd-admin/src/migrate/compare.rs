//! `migrate verify`: the same state on all members, whichever program they run.
//!
//! Clients write meanwhile, so that two members never answer for the same moment. A difference
//! counts only if it stays over several rounds.

use super::facts::Hashes;
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use crate::doctor::{Finding, tell};
use admin_client::{CallError, Client, Repeat};
use admin_ui::error::CliError;
use futures::future::join_all;
use proto::etcdserverpb::{
    AlarmRequest, AuthRoleGetRequest, AuthRoleListRequest, AuthUserGetRequest, AuthUserListRequest, HashKvRequest,
    LeaseLeasesRequest, MemberListRequest, RangeRequest,
};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

/// Rounds of a comparison, and the time between two of them.
const ROUNDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn verify(context: &Context, client: &Client) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    tell(context, compare(client, &view).await)
}

/// Compares all members that vote.
pub(crate) async fn compare(client: &Client, view: &ClusterView) -> Vec<Finding> {
    let mut findings: Vec<Finding> = view.voters().filter(|seen| !seen.proven).map(away).collect();
    let last = hashes(client, view, None).await;
    if let Hashes::Equal { revision } = last {
        // Halfway through the history, and near its end.
        for earlier in [revision / 2, revision - 1] {
            findings.extend(earlier_hash(client, view, earlier).await);
        }
    }
    findings.push(of_hashes(last));
    findings.push(sets(client, view, "leases", Subject::Leases).await);
    findings.push(sets(client, view, "users", Subject::Users).await);
    findings.push(sets(client, view, "roles", Subject::Roles).await);
    findings.push(sets(client, view, "members", Subject::Members).await);
    findings.push(sets(client, view, "alarms", Subject::Alarms).await);
    findings.extend(view.alarms.iter().map(|(id, alarm)| {
        Finding::bad("alarm", view.name_of(*id), format!("{alarm} is raised"), format!("etcd-admin explain {alarm}"))
    }));
    findings
}

fn away(seen: &Seen) -> Finding {
    let reason = seen.status.as_ref().err().map_or("it does not follow the leader", String::as_str);
    Finding::bad("member", seen.name(), reason, "bring it back: on its host, etcd-admin doctor host")
}

fn of_hashes(hashes: Hashes) -> Finding {
    match hashes {
        Hashes::Equal { revision } => {
            Finding::good("content", "", format!("HashKV is equal on all members at revision {revision}"))
        }
        Hashes::Differ(text) => {
            let remedy = "one member is corrupt: do not go on; etcd-admin migrate rollback, or member rebuild";
            Finding::bad("content", "", format!("HashKV differs: {text}"), remedy)
        }
        Hashes::Unknown(reason) => {
            let remedy = "run the command again; with authentication, give a user with the role root (--user)";
            Finding::bad("content", "", format!("HashKV is unknown: {reason}"), remedy)
        }
    }
}

/// A revision that has been compacted meanwhile is nothing to compare.
async fn earlier_hash(client: &Client, view: &ClusterView, revision: i64) -> Option<Finding> {
    if revision < 1 {
        return None;
    }
    match hashes(client, view, Some(revision)).await {
        Hashes::Unknown(reason) if reason.contains("compacted") => None,
        hashes @ (Hashes::Equal { .. } | Hashes::Differ(_) | Hashes::Unknown(_)) => Some(of_hashes(hashes)),
    }
}

/// One member's HashKV: hash and compacted revision.
type Hash = (u32, i64);

/// Returns the comparison of HashKV of all voters, at a revision or at the newest that one of them
/// has.
pub(super) async fn hashes(client: &Client, view: &ClusterView, revision: Option<i64>) -> Hashes {
    let members: Vec<&Seen> = view.voters().collect();
    let mut last = Hashes::Unknown("no member was asked".to_owned());
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let at = match revision {
            Some(revision) => revision,
            None => match newest_revision(client).await {
                Ok(revision) => revision,
                Err(reason) => {
                    last = Hashes::Unknown(reason);
                    continue;
                }
            },
        };
        let asked = join_all(members.iter().map(|seen| hash(client, seen, at))).await;
        let named: Vec<(String, Result<Hash, String>)> = members.iter().map(|seen| seen.name()).zip(asked).collect();
        let is_compacted = named.iter().any(|(_, hash)| hash.as_ref().is_err_and(|text| text.contains("compacted")));
        last = judge(at, &named);
        // A hash never changes back: only compactions and members that lag are a reason to ask again.
        if matches!(last, Hashes::Equal { .. }) || is_compacted && revision.is_some() {
            break;
        }
    }
    last
}

async fn newest_revision(client: &Client) -> Result<i64, String> {
    let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    match client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
        Ok(response) => Ok(response.header.map_or(0, |header| header.revision)),
        // A user without permission: the member list has no revision, Status has.
        Err(_) => {
            let request = proto::etcdserverpb::StatusRequest {};
            let status = client.call(Repeat::Safe, async |session| session.maintenance().status(request).await).await;
            let status = status.map_err(|error| error.to_string())?;
            Ok(status.header.map_or(0, |header| header.revision))
        }
    }
}

async fn hash(client: &Client, seen: &Seen, revision: i64) -> Result<Hash, String> {
    let own = own(client, seen)?;
    let request = HashKvRequest { revision };
    let asked = own.call_within(None, Repeat::Safe, async |session| session.maintenance().hash_kv(request).await).await;
    asked.map(|hashed| (hashed.hash, hashed.compact_revision)).map_err(|error| reason(&error))
}

fn own(client: &Client, seen: &Seen) -> Result<Client, String> {
    let endpoint = seen.endpoint.as_deref().ok_or("it has no client URL")?;
    client.at(endpoint).map_err(|error| error.to_string())
}

fn reason(error: &CallError) -> String {
    match error {
        CallError::Status { status, .. } => status.message().to_owned(),
        CallError::Unreachable(_) | CallError::Login { .. } | CallError::TimedOut { .. } => {
            error.to_string().lines().next().unwrap_or_default().to_owned()
        }
    }
}

/// Judges the hashes that the members reported for one revision.
fn judge(revision: i64, named: &[(String, Result<Hash, String>)]) -> Hashes {
    if let Some((name, Err(reason))) = named.iter().find(|(_, hash)| hash.is_err()) {
        return Hashes::Unknown(format!("{name}: {reason}"));
    }
    let hashes: BTreeSet<Hash> = named.iter().filter_map(|(_, hash)| hash.clone().ok()).collect();
    if hashes.len() == 1 {
        return Hashes::Equal { revision };
    }
    let text = |(name, hash): &(String, Result<Hash, String>)| {
        let (hash, compacted) = hash.clone().unwrap_or_default();
        format!("{name} {hash} (compacted {compacted})")
    };
    let text = named.iter().map(text).collect::<Vec<_>>().join(", ");
    let compacted: BTreeSet<i64> = hashes.iter().map(|(_, compacted)| *compacted).collect();
    if compacted.len() > 1 {
        return Hashes::Unknown(format!("a compaction is in progress at revision {revision}: {text}"));
    }
    Hashes::Differ(format!("{text} at revision {revision}"))
}

/// A set that every member holds.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Leases,
    Users,
    Roles,
    Members,
    Alarms,
}

/// Compares a set on all voters. An element that one member lacks in every round is a difference.
async fn sets(client: &Client, view: &ClusterView, check: &'static str, subject: Subject) -> Finding {
    let members: Vec<&Seen> = view.voters().collect();
    let mut lasting: Option<BTreeSet<String>> = None;
    let mut failure = None;
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let asked = join_all(members.iter().map(|seen| elements(client, seen, subject))).await;
        failure =
            members.iter().zip(&asked).find_map(|(seen, asked)| Some((seen.name(), asked.as_ref().err()?.clone())));
        if failure
            .as_ref()
            .is_some_and(|(_, reason)| reason.contains("permission denied") || reason.contains("user name is empty"))
        {
            return Finding::warning(
                check,
                "",
                "not compared: permission denied",
                "give a user with the role root (--user)",
            );
        }
        if failure.is_some() {
            continue;
        }
        let all: Vec<BTreeSet<String>> = asked.into_iter().flatten().collect();
        let differing = differing(&all);
        let still =
            lasting.take().map_or(differing.clone(), |before| before.intersection(&differing).cloned().collect());
        if still.is_empty() {
            let count = all.first().map_or(0, BTreeSet::len);
            return Finding::good(check, "", format!("equal on all members: {count}"));
        }
        lasting = Some(still);
    }
    match (failure, lasting) {
        (Some((name, reason)), _) => Finding::bad(check, name, reason, "bring the member back; run the command again"),
        (None, lasting) => {
            let listed = lasting.unwrap_or_default().into_iter().take(5).collect::<Vec<_>>().join("; ");
            let remedy = "do not go on: etcd-admin migrate rollback, and report it with etcd-admin support bundle";
            Finding::bad(check, "", format!("not on all members: {listed}"), remedy)
        }
    }
}

/// Returns the elements that are not in every set.
fn differing(sets: &[BTreeSet<String>]) -> BTreeSet<String> {
    let all: BTreeSet<&String> = sets.iter().flatten().collect();
    all.into_iter().filter(|element| !sets.iter().all(|set| set.contains(*element))).cloned().collect()
}

async fn elements(client: &Client, seen: &Seen, subject: Subject) -> Result<BTreeSet<String>, String> {
    let own = own(client, seen)?;
    let failed = |error: CallError| reason(&error);
    Ok(match subject {
        Subject::Leases => {
            let request = LeaseLeasesRequest {};
            let listed = own.call(Repeat::Safe, async |session| session.lease().lease_leases(request).await).await;
            listed.map_err(failed)?.leases.into_iter().map(|lease| format!("{:x}", lease.id)).collect()
        }
        Subject::Users => {
            let request = AuthUserListRequest {};
            let listed = own.call(Repeat::Safe, async |session| session.auth().user_list(request).await).await;
            let mut users = BTreeSet::new();
            for name in listed.map_err(failed)?.users {
                let request = AuthUserGetRequest { name: name.clone() };
                let got = own.call(Repeat::Safe, async |session| session.auth().user_get(request.clone()).await).await;
                users.insert(format!("{name}: {}", got.map_err(failed)?.roles.join(",")));
            }
            users
        }
        Subject::Roles => {
            let request = AuthRoleListRequest {};
            let listed = own.call(Repeat::Safe, async |session| session.auth().role_list(request).await).await;
            let mut roles = BTreeSet::new();
            for role in listed.map_err(failed)?.roles {
                let request = AuthRoleGetRequest { role: role.clone() };
                let got = own.call(Repeat::Safe, async |session| session.auth().role_get(request.clone()).await).await;
                roles.insert(format!("{role}: {:?}", got.map_err(failed)?.perm));
            }
            roles
        }
        Subject::Members => {
            let request = MemberListRequest { linearizable: false };
            let listed = own.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
            listed.map_err(failed)?.members.into_iter().map(|member| format!("{member:?}")).collect()
        }
        Subject::Alarms => {
            let request = AlarmRequest::default();
            let listed = own.call(Repeat::Safe, async |session| session.maintenance().alarm(request).await).await;
            listed.map_err(failed)?.alarms.into_iter().map(|alarm| format!("{alarm:?}")).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_different_compactions_are_not_compared() {
        let named = |hashes: &[Result<Hash, &str>]| -> Vec<(String, Result<Hash, String>)> {
            let own = |hash: &Result<Hash, &str>| hash.map_err(str::to_owned);
            ["m1", "m2", "m3"].map(str::to_owned).into_iter().zip(hashes.iter().map(own)).collect()
        };
        assert_eq!(judge(9, &named(&[Ok((5, 3)), Ok((5, 3)), Ok((5, 3))])), Hashes::Equal { revision: 9 });
        let differ = judge(9, &named(&[Ok((5, 3)), Ok((6, 3)), Ok((5, 3))]));
        assert_eq!(
            differ,
            Hashes::Differ("m1 5 (compacted 3), m2 6 (compacted 3), m3 5 (compacted 3) at revision 9".to_owned())
        );
        assert!(matches!(judge(9, &named(&[Ok((5, 3)), Ok((6, 4))])), Hashes::Unknown(_)));
        assert!(matches!(judge(9, &named(&[Ok((5, 3)), Err("away")])), Hashes::Unknown(text) if text == "m2: away"));
    }

    #[test]
    fn elements_of_one_set_alone_differ() {
        let sets = [["a", "b"], ["b", "c"]].map(|set| set.map(str::to_owned).into());
        assert_eq!(differing(&sets), ["a", "c"].map(str::to_owned).into());
        assert_eq!(differing(&[["a".to_owned()].into(), ["a".to_owned()].into()]), BTreeSet::new());
    }
}
