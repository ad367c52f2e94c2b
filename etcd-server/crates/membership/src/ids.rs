//! Ids of members and clusters: the first eight bytes of a SHA-1, as etcd computes them.

use sha1::{Digest, Sha1};
use types::{ClusterId, MemberId};

/// Returns the id of a member. `peer_urls` are in etcd's normal form (see
/// [`normalise`](crate::normalise)), in any order.
///
/// An initial member has the cluster's token and no time; one added later has an empty token and
/// the Unix time, in seconds, at which it was proposed. 0 is no member's id: a caller that gets it
/// must choose other URLs or another time.
pub fn member_id(peer_urls: &[String], token: &str, added_at_unix_seconds: Option<i64>) -> MemberId {
    let mut sorted: Vec<_> = peer_urls.iter().collect();
    sorted.sort();
    let mut hash = Sha1::new();
    sorted.into_iter().for_each(|url| hash.update(url));
    hash.update(token);
    if let Some(seconds) = added_at_unix_seconds {
        hash.update(seconds.to_string());
    }
    MemberId(first_eight(hash))
}

/// Returns the id of a cluster with these initial members.
pub fn cluster_id(initial_members: impl IntoIterator<Item = MemberId>) -> ClusterId {
    let mut sorted: Vec<_> = initial_members.into_iter().collect();
    sorted.sort_unstable();
    let mut hash = Sha1::new();
    sorted.into_iter().for_each(|id| hash.update(id.0.to_be_bytes()));
    ClusterId(first_eight(hash))
}

fn first_eight(hash: Sha1) -> u64 {
    let digest: [u8; 20] = hash.finalize().into();
    let (first, _) = digest.split_first_chunk().expect("a SHA-1 has twenty bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_a_real_etcd() {
        for (url, token, member, cluster) in [
            ("http://127.0.0.1:52380", "tok1", 0x031a_7b60_bb3b_4583, 0x7c8a_524f_1377_064c),
            ("http://127.0.0.1:52390", "tokR", 0x7c16_1b24_395c_d202, 0x9c1a_ecc0_800a_70d0),
        ] {
            let id = member_id(&[url.to_owned()], token, None);
            assert_eq!((id, cluster_id([id])), (MemberId(member), ClusterId(cluster)));
        }
    }

    #[test]
    fn order_does_not_matter_and_time_does() {
        let (a, b) = ("http://a:1".to_owned(), "http://b:1".to_owned());
        assert_eq!(member_id(&[a.clone(), b.clone()], "t", None), member_id(&[b, a.clone()], "t", None));
        assert_eq!(member_id(std::slice::from_ref(&a), "", Some(12)), member_id(std::slice::from_ref(&a), "12", None));
        assert_eq!(cluster_id([MemberId(1), MemberId(2)]), cluster_id([MemberId(2), MemberId(1)]));
    }
}
