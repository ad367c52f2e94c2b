//! Anything may come from the network, and no member ever panics: each message is refused or taken.

use crate::cluster::TestCluster;
use bytes::Bytes;
use consensus::StepRefusal;
use proto::raftpb::{ConfState, Entry, Message, Snapshot, SnapshotMetadata};

const MESSAGES: usize = 1_000_000;
/// Messages to one group before it is thrown away: hostile ones push terms up, and after a while
/// all are outdated.
const MESSAGES_PER_GROUP: usize = 500;

/// Numbers around those that matter, and some that are far off.
fn number(random: &mut fastrand::Rng, near: u64) -> u64 {
    match random.u8(..50) {
        0 => 0,
        1 => random.u64(..),
        2 => u64::MAX - random.u64(..3),
        3 => random.u64(..100),
        4..=30 => near,
        _ => near.saturating_add(random.u64(..5)).saturating_sub(2),
    }
}

fn entries(random: &mut fastrand::Rng, after: u64, term: u64) -> Vec<Entry> {
    let contiguous = random.u8(..8) > 0;
    let count = random.u64(..4);
    let mut index = after;
    std::iter::repeat_with(|| {
        index = if contiguous { index.wrapping_add(1) } else { number(random, after) };
        let term = if random.u8(..16) > 0 { term } else { number(random, term) };
        let kind = if random.u8(..20) > 0 { 0 } else { random.i32(-1..4) };
        let bytes = random.usize(..8);
        Entry { r#type: kind, term, index, data: Bytes::from(vec![8; bytes]) }
    })
    .take(usize::try_from(count).unwrap())
    .collect()
}

fn snapshot(random: &mut fastrand::Rng, near: u64, term: u64) -> Option<Snapshot> {
    if random.u8(..20) == 0 {
        return None;
    }
    let ordinary = random.u8(..4) > 0;
    let mut ids = || std::iter::repeat_with(|| random.u64(..6)).take(4).collect::<Vec<_>>();
    let (voters, learners) = if ordinary { (vec![1, 2, 3], Vec::new()) } else { (ids(), ids()) };
    let voters_outgoing = if random.u8(..20) == 0 { vec![2] } else { Vec::new() };
    let conf_state =
        ConfState { voters, learners, voters_outgoing, learners_next: Vec::new(), auto_leave: random.u8(..20) == 0 };
    let metadata =
        SnapshotMetadata { conf_state: Some(conf_state), index: number(random, near), term: number(random, term) };
    Some(Snapshot { data: Bytes::new(), metadata: (random.u8(..20) > 0).then_some(metadata) })
}

fn message(random: &mut fastrand::Rng, cluster: &TestCluster, to: u64) -> Message {
    let status = cluster.members[&to].node.status();
    let kind = if random.u8(..10) > 0 {
        *random.choice(&[2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 9, 9, 13, 14, 15, 16, 17, 18]).unwrap()
    } else {
        random.i32(-1..26)
    };
    let near = if random.bool() { status.commit } else { status.commit + 3 };
    let index = number(random, near);
    let forwarded = kind == 2 || kind == 15;
    let term = if forwarded && random.u8(..10) > 0 { 0 } else { number(random, status.term) };
    Message {
        r#type: kind,
        to: if random.u8(..20) == 0 { number(random, to) } else { to },
        from: if random.u8(..20) == 0 { number(random, to) } else { 1 + random.u64(..4) },
        term,
        log_term: if index == 0 && random.u8(..8) > 0 { 0 } else { number(random, status.term) },
        index,
        entries: entries(random, index, if term == 0 { 0 } else { status.term }),
        commit: number(random, near),
        snapshot: if kind == 7 || random.u8(..10) == 0 { snapshot(random, near, status.term) } else { None },
        reject: random.bool(),
        reject_hint: number(random, near),
        context: if random.u8(..3) == 0 {
            Bytes::from_static(b"CampaignTransfer")
        } else {
            Bytes::from(vec![1; random.usize(..20)])
        },
    }
}

#[test]
fn no_message_makes_a_member_panic() {
    let (mut taken, mut refused, mut lost) = (0, 0, 0);
    for seed in 0..MESSAGES / MESSAGES_PER_GROUP {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let (mut cluster, leader) = TestCluster::led(&[1, 2, 3]);
        for _ in 0..4 {
            cluster.propose(leader, "x");
        }
        for _ in 0..MESSAGES_PER_GROUP {
            let to = 1 + random.u64(..3);
            let message = message(&mut random, &cluster, to);
            let member = cluster.member(to);
            let before = (member.node.status(), member.node.voters());
            match member.node.step(message) {
                Ok(()) => taken += 1,
                Err(refusal) => {
                    // A dropped proposal has passed validation.
                    assert!(refusal == StepRefusal::Dropped || before == (member.node.status(), member.node.voters()));
                    lost += usize::from(matches!(refusal, StepRefusal::LostLog { .. }));
                    refused += 1;
                }
            }
            member.work_alone();
            if random.u8(..4) == 0 {
                member.node.tick();
                member.work_alone();
            }
        }
    }
    assert!(
        taken > MESSAGES / 10 && refused > MESSAGES / 10 && lost > 100,
        "{taken} taken, {refused} refused, {lost} of a lost log"
    );
}
