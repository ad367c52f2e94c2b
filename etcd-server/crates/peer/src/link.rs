//! The connections to one member as an operator sees them: the open streams, and the reason when
//! one is missing.

use http::StatusCode;
use std::error::Error;
use std::io;
use std::time::Duration;
use types::MemberId;

use crate::handshake::Mismatch;

/// A class of reasons for which streams to a member cannot be opened. Each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection to the address.
    Address,
    /// One side does not accept the certificate of the other.
    Certificate,
    /// The certificate of the member does not contain the host of its peer URL.
    Name,
    /// The versions do not work together.
    Version,
    /// The server at the address belongs to another cluster.
    ClusterId,
    /// The server at the address is another member.
    MemberId,
    /// The member does not list this one, or lists it as removed.
    Membership,
    /// The connection exists, and nothing arrives.
    Silence,
    /// Everything else.
    Other,
}

impl Cause {
    /// Returns the name of the class, as the metrics page and the status page spell it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::Name => "name",
            Self::Version => "version",
            Self::ClusterId => "cluster_id",
            Self::MemberId => "member_id",
            Self::Membership => "membership",
            Self::Silence => "silence",
            Self::Other => "other",
        }
    }

    /// Returns what an operator does about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Address => {
                "start the member, or correct its peer URL (etcd-admin member update); open the peer port in the firewall"
            }
            Self::Certificate => {
                "compare --peer-trusted-ca-file, --peer-cert-file and --peer-crl-file on both hosts (etcd-admin doctor host); \
                 renew the certificate that is refused (etcd-admin cert renew)"
            }
            Self::Name => {
                "issue a peer certificate that contains the host of the peer URL (etcd-admin cert request peer HOST)"
            }
            Self::Version => "upgrade the older member; minor versions may differ by one",
            Self::ClusterId => {
                "one of the two has the data or the --initial-cluster of another cluster: compare them with etcd-admin doctor offline"
            }
            Self::MemberId => {
                "two members have the same peer URL, or the member was rebuilt: compare etcd-admin member list with the hosts"
            }
            Self::Membership => "compare etcd-admin member list at both members; a removed member must be stopped",
            Self::Silence => {
                "the process is stopped or its disk hangs, or a firewall drops packets: etcd-admin doctor host on its host"
            }
            Self::Other => "check the log of the member (journalctl -u etcd-server)",
        }
    }

    /// Returns the class of an error of a socket or of the resolver.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds that say something else than an address, of many")]
    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Silence,
            io::ErrorKind::InvalidData => Self::Other,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Self::Other,
            _ => Self::Address,
        }
    }

    pub(crate) fn of_mismatch(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Version => Self::Version,
            Mismatch::Cluster => Self::ClusterId,
            Mismatch::Member => Self::MemberId,
        }
    }

    pub(crate) fn of_status(status: StatusCode) -> Self {
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) { Self::Membership } else { Self::Other }
    }
}

/// The reason for which a stream to a member is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its class.
    pub cause: Cause,
    /// The error of the last attempt.
    pub text: String,
}

/// The connections to one member at one moment.
#[derive(Clone, Debug)]
pub struct Link {
    /// The member.
    pub member: MemberId,
    /// Its peer URLs.
    pub urls: Vec<String>,
    /// Open streams that this member reads from, of two.
    pub streams_in: usize,
    /// Open streams that the member reads from, of two.
    pub streams_out: usize,
    /// The reason when `streams_in` is less than two and an attempt has failed.
    pub problem: Option<Problem>,
    /// The member is a real etcd, as its streams say. `None` before the first one.
    pub is_etcd: Option<bool>,
    /// The round trip of the last probe.
    pub round_trip: Option<Duration>,
    /// The clock of the member minus this one's, by the last probe.
    pub clock_drift: Option<time::Duration>,
}

impl Link {
    /// Streams in each direction.
    pub const STREAMS: usize = 2;

    /// Returns `true` if messages flow in both directions.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.streams_in == Self::STREAMS && self.streams_out == Self::STREAMS
    }
}

/// Returns what `find` makes of the first error in the chain of `error` that it recognizes.
pub fn first_cause<T>(error: &(dyn Error + 'static), find: impl Fn(&(dyn Error + 'static)) -> Option<T>) -> Option<T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = find(error) {
            return Some(found);
        }
        // An I/O error hides the error that it was made of.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(inner) = inner
            && let Some(found) = first_cause(inner, &find as &dyn Fn(&(dyn Error + 'static)) -> Option<T>)
        {
            return Some(found);
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Cause; 9] = [
        Cause::Address,
        Cause::Certificate,
        Cause::Name,
        Cause::Version,
        Cause::ClusterId,
        Cause::MemberId,
        Cause::Membership,
        Cause::Silence,
        Cause::Other,
    ];

    #[test]
    fn every_cause_has_its_own_label_and_remedy() {
        for (position, cause) in ALL.into_iter().enumerate() {
            assert!(cause.remedy().len() > 20 && !cause.remedy().contains("  "), "{cause:?}");
            let others = ALL[position + 1..].iter();
            assert!(
                others.clone().all(|other| other.label() != cause.label() && other.remedy() != cause.remedy()),
                "{cause:?}"
            );
        }
    }

    #[test]
    fn finds_an_error_inside_of_an_io_error() {
        let inner = io::Error::other(Mismatch::Cluster);
        let outer = io::Error::other(inner);
        let found = first_cause(&outer, |error| error.downcast_ref::<Mismatch>().copied());
        assert_eq!(found, Some(Mismatch::Cluster));
        assert_eq!(first_cause(&outer, |error| error.downcast_ref::<std::fmt::Error>().copied()), None);
    }
}
