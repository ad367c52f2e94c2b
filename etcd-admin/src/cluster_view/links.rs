//! The connections between members, as each member reports them, and the failures that they allow.

use super::view::{ClusterView, Seen};
use admin_client::{Account, PagePeer};
use serde::Serialize;

/// Streams in each direction between two members.
const STREAMS: u64 = 2;
/// Members beyond which the failures are not tried out one by one.
const TRIED_MAX: usize = 15;

/// A connection as one of its two members reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum LinkState {
    /// Streams in both directions are open.
    Open,
    Broken {
        /// `certificate`, `address`, `name`, `version`, `cluster_id` and so on; empty when the
        /// member does not know.
        reason: String,
        error: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        remedy: String,
    },
    /// The member does not report its connections.
    Unknown,
}

impl LinkState {
    fn of(peer: &PagePeer) -> Self {
        if peer.streams_in >= STREAMS && peer.streams_out >= STREAMS {
            return Self::Open;
        }
        match &peer.problem {
            Some(problem) => Self::Broken {
                reason: problem.reason.clone(),
                error: problem.error.clone(),
                remedy: problem.remedy.clone(),
            },
            None if peer.streams_in < STREAMS => Self::Broken {
                reason: String::new(),
                error: "the streams are being opened".to_owned(),
                remedy: String::new(),
            },
            None => Self::Broken {
                reason: String::new(),
                error: "it has not opened its streams to this member".to_owned(),
                remedy: String::new(),
            },
        }
    }
}

/// A connection that is not open, as `from` reports it.
#[derive(Debug)]
pub(crate) struct BrokenLink<'a> {
    pub(crate) from: &'a Seen,
    pub(crate) to: &'a Seen,
    pub(crate) reason: String,
    pub(crate) error: String,
    pub(crate) remedy: String,
}

/// The failures that the cluster survives now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tolerance {
    /// By the reports of the members about their connections.
    pub(crate) verified: usize,
    /// If the connections that no member reports are open.
    pub(crate) assumed: usize,
    /// Voters that do not report their connections.
    pub(crate) silent: Vec<String>,
}

impl ClusterView {
    /// Returns the report of `from` about its connection to `to`.
    pub(crate) fn link(&self, from: &Seen, to: &Seen) -> LinkState {
        let id = to.id();
        match &from.account {
            Account::Own(page) => page.peers.iter().find(|peer| peer.id == id).map_or_else(
                || LinkState::Broken {
                    reason: "membership".to_owned(),
                    error: "it does not list this member".to_owned(),
                    remedy: String::new(),
                },
                LinkState::of,
            ),
            Account::Etcd(peers) => match peers.get(&id) {
                Some(true) => LinkState::Open,
                Some(false) => LinkState::Broken {
                    reason: String::new(),
                    error: "it reports the peer as inactive".to_owned(),
                    remedy: String::new(),
                },
                None => LinkState::Unknown,
            },
            Account::None(_) => LinkState::Unknown,
        }
    }

    /// Returns the connections that a member reports as not open. Those to members that were never
    /// started are left out.
    pub(crate) fn broken_links(&self) -> Vec<BrokenLink<'_>> {
        let mut broken = Vec::new();
        for from in &self.members {
            for to in self.members.iter().filter(|to| to.member.id != from.member.id && to.has_started()) {
                if let LinkState::Broken { reason, error, remedy } = self.link(from, to) {
                    broken.push(BrokenLink { from, to, reason, error, remedy });
                }
            }
        }
        broken
    }

    /// Returns the number of members with a complete connection to `seen`, by their own reports, of
    /// those that were asked.
    pub(crate) fn reached_by(&self, seen: &Seen) -> Vec<String> {
        let others = self.members.iter().filter(|other| other.member.id != seen.member.id);
        others.filter(|other| self.link(other, seen) == LinkState::Open).map(Seen::name).collect()
    }

    /// Returns `true` if one of these members is connected to a quorum of them, as far as no report
    /// says otherwise.
    pub(crate) fn can_elect(&self, members: &[&Seen], quorum: usize) -> bool {
        let is_broken = |from: &Seen, to: &Seen| matches!(self.link(from, to), LinkState::Broken { .. });
        let reach = |one: &Seen| {
            members
                .iter()
                .filter(|other| one.member.id == other.member.id || !is_broken(one, other) && !is_broken(other, one))
                .count()
        };
        members.iter().any(|one| reach(one) >= quorum)
    }

    /// Returns the failures that the proven voters survive.
    pub(crate) fn tolerance(&self) -> Tolerance {
        let proven: Vec<&Seen> = self.voters().filter(|seen| seen.proven).collect();
        let open = |a: &Seen, b: &Seen| self.link(a, b) == LinkState::Open && self.link(b, a) == LinkState::Open;
        let perhaps = |a: &Seen, b: &Seen| {
            !matches!(self.link(a, b), LinkState::Broken { .. }) && !matches!(self.link(b, a), LinkState::Broken { .. })
        };
        // A real etcd may report some of its connections alone.
        let is_silent = |seen: &&&Seen| {
            let mut others = proven.iter().filter(|other| other.member.id != seen.member.id);
            others.any(|other| self.link(seen, other) == LinkState::Unknown)
        };
        Tolerance {
            verified: survived(&proven, self.quorum(), open),
            assumed: survived(&proven, self.quorum(), perhaps),
            silent: proven.iter().filter(is_silent).map(|seen| seen.name()).collect(),
        }
    }
}

/// Returns the largest number of members whose failure, whichever they are, leaves a member that is
/// connected to a quorum.
fn survived(members: &[&Seen], quorum: usize, connected: impl Fn(&Seen, &Seen) -> bool) -> usize {
    let count = members.len();
    if count < quorum || count > TRIED_MAX {
        return 0;
    }
    let mut reach = vec![0_u32; count];
    for (position, one) in members.iter().enumerate() {
        for (other_position, other) in members.iter().enumerate() {
            if position == other_position || connected(one, other) {
                reach[position] |= 1 << other_position;
            }
        }
    }
    let works = |alive: u32| {
        (0..count).any(|leader| alive & (1 << leader) != 0 && (reach[leader] & alive).count_ones() as usize >= quorum)
    };
    let all = (1_u32 << count) - 1;
    let survives =
        |failures: usize| (0..=all).filter(|alive| alive.count_ones() as usize == count - failures).all(works);
    (1..=count - quorum).take_while(|failures| survives(*failures)).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_view::seen_for_tests as seen;
    use admin_client::MemberPage;

    /// Members `a`, `b`, ... with these connections; `-` is broken by a certificate, `?` is not
    /// reported, others are open.
    fn view(rows: &[&str]) -> ClusterView {
        let members = rows.iter().zip(1_u64..).map(|(row, id)| {
            let peer = |(mark, other): (char, u64)| PagePeer {
                id: format!("{other:x}"),
                streams_in: if mark == '-' { 0 } else { 2 },
                streams_out: 2,
                problem: (mark == '-')
                    .then(|| admin_client::PageProblem { reason: "certificate".to_owned(), ..Default::default() }),
                ..PagePeer::default()
            };
            let peers = row.chars().zip(1..).filter(|(_, other)| *other != id).map(peer).collect();
            let mut seen = seen(id, &char::from(b'a' + u8::try_from(id - 1).unwrap()).to_string());
            if !row.contains('?') {
                seen.account = Account::Own(Box::new(MemberPage { peers, ..MemberPage::default() }));
            }
            seen
        });
        ClusterView::for_tests(members.collect())
    }

    #[test]
    fn only_reported_connections_count_as_verified() {
        for (rows, verified, assumed, silent) in [
            (&["...", "...", "..."][..], 1, 1, ""),
            // Followers that do not accept each other: only the death of the leader is deadly.
            (&["...", "..-", ".-."], 0, 0, ""),
            // One side is enough.
            (&["...", "...", ".-."], 0, 0, ""),
            (&["...", "???", "..."], 0, 1, "b"),
            (&["???", "???", "???"], 0, 1, "a b c"),
            (&[".....", ".....", ".....", ".....", "....."], 2, 2, ""),
            // Any other member leads these two.
            (&[".....", ".....", ".....", "....-", "...-."], 2, 2, ""),
            // Without the first two, no member reaches two others.
            (&[".....", ".....", "...--", "..-.-", "..--."], 1, 1, ""),
            (&["..", ".."], 0, 0, ""),
            (&["."], 0, 0, ""),
        ] {
            let tolerance = view(rows).tolerance();
            let found = (tolerance.verified, tolerance.assumed, tolerance.silent.join(" "));
            assert_eq!(found, (verified, assumed, silent.to_owned()), "{rows:?}");
        }
    }

    #[test]
    fn a_broken_connection_names_both_members_and_the_reason() {
        let view = view(&["...", "..-", "..."]);
        let broken = view.broken_links();
        assert_eq!(broken.len(), 1);
        assert_eq!(
            (broken[0].from.name(), broken[0].to.name(), broken[0].reason.as_str()),
            ("b".to_owned(), "c".to_owned(), "certificate")
        );
        assert_eq!(view.reached_by(&view.members[2]), ["a"]);
    }
}
