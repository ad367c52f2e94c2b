//! The check that the others keep the quorum: the one judgement behind stopping, removing and
//! replacing.

use super::view::{ClusterView, Seen};
use serde::Serialize;

/// The answer, with its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Judgement {
    pub(crate) ok: bool,
    /// Voters that there will be.
    pub(crate) voters: usize,
    /// Number of voters that are needed.
    pub(crate) quorum: usize,
    /// Names of those that proved that they follow the leader.
    pub(crate) proven: Vec<String>,
    /// Names of those that did not, each with the last report of it.
    pub(crate) missing: Vec<String>,
    /// Failures that will be borne.
    pub(crate) tolerated: usize,
    pub(crate) reason: String,
}

impl ClusterView {
    /// Judges whether these may be stopped: they stay voters, so the quorum stays as large as it
    /// is.
    pub(crate) fn may_stop(&self, gone: &[&Seen]) -> Judgement {
        let stays = |seen: &&Seen| !gone.iter().any(|gone| gone.member.id == seen.member.id);
        self.judge(self.voters().count(), self.voters().filter(stays), "stopped")
    }

    /// Judges whether this one may be removed: the quorum becomes that of the others.
    pub(crate) fn may_remove(&self, gone: &Seen) -> Judgement {
        let others = || self.voters().filter(|seen| seen.member.id != gone.member.id);
        if gone.member.is_learner {
            return Judgement {
                ok: true,
                reason: "a learner does not vote".to_owned(),
                ..self.judge(others().count(), others(), "removed")
            };
        }
        self.judge(others().count(), others(), "removed")
    }

    /// Judges whether these can go on as a group of so many voters.
    fn judge<'a>(&'a self, voters: usize, rest: impl Iterator<Item = &'a Seen>, done: &str) -> Judgement {
        let (proven, missing): (Vec<&Seen>, Vec<&Seen>) = rest.partition(|seen| seen.proven);
        let quorum = voters / 2 + 1;
        let enough = voters > 0 && proven.len() >= quorum;
        let ok = enough && self.can_elect(&proven, quorum);
        let names = |list: &[&Seen]| list.iter().map(|seen| seen.name()).collect::<Vec<_>>();
        let reported = |seen: &&Seen| match &seen.status {
            Err(error) => format!("{} ({error})", seen.name()),
            Ok(_) => format!("{} (it responds, but does not follow the leader)", seen.name()),
        };
        let missing: Vec<String> = missing.iter().map(reported).collect();
        let reason = match (voters, ok) {
            (0, _) => "no voter would be left".to_owned(),
            (_, true) => format!("{} of {voters} voters remain, {quorum} are needed", proven.len()),
            (_, false) if enough => {
                format!(
                    "no leader could be elected among {}: they are not connected (etcd-admin doctor cluster)",
                    names(&proven).join(", ")
                )
            }
            (_, false) if missing.is_empty() => {
                format!("only {} of {voters} voters would remain, {quorum} are needed", proven.len())
            }
            (_, false) => {
                format!(
                    "{quorum} of {voters} voters are needed once it is {done}, and only {} prove that they follow the leader; not {}",
                    proven.len(),
                    missing.join(", ")
                )
            }
        };
        Judgement {
            ok,
            voters,
            quorum,
            tolerated: proven.len().saturating_sub(quorum),
            proven: names(&proven),
            missing,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_view::seen_for_tests;

    /// `a+` votes and is proven, `b-` votes and is not, `c~` is a learner.
    fn view(members: &str) -> ClusterView {
        let members = members.split_whitespace().zip(1..).map(|(arg, id)| {
            let (name, mark) = arg.split_at(arg.len() - 1);
            let mut seen = seen_for_tests(id, name);
            seen.member.is_learner = mark == "~";
            seen.proven = mark == "+";
            if mark == "-" {
                seen.status = Err("no answer".to_owned());
            }
            seen
        });
        ClusterView::for_tests(members.collect())
    }

    #[test]
    fn a_member_goes_only_if_the_others_prove_a_quorum() {
        for (members, gone, may_stop, may_remove) in [
            ("a+ b+ c+", "a", true, true),
            ("a+ b+ c-", "a", false, false),
            ("a+ b+ c-", "c", true, true),
            ("a+ b- c-", "c", false, false),
            ("a+ b+", "b", false, true),
            ("a+ b-", "b", false, true),
            ("a+ b-", "a", false, false),
            ("a+", "a", false, false),
            ("a+ b+ c+ d+ e-", "a", true, true),
            ("a+ b+ c+ d- e-", "a", false, false),
            ("a+ b+ c+ d- e-", "e", true, true),
            ("a+ b~", "b", true, true),
        ] {
            let view = view(members);
            let seen = view.find(gone).unwrap();
            assert_eq!(
                (view.may_stop(&[seen]).ok, view.may_remove(seen).ok),
                (may_stop, may_remove),
                "{gone} of {members}"
            );
        }
        let view = view("a+ b+ c-");
        let judged = view.may_remove(view.find("a").unwrap());
        assert_eq!(
            judged.reason,
            "2 of 2 voters are needed once it is removed, and only 1 prove that they follow the leader; not c (no answer)"
        );
        assert!(view.find("").is_none() || view.find("").is_some_and(|seen| seen.member.name.is_empty()));
    }
}
