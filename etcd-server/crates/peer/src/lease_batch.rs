//! Renewals of many leases in one request between members of our kind.
//!
//! etcd's own endpoint takes one lease per request, over a connection of its own here, which is too
//! slow for a client with thousands of leases at a follower. The body is the ids, the response the
//! times to live in the same order, eight bytes each, big-endian. An etcd member answers 404 and is
//! sent one request per lease.

use crate::ask::{PeerCallError, Target};
use crate::body::whole;
use crate::reply::{self, Reply, text};
use crate::service::started;
use crate::transport::Transport;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use std::time::Duration;

/// The endpoint's path.
pub(crate) const PATH: &str = "/leases/batch";
/// Leases in one request.
pub const LEASES_MAX: usize = 4096;
const ENTRY_BYTES: usize = size_of::<i64>();
/// Stands for a lease that has to be renewed again: its revoke is under way, or leadership moves.
const AGAIN: i64 = i64::MIN;

/// Renews at most [`LEASES_MAX`] leases at the leader. The times to live are in the order of
/// `leases`; zero for a lease that does not exist, `None` for one that has to be renewed again.
///
/// # Errors
/// 404 if the member does not know the endpoint.
pub async fn keep_alive(target: &Target, leases: &[i64], timeout: Duration) -> Result<Vec<Option<i64>>, PeerCallError> {
    let answered = target.post(PATH, encode(leases.iter().copied()).to_vec(), timeout).await?;
    let ttls = decode(&answered.body).filter(|ttls| ttls.len() == leases.len());
    let found = answered.body.len();
    let malformed = || PeerCallError::Malformed {
        url: target.url().clone(),
        why: format!("found {found} bytes for {} leases", leases.len()),
    };
    Ok(ttls.ok_or_else(malformed)?.into_iter().map(|ttl| (ttl != AGAIN).then_some(ttl)).collect())
}

/// Answers such a request.
pub(crate) async fn serve(transport: &Transport, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let local = match started(transport) {
        Ok(local) => local,
        Err(reply) => return *reply,
    };
    let Ok(body) = whole(request.into_body(), LEASES_MAX * ENTRY_BYTES).await else {
        return text(StatusCode::BAD_REQUEST, "error reading body");
    };
    let Some(leases) = decode(&body) else { return text(StatusCode::BAD_REQUEST, "error unmarshalling request") };
    match local.keep_alive_batch(leases).await {
        Ok(ttls) => reply::bytes(encode(ttls.into_iter().map(|ttl| ttl.unwrap_or(AGAIN)))),
        Err(refusal) => reply::refusal(&refusal),
    }
}

fn encode(numbers: impl Iterator<Item = i64>) -> Bytes {
    numbers.flat_map(i64::to_be_bytes).collect()
}

/// `None` unless the bytes are whole numbers.
fn decode(bytes: &[u8]) -> Option<Vec<i64>> {
    let (numbers, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    rest.is_empty().then(|| numbers.iter().copied().map(i64::from_be_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_body() {
        let numbers = [0, 1, -1, i64::MAX, AGAIN];
        assert_eq!(decode(&encode(numbers.into_iter())), Some(numbers.to_vec()));
        assert_eq!(decode(&[0; 9]), None);
    }
}
