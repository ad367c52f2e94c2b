//! The matrix of permissions: every method × every identity × every relation of keys, on the leader
//! and on another member, by gRPC and by JSON, compared with a rule that fits on a page.

use crate::rbac_cases::{Case, Fresh, cases, common_preparations, lease_preparations};
use crate::rbac_members::{Door, Members};
use crate::rbac_rule::{Verdict, Who, verdict};
use crate::suspect::{old_etcd, ours};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls under way at a time.
const AT_A_TIME: usize = 48;

/// One call by one of them at one place.
struct Asked<'a> {
    case: &'a Case,
    who: Who,
    door: Door,
    member: usize,
}

fn expected(asked: &Asked<'_>) -> Verdict {
    if asked.door == Door::Json && asked.who == Who::Certificate {
        return Verdict::NotByGateway;
    }
    if asked.case.malformed { Verdict::Malformed } else { verdict(asked.who, &asked.case.needs) }
}

/// Returns `true` if it can be asked at all, and leaves everything as other cases need it.
fn is_asked(asked: &Asked<'_>) -> bool {
    let Asked { case, who, door, .. } = asked;
    if case.only_refused && expected(asked) == Verdict::Passes {
        return false;
    }
    // A token beside a certificate, and a gateway's headers, mean nothing to JSON: a certificate
    // alone decides there.
    let sensible = !matches!(who, Who::CertificateAndToken | Who::Gateway);
    *door == Door::Grpc || sensible && case.call(Fresh { lease: 1, number: 0 }).path().is_some()
}

async fn difference(members: &Members, numbers: &AtomicU64, asked: Asked<'_>) -> Option<String> {
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    let fresh = Fresh { lease: number.cast_signed(), number };
    if let Some(letters) = asked.case.lease {
        for call in lease_preparations(letters, fresh) {
            members.as_root(&call).await.unwrap();
        }
    }
    let (found, words) = members.ask(asked.member, asked.door, asked.who, &asked.case.call(fresh)).await;
    let expected = expected(&asked);
    let Asked { case, who, door, member } = asked;
    (found != expected).then(|| {
        format!("{} by {who:?} over {door:?} at member {member}: {found:?}, not {expected:?}: {words}", case.name)
    })
}

async fn differences(members: &Members, numbers: &AtomicU64, all: Vec<Asked<'_>>, at_a_time: usize) -> Vec<String> {
    let responses =
        futures::stream::iter(all).map(|asked| difference(members, numbers, asked)).buffer_unordered(at_a_time);
    responses.filter_map(async |difference| difference).collect().await
}

/// An etcd with holes: the rule must find them, or it finds nothing here either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_finds_the_holes_of_an_old_etcd() {
    let Some(old) = old_etcd() else { return };
    let members = Members::start(old).await;
    let (cases, numbers) = (cases(), AtomicU64::new(1_000));
    let asked = |member| {
        let all = cases.iter().flat_map(move |case| {
            let whos = [Who::Nobody, Who::Bare, Who::Reader, Who::Writer, Who::Both, Who::Pieces];
            whos.map(|who| Asked { case, who, door: Door::Grpc, member })
        });
        all.filter(is_asked).filter(|asked| !asked.case.alone && expected(asked) != Verdict::Passes).collect::<Vec<_>>()
    };
    for call in common_preparations() {
        members.as_root(&call).await.unwrap();
    }
    let all = asked(members.leader);
    let count = all.len();
    let found = differences(&members, &numbers, all, AT_A_TIME).await;
    // A method that it does not have is no vulnerability.
    let passed: Vec<_> =
        found.iter().filter(|found| found.contains(": Passes, not ") && !found.contains("unknown ")).collect();
    let mut methods = BTreeMap::new();
    for found in &passed {
        *methods.entry(found.split(' ').next().unwrap_or_default()).or_insert(0) += 1;
    }
    eprintln!("{count} calls that the rule forbids, {} of them let through by etcd 3.4: {methods:?}", passed.len());
    // Those that later versions closed: nested transactions, lists of members, compaction, alarms,
    // watches with an open end.
    for method in ["Txn", "MemberList", "Compact", "Alarm", "Watch"] {
        assert!(methods.contains_key(method), "{method}: {methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_the_rule_says_and_nothing_else() {
    let members = Members::start(ours(&[])).await;
    let (cases, numbers) = (cases(), AtomicU64::new(1_000));
    let mut all = Vec::new();
    for (member, door) in
        [members.leader, members.follower].into_iter().flat_map(|member| [(member, Door::Grpc), (member, Door::Json)])
    {
        let asked = cases.iter().flat_map(|case| Who::ALL.map(|who| Asked { case, who, door, member }));
        all.extend(asked.filter(is_asked));
    }
    let (count, begun) = (all.len(), std::time::Instant::now());
    let (alone, together): (Vec<_>, Vec<_>) = all.into_iter().partition(|asked| asked.case.alone);
    let (later, first): (Vec<_>, Vec<_>) = together.into_iter().partition(|asked| asked.case.rests_on_keys());
    let mut found = differences(&members, &numbers, first, AT_A_TIME).await;
    found.extend(differences(&members, &numbers, alone, 1).await);
    for call in common_preparations() {
        members.as_root(&call).await.unwrap();
    }
    found.extend(differences(&members, &numbers, later, AT_A_TIME).await);
    eprintln!("{count} calls, {} differences, {:?}", found.len(), begun.elapsed());
    assert!(found.is_empty(), "{} of {count}:\n{}", found.len(), found[..found.len().min(60)].join("\n"));
    assert!(count > 5_000, "{count}");
    for server in members.servers() {
        let log = server.log_tail();
        assert!(members.tokens().all(|token| !log.contains(token.as_str())), "a token is in the log");
    }
}
