//! The last change of the leader, by the reports of the members.

use super::view::ClusterView;
use admin_client::LeaderChange;

impl ClusterView {
    /// Returns the last change of the leader, as the member that knows most about it reports it:
    /// another one may know no more than that somebody called an election.
    pub(crate) fn last_leader_change(&self) -> Option<LeaderChange> {
        let reported = self.members.iter().filter_map(|seen| seen.page()?.last_leader_change.clone());
        reported.max_by_key(|change| {
            let is_vague = matches!(change.cause.as_str(), "other_member" | "start");
            (change.term, !is_vague, change.leaderless_milliseconds)
        })
    }

    /// Returns the change in words, for a person who knows the members by their names.
    pub(crate) fn describe_leader_change(&self, change: &LeaderChange) -> String {
        let name = |id: &str| u64::from_str_radix(id, 16).map_or_else(|_| id.to_owned(), |id| self.name_of(id));
        let LeaderChange { time, to, term, leaderless_milliseconds, .. } = change;
        let since = format!("{} since {time} (term {term})", name(to));
        let Some(from) = change.from.as_deref().map(name) else { return since };
        let reason = match change.cause.as_str() {
            "transfer" => "leadership was transferred",
            "process_ended" => "its process had ended",
            "election_timeout" => "it was not heard of for an election timeout",
            _ => "another member called an election",
        };
        format!("{since}, before {from}: {reason}; {leaderless_milliseconds} ms without a leader")
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster_view::{ClusterView, seen_for_tests};
    use admin_client::{Account, LeaderChange, MemberPage};

    fn change(term: u64, cause: &str, leaderless_milliseconds: u64) -> LeaderChange {
        LeaderChange {
            time: "2026-12-01T12:00:00Z".to_owned(),
            from: Some("1".to_owned()),
            to: "2".to_owned(),
            term,
            cause: cause.to_owned(),
            leaderless_milliseconds,
        }
    }

    fn view(changes: &[Option<LeaderChange>]) -> ClusterView {
        let members = (1..).zip(changes).map(|(id, change)| {
            let mut seen = seen_for_tests(id, &format!("m{id}"));
            let page = MemberPage { last_leader_change: change.clone(), ..MemberPage::default() };
            seen.account = Account::Own(Box::new(page));
            seen
        });
        ClusterView::for_tests(members.collect())
    }

    #[test]
    fn the_best_informed_member_counts() {
        let newest = change(5, "process_ended", 16);
        let view = view(&[
            Some(change(4, "transfer", 1)),
            Some(change(5, "other_member", 20)),
            Some(newest.clone()),
            Some(change(5, "process_ended", 12)),
            None,
        ]);
        assert_eq!(view.last_leader_change(), Some(newest.clone()));
        assert_eq!(
            view.describe_leader_change(&newest),
            "m2 since 2026-12-01T12:00:00Z (term 5), before m1: its process had ended; 16 ms without a leader"
        );
        let first = LeaderChange { from: None, ..change(2, "start", 0) };
        assert_eq!(view.describe_leader_change(&first), "m2 since 2026-12-01T12:00:00Z (term 2)");
    }
}
