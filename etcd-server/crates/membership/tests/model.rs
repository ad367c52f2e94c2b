//! Random changes to the membership and to a model that keeps only the accepted changes, and
//! replays them for every query.

use membership::{ConfChange, Member, Membership, MembershipError};
use schema::MemoryStore;
use types::MemberId;

#[derive(Clone)]
enum Accepted {
    Change(ConfChange),
    Attributes(MemberId, String, Vec<String>),
}

#[derive(Default)]
struct Twin(Vec<Accepted>);

impl Twin {
    /// One member's story, from its addition on; nothing after its removal.
    fn member(&self, id: MemberId) -> Option<Member> {
        let mut story = None;
        for accepted in &self.0 {
            match (accepted, &mut story) {
                (Accepted::Change(ConfChange::Add(added)), _) if added.id == id => story = Some(added.clone()),
                (Accepted::Change(ConfChange::Remove(removed)), _) if *removed == id => story = None,
                (Accepted::Change(ConfChange::Promote(promoted)), Some(member)) if *promoted == id => {
                    member.is_learner = false
                }
                (Accepted::Change(ConfChange::Update { id: updated, peer_urls }), Some(member)) if *updated == id => {
                    member.peer_urls = peer_urls.clone();
                }
                (Accepted::Attributes(of, name, client_urls), Some(member)) if *of == id => {
                    (member.name, member.client_urls) = (name.clone(), client_urls.clone());
                }
                (Accepted::Change(_) | Accepted::Attributes(..), _) => {}
            }
        }
        story
    }

    fn members(&self) -> Vec<Member> {
        (0..=u64::from(ID_MAX)).filter_map(|id| self.member(MemberId(id))).collect()
    }

    fn is_removed(&self, id: MemberId) -> bool {
        self.0
            .iter()
            .any(|accepted| matches!(accepted, Accepted::Change(ConfChange::Remove(removed)) if *removed == id))
    }

    fn url_owner(&self, id: MemberId, urls: &[String]) -> Option<MembershipError> {
        let others = self.members().into_iter().filter(|other| other.id != id);
        let mut clashes = others.flat_map(|other| {
            let clash = urls.iter().find(|url| other.peer_urls.contains(url));
            clash.map(|url| MembershipError::PeerUrlInUse { url: url.clone(), by: other.id })
        });
        clashes.next()
    }

    fn refusal(&self, change: &ConfChange, max_learners: usize) -> Option<MembershipError> {
        let id = change.member_id();
        let known = self.member(id);
        let learners = self.members().iter().filter(|member| member.is_learner).count();
        let rules = [
            self.is_removed(id).then_some(MembershipError::MemberRemoved { id }),
            match change {
                ConfChange::Add(_) => known.is_some().then_some(MembershipError::MemberExists { id }),
                ConfChange::Promote(_) | ConfChange::Update { .. } | ConfChange::Remove(_) => {
                    known.is_none().then_some(MembershipError::MemberNotFound { id })
                }
            },
            match change {
                ConfChange::Add(added) => self.url_owner(id, &added.peer_urls),
                ConfChange::Update { peer_urls, .. } => self.url_owner(id, peer_urls),
                ConfChange::Promote(_) => {
                    known.filter(|member| !member.is_learner).map(|_| MembershipError::NotLearner { id })
                }
                ConfChange::Remove(_) => None,
            },
            match change {
                ConfChange::Add(added) => (added.is_learner && learners >= max_learners)
                    .then_some(MembershipError::TooManyLearners { learners }),
                ConfChange::Promote(_) | ConfChange::Update { .. } | ConfChange::Remove(_) => None,
            },
        ];
        rules.into_iter().flatten().next()
    }
}

const ID_MAX: u8 = 40;

fn random_urls(random: &mut fastrand::Rng) -> Vec<String> {
    (0..random.u8(0..3)).map(|_| format!("http://{}:2380", random.u8(0..30))).collect()
}

fn random_change(random: &mut fastrand::Rng) -> ConfChange {
    let id = MemberId(u64::from(random.u8(1..=ID_MAX)));
    match random.u8(0..8) {
        0..4 => ConfChange::Add(Member {
            id,
            peer_urls: random_urls(random),
            is_learner: random.bool(),
            ..Member::default()
        }),
        4 => ConfChange::Promote(id),
        5..7 => ConfChange::Update { id, peer_urls: random_urls(random) },
        _ => ConfChange::Remove(id),
    }
}

#[test]
fn the_twin_agrees_after_every_operation() {
    let mut refused = 0;
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut twin, mut store, mut membership) = (Twin::default(), MemoryStore::new(), Membership::default());
        let max_learners = random.usize(0..4);
        for _ in 0..300 {
            if random.u8(0..5) == 0 {
                let (id, name) = (MemberId(u64::from(random.u8(1..=ID_MAX))), random.u8(0..3).to_string());
                let urls = random_urls(&mut random);
                let response = membership.set_attributes(id, &name, &urls, &mut store);
                assert_eq!(response.is_err(), twin.member(id).is_none() && !twin.is_removed(id));
                twin.0.push(Accepted::Attributes(id, name, urls));
            } else {
                let change = random_change(&mut random);
                let expected = twin.refusal(&change, max_learners).map_or(Ok(()), Err);
                let before = membership.clone();
                assert_eq!(membership.apply_conf_change(&change, max_learners, &mut store), expected, "{change:?}");
                match expected {
                    Ok(()) => twin.0.push(Accepted::Change(change)),
                    Err(_) => assert_eq!(membership, before),
                }
                refused += usize::from(expected.is_err());
            }
            assert_eq!(membership.members().cloned().collect::<Vec<_>>(), twin.members());
            assert!((0..=u64::from(ID_MAX)).map(MemberId).all(|id| membership.is_removed(id) == twin.is_removed(id)));
            assert_eq!(Membership::load(&store).unwrap(), membership, "a restart loads the same");
        }
    }
    assert!(refused > 1000, "{refused} refusals");
}
