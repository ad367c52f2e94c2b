use super::*;
use bytes::Bytes;
use proto::raftpb::{Snapshot, SnapshotMetadata};

const PROPOSE: i32 = 2;
const APPEND: i32 = 3;
const APPEND_RESPONSE: i32 = 4;
const VOTE: i32 = 5;
const VOTE_RESPONSE: i32 = 6;
const SNAPSHOT: i32 = 7;
const HEARTBEAT: i32 = 8;
const HEARTBEAT_RESPONSE: i32 = 9;
const TRANSFER: i32 = 13;
const CAMPAIGN_NOW: i32 = 14;
const READ_INDEX: i32 = 15;
const READ_INDEX_RESPONSE: i32 = 16;
const PRE_VOTE_RESPONSE: i32 = 18;

/// Member 1 follows member 2 in term 5: its log ends at 10, and entry 8 of term 4 is committed.
fn follower() -> MessageContext {
    MessageContext {
        id: 1,
        term: 5,
        role: Role::Follower,
        leader: 2,
        last_index: 10,
        committed: (8, 4),
        installing: false,
        all_persisted: true,
        leaving: false,
        matched: Some(7),
    }
}

fn leader() -> MessageContext {
    MessageContext { role: Role::Leader, leader: 1, ..follower() }
}

/// A message of the leader, member 2, to member 1.
fn message(kind: i32) -> Message {
    let term = if matches!(kind, PROPOSE | READ_INDEX) { 0 } else { 5 };
    Message { r#type: kind, from: 2, to: 1, term, ..Message::default() }
}

fn is_taken(message: &Message, at: &MessageContext) -> bool {
    check(message, at).is_ok()
}

fn is_malformed(message: &Message, at: &MessageContext) -> bool {
    matches!(check(message, at), Err(StepRefusal::Malformed { .. }))
}

#[test]
fn messages_for_and_from_others_are_refused() {
    assert!(is_taken(&message(VOTE), &follower()));
    let to_another = Message { to: 3, ..message(VOTE) };
    assert_eq!(check(&to_another, &follower()), Err(StepRefusal::NotForUs { to: 3 }));
    for from in [0, 1] {
        let sent = Message { from, ..message(VOTE) };
        assert_eq!(check(&sent, &follower()), Err(StepRefusal::Sender { from }));
    }
    // A transfer names the member that is to lead.
    assert!(is_taken(&Message { from: 1, ..message(TRANSFER) }, &leader()));
    assert!(!is_taken(&Message { from: 0, ..message(TRANSFER) }, &leader()));
}

#[test]
fn kinds_that_never_travel_are_refused() {
    for kind in [0, 1, 10, 11, 12, 19, 20, 21, 22, 23] {
        assert_eq!(check(&message(kind), &follower()), Err(StepRefusal::LocalKind { kind }));
    }
    for kind in [-1, 24, 100] {
        assert_eq!(check(&message(kind), &follower()), Err(StepRefusal::UnknownKind { kind }));
    }
}

#[test]
fn numbers_that_could_overflow_are_refused() {
    type Field = fn(&mut Message) -> &mut u64;
    let fields: [Field; 4] =
        [|sent| &mut sent.log_term, |sent| &mut sent.index, |sent| &mut sent.commit, |sent| &mut sent.reject_hint];
    for field in fields {
        for (number, taken) in [(1 << 62, true), ((1 << 62) + 1, false), (u64::MAX, false)] {
            let mut sent = message(VOTE);
            *field(&mut sent) = number;
            assert_eq!(is_taken(&sent, &follower()), taken, "{sent:?}");
        }
    }
    let far = MessageContext { term: 1 << 62, ..follower() };
    assert!(is_taken(&Message { term: 1 << 62, ..message(VOTE) }, &far));
    assert!(is_malformed(&Message { term: (1 << 62) + 1, ..message(VOTE) }, &far));
}

#[test]
fn forwarded_requests_alone_have_no_term() {
    let proposal = Message { entries: vec![entry(0, 0, 0)], ..message(PROPOSE) };
    assert!(is_taken(&proposal, &leader()));
    assert!(is_malformed(&Message { term: 5, ..proposal }, &leader()));
    assert!(is_malformed(&Message { term: 0, ..message(VOTE) }, &follower()));
    assert!(is_malformed(&Message { term: 5, entries: vec![entry(0, 0, 0)], ..message(READ_INDEX) }, &leader()));
}

#[test]
fn responses_of_strangers_are_refused() {
    let stranger = MessageContext { matched: None, ..leader() };
    let context = vec![entry(0, 0, 0)];
    for kind in [PROPOSE, APPEND_RESPONSE, VOTE_RESPONSE, HEARTBEAT_RESPONSE, READ_INDEX, PRE_VOTE_RESPONSE] {
        let sent = Message { entries: context.clone(), ..message(kind) };
        assert!(is_taken(&sent, &leader()), "kind {kind}");
        assert_eq!(check(&sent, &stranger), Err(StepRefusal::NotAMember { from: 2 }), "kind {kind}");
    }
    // A member that joins knows no other member.
    assert!(is_taken(&message(HEARTBEAT), &MessageContext { matched: None, ..follower() }));
}

/// An entry with one byte of data.
fn entry(kind: i32, term: u64, index: u64) -> Entry {
    Entry { r#type: kind, term, index, data: Bytes::from_static(b"x") }
}

#[test]
fn proposals_hold_whole_entries_of_known_kinds() {
    let proposed = |entries| Message { entries, ..message(PROPOSE) };
    let change = ConfChange { node_id: 3, ..ConfChange::default() }.encode_to_vec();
    let good = [entry(0, 0, 0), Entry { data: change.into(), ..entry(1, 0, 0) }];
    assert!(is_taken(&proposed(good.to_vec()), &leader()));
    // No entries, no data, an unreadable change, and kinds that no member proposes.
    let no_data = Entry { data: Bytes::new(), ..entry(0, 0, 0) };
    let unreadable = Entry { data: Bytes::from_static(b"\xff"), ..entry(1, 0, 0) };
    for bad in [no_data, unreadable, entry(2, 0, 0), entry(3, 0, 0), entry(-1, 0, 0)] {
        assert!(is_malformed(&proposed(vec![good[0].clone(), bad.clone()]), &leader()), "{bad:?}");
    }
    assert!(is_malformed(&proposed(Vec::new()), &leader()));
    let leaving = MessageContext { leaving: true, ..leader() };
    assert_eq!(check(&proposed(good.to_vec()), &leaving), Err(StepRefusal::Dropped));
}

#[test]
fn appended_entries_follow_each_other() {
    let append = |log_term, index, entries| Message { log_term, index, entries, ..message(APPEND) };
    let entries = [entry(0, 4, 10), entry(1, 4, 11), entry(0, 5, 12)];
    assert!(is_taken(&append(4, 9, entries.to_vec()), &follower()));
    assert!(is_taken(&append(0, 0, vec![entry(0, 1, 1)]), &follower()), "the whole log");
    // The place before them: newer than the sender's term, an index without a term, the reverse.
    for (log_term, index) in [(6, 9), (0, 9), (4, 0)] {
        assert!(is_malformed(&append(log_term, index, Vec::new()), &follower()), "{log_term}, {index}");
    }
    for (position, bad) in [
        (0, entry(2, 4, 10)),
        (0, entry(7, 4, 10)),
        (0, entry(0, 4, 11)),
        (1, entry(0, 4, 10)),
        (1, entry(0, 4, 12)),
        (0, entry(0, 0, 10)),
        (0, entry(0, 3, 10)),
        (2, entry(0, 3, 12)),
        (2, entry(0, 6, 12)),
    ] {
        let mut entries = entries.to_vec();
        entries[position] = bad;
        assert!(is_malformed(&append(4, 9, entries.clone()), &follower()), "{entries:?}");
    }
}

#[test]
fn acknowledgements_are_about_sent_entries() {
    let acknowledged = |index, reject| Message { index, reject, ..message(APPEND_RESPONSE) };
    assert!(is_taken(&acknowledged(10, false), &leader()));
    assert!(is_malformed(&acknowledged(11, false), &leader()));
    // They mean nothing to a member that does not lead, or led in another term.
    assert!(is_taken(&acknowledged(11, false), &follower()));
    assert!(is_taken(&Message { term: 4, ..acknowledged(11, false) }, &leader()));
    // The sender has acknowledged entry 7 since.
    let outdated = Err(StepRefusal::Outdated { kind: APPEND_RESPONSE });
    assert_eq!(check(&acknowledged(7, true), &leader()), outdated);
    assert!(is_taken(&acknowledged(8, true), &leader()));
    assert!(is_taken(&acknowledged(7, false), &leader()));
}

#[test]
fn heartbeat_reveals_a_lost_log() {
    let heartbeat = |term, commit| Message { term, commit, ..message(HEARTBEAT) };
    let lost = Err(StepRefusal::LostLog { from: 2, last: 10, acknowledged: 11 });
    for term in [5, 6] {
        assert!(is_taken(&heartbeat(term, 10), &follower()), "term {term}");
        assert_eq!(check(&heartbeat(term, 11), &follower()), lost, "term {term}");
    }
    // A leader of an earlier term is not heeded, and no other leads in the term of this leader.
    assert!(is_taken(&heartbeat(4, 11), &follower()));
    assert!(is_taken(&heartbeat(5, 11), &leader()));
    assert_eq!(check(&heartbeat(6, 11), &leader()), lost);
}

#[test]
fn responses_to_candidates_agree_on_committed_entries() {
    for kind in [VOTE_RESPONSE, PRE_VOTE_RESPONSE] {
        let response = |commit, log_term| Message { commit, log_term, ..message(kind) };
        // The same entry, etcd's responses without a term, and an entry of which nothing is known.
        for (commit, log_term) in [(8, 4), (8, 0), (9, 3), (7, 5)] {
            assert!(is_taken(&response(commit, log_term), &follower()), "{commit}, {log_term}");
        }
        for (commit, log_term) in [(8, 3), (8, 5), (9, 6)] {
            assert!(is_malformed(&response(commit, log_term), &follower()), "{commit}, {log_term}");
        }
    }
}

#[test]
fn candidate_wins_only_with_a_durable_log() {
    for (role, all_persisted, taken) in
        [(Role::Candidate, false, false), (Role::Candidate, true, true), (Role::Follower, false, true)]
    {
        let at = MessageContext { role, all_persisted, ..follower() };
        let refusal = Err(StepRefusal::TooEarly { kind: VOTE_RESPONSE });
        assert_eq!(check(&message(VOTE_RESPONSE), &at) == refusal, !taken, "{role:?}, {all_persisted}");
        assert!(is_taken(&message(PRE_VOTE_RESPONSE), &at));
    }
}

#[test]
fn leadership_is_transferred_by_the_leader_alone() {
    for (term, at, taken) in [(5, leader(), true), (4, leader(), true), (6, leader(), false), (5, follower(), false)] {
        let refusal = Err(StepRefusal::NotTheLeader { kind: TRANSFER });
        assert_eq!(check(&Message { term, ..message(TRANSFER) }, &at) == refusal, !taken, "term {term}");
    }
}

#[test]
fn leaders_orders_come_from_the_leader() {
    let context = vec![entry(0, 0, 0)];
    for kind in [CAMPAIGN_NOW, READ_INDEX_RESPONSE] {
        let order = |from, term| Message { from, term, entries: context.clone(), ..message(kind) };
        assert!(is_taken(&order(2, 5), &follower()));
        assert_eq!(check(&order(3, 5), &follower()), Err(StepRefusal::NotTheLeader { kind }));
        assert!(is_taken(&order(3, 6), &follower()), "a newer term has another leader");
    }
    let installing = MessageContext { installing: true, ..follower() };
    assert_eq!(check(&message(CAMPAIGN_NOW), &installing), Err(StepRefusal::TooEarly { kind: CAMPAIGN_NOW }));
}

#[test]
fn read_requests_hold_one_context_of_bounded_length() {
    for kind in [READ_INDEX, READ_INDEX_RESPONSE] {
        let context = |bytes: usize| Entry { data: vec![1; bytes].into(), ..Entry::default() };
        let request = |entries| Message { entries, ..message(kind) };
        assert!(is_taken(&request(vec![context(1)]), &follower()));
        assert!(is_taken(&request(vec![context(64)]), &follower()));
        for bad in [vec![], vec![context(0)], vec![context(65)], vec![context(8), context(8)]] {
            assert!(is_malformed(&request(bad.clone()), &follower()), "{bad:?}");
        }
    }
}

/// A snapshot of the state at entry 9 of term 5.
fn snapshot() -> SnapshotMetadata {
    let conf_state = ConfState { voters: vec![1, 2, 3], learners: vec![4], ..ConfState::default() };
    SnapshotMetadata { conf_state: Some(conf_state), index: 9, term: 5 }
}

fn with_snapshot(metadata: Option<SnapshotMetadata>) -> Message {
    let snapshot = Some(Snapshot { metadata, ..Snapshot::default() });
    Message { snapshot, ..message(SNAPSHOT) }
}

#[test]
fn snapshot_has_a_possible_place() {
    assert!(is_taken(&with_snapshot(Some(snapshot())), &follower()));
    assert!(is_malformed(&message(SNAPSHOT), &follower()));
    assert!(is_malformed(&with_snapshot(None), &follower()));
    for (index, term) in [(0, 5), ((1 << 62) + 1, 5), (9, 0), (9, 6)] {
        let placed = with_snapshot(Some(SnapshotMetadata { index, term, ..snapshot() }));
        assert!(is_malformed(&placed, &follower()), "{index}, {term}");
    }
    assert!(is_taken(&with_snapshot(Some(SnapshotMetadata { index: 1 << 62, ..snapshot() })), &follower()));
    // Entry 8 of term 4 is committed here.
    for (index, term, taken) in [(8, 4, true), (8, 5, false), (7, 5, true)] {
        let placed = with_snapshot(Some(SnapshotMetadata { index, term, ..snapshot() }));
        assert_eq!(is_taken(&placed, &follower()), taken, "{index}, {term}");
    }
}

#[test]
fn snapshot_names_distinct_members_and_this_one() {
    let of = |conf_state| with_snapshot(Some(SnapshotMetadata { conf_state, ..snapshot() }));
    let members = |voters: &[u64], learners: &[u64]| ConfState {
        voters: voters.to_vec(),
        learners: learners.to_vec(),
        ..ConfState::default()
    };
    assert!(is_taken(&of(Some(members(&[2, 3], &[1]))), &follower()), "this member is a learner");
    let changing = ConfState { voters_outgoing: vec![2], ..members(&[1, 2], &[]) };
    let demoting = ConfState { learners_next: vec![2], ..members(&[1, 2], &[]) };
    let leaving = ConfState { auto_leave: true, ..members(&[1, 2], &[]) };
    let odd = [
        changing,
        demoting,
        leaving,
        members(&[], &[1]),
        members(&[0, 1], &[]),
        members(&[1, 2, 2], &[]),
        members(&[1, 2], &[2]),
        members(&[2, 3], &[4]),
    ];
    for conf_state in odd {
        assert!(is_malformed(&of(Some(conf_state.clone())), &follower()), "{conf_state:?}");
    }
    assert!(is_malformed(&of(None), &follower()));
}
