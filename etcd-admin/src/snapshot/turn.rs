//! `snapshot save --scheduled`: the timers of all members run it, and one of them saves.
//!
//! The leader's host takes the snapshot of a slot. While no leader answers, the voter with the
//! smallest id among those that answer takes it from its own state. A second snapshot of a slot is
//! harmless and a missing one is not, so every doubt is decided for saving: a host without a
//! member, two parts of a divided cluster, a leader that cannot be reached from here.

use super::look::Listed;
use crate::cluster_view::{ClusterView, Seen};
use time::{Duration, OffsetDateTime};

/// The decision for this host, with its reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Save(String),
    Skip(String),
}

/// Returns the decision. `own` is the name of this host's member; `None` without one.
pub(super) fn turn(view: &ClusterView, own: Option<&str>) -> Turn {
    let Some(own) = own.and_then(|name| view.find(name)) else {
        return Turn::Save("no member of the cluster runs on this host".to_owned());
    };
    match view.leader() {
        Some(leader) if leader.member.id == own.member.id => Turn::Save(format!("{} leads", own.name())),
        Some(leader) if leader.proven => Turn::Skip(format!("{} leads and saves it", leader.name())),
        Some(_) | None => match first_that_answers(view) {
            Some(first) if first.member.id != own.member.id => {
                Turn::Skip(format!("no leader answers, and {} saves it", first.name()))
            }
            Some(_) | None => Turn::Save("no leader answers".to_owned()),
        },
    }
}

/// Returns the voter that stands in for the leader, which every member chooses alike.
fn first_that_answers(view: &ClusterView) -> Option<&Seen> {
    view.voters().filter(|seen| seen.status.is_ok()).min_by_key(|seen| seen.member.id)
}

/// Returns a snapshot of the cluster that was taken less than `age` ago. Several hosts may save to
/// one directory, and a timer that was delayed runs again at boot.
pub(super) fn recent(found: Vec<Listed>, cluster_id: u64, now: OffsetDateTime, age: Duration) -> Option<Listed> {
    let cluster_id = format!("{cluster_id:x}");
    found.into_iter().find(|listed| {
        let is_of_cluster = listed.manifest.as_ref().is_some_and(|manifest| manifest.cluster_id == cluster_id);
        is_of_cluster && now.unix_timestamp() - listed.unix_seconds < age.whole_seconds()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_view::seen_for_tests;

    /// Members with the ids 1 to 3, of which `leader` leads and `away` do not answer.
    fn view(leader: Option<u64>, away: &[u64]) -> ClusterView {
        let members = (1..=3).map(|id| {
            let mut seen = seen_for_tests(id, &format!("m{id}"));
            if let Ok(status) = &mut seen.status {
                status.leader = leader.unwrap_or(0);
            }
            seen.proven = leader.is_some();
            if away.contains(&id) {
                seen.status = Err("Connection refused".to_owned());
                seen.proven = false;
            }
            seen
        });
        ClusterView::for_tests(members.collect())
    }

    /// Returns the members that save when all that are not away decide.
    fn savers(leader: Option<u64>, away: &[u64]) -> Vec<u64> {
        let view = view(leader, away);
        let saves = |id: &u64| matches!(turn(&view, Some(&format!("m{id}"))), Turn::Save(_));
        (1..=3).filter(|id| !away.contains(id)).filter(saves).collect()
    }

    #[test]
    fn exactly_one_member_saves_in_every_state() {
        assert_eq!(savers(Some(2), &[]), [2]);
        assert_eq!(savers(Some(3), &[1]), [3]);
        // The leader is known, and does not answer.
        assert_eq!(savers(Some(1), &[1]), [2]);
        for away in [&[][..], &[1], &[2], &[1, 2], &[1, 3]] {
            let first = (1..=3).find(|id| !away.contains(id)).into_iter().collect::<Vec<_>>();
            assert_eq!(savers(None, away), first, "{away:?}");
        }
    }

    #[test]
    fn host_without_a_member_saves() {
        for own in [None, Some("elsewhere")] {
            assert_eq!(
                turn(&view(Some(1), &[]), own),
                Turn::Save("no member of the cluster runs on this host".to_owned())
            );
        }
        assert_eq!(turn(&view(Some(1), &[]), Some("m2")), Turn::Skip("m1 leads and saves it".to_owned()));
    }
}
