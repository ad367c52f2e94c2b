//! Random transactions, and a model that walks every path through them.

use admission::{InvalidRequest, check_txn};
use fastrand::Rng;
use proto::etcdserverpb::TxnRequest;
use proto::etcdserverpb::request_op::Request;
use std::collections::BTreeMap;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A change on a path: its keys, and the nested transactions that it is in, by position.
#[derive(Clone, Debug)]
struct Change {
    put: bool,
    keys: Vec<String>,
    within: Vec<usize>,
}

/// Returns every path through a branch: the changes that are executed on it, in order.
fn paths(branch: &[proto::etcdserverpb::RequestOp], within: &[usize]) -> Vec<Vec<Change>> {
    let mut all = vec![Vec::new()];
    for (position, operation) in branch.iter().enumerate() {
        let one = |put, keys| vec![vec![Change { put, keys, within: within.to_vec() }]];
        let continued = match operation.request.as_ref().unwrap() {
            Request::RequestRange(_) => continue,
            Request::RequestPut(put) => one(true, vec![String::from_utf8(put.key.to_vec()).unwrap()]),
            Request::RequestDeleteRange(delete) => {
                let inside = |key: &&&str| match &delete.range_end[..] {
                    [] => key.as_bytes() == delete.key,
                    end => key.as_bytes() >= &delete.key[..] && key.as_bytes() < end,
                };
                one(false, KEYS.iter().filter(inside).map(|key| (*key).to_owned()).collect())
            }
            Request::RequestTxn(inner) => {
                let within = [within, &[position]].concat();
                [paths(&inner.success, &within), paths(&inner.failure, &within)].concat()
            }
        };
        all = all.iter().flat_map(|path| continued.iter().map(|more| [&path[..], &more[..]].concat())).collect();
    }
    all
}

/// Returns `true` if etcd misses this pair: a put, and a deletion of it in a later nested
/// transaction beside the one of the put.
fn is_missed(earlier: &Change, later: &Change) -> bool {
    let common = earlier.within.iter().zip(&later.within).take_while(|(a, b)| a == b).count();
    earlier.put && !later.put && earlier.within.len() > common && later.within.len() > common
}

/// Returns `true` if a path changes a key twice.
fn clashes(path: &[Change]) -> bool {
    let pairs = path.iter().enumerate().flat_map(|(at, later)| path[..at].iter().map(move |earlier| (earlier, later)));
    let mut pairs = pairs.filter(|(earlier, later)| (earlier.put || later.put) && !is_missed(earlier, later));
    pairs.any(|(earlier, later)| earlier.keys.iter().any(|key| later.keys.contains(key)))
}

fn operation(random: &mut Rng, depth: u8) -> String {
    let at = random.usize(..KEYS.len());
    match random.u8(..8) {
        0..4 => format!("put {}", KEYS[at]),
        4 if at > 0 => format!("del {} {}", KEYS[random.usize(..at)], KEYS[at]),
        4 | 5 => format!("del {}", KEYS[at]),
        6 if depth < 3 => txn(random, depth + 1),
        _ => format!("get {}", KEYS[at]),
    }
}

fn txn(random: &mut Rng, depth: u8) -> String {
    let mut branch = || (0..random.usize(..4)).map(|_| operation(random, depth)).collect::<Vec<_>>().join(" ; ");
    format!("txn then {} else {} end", branch(), branch())
}

#[test]
fn duplicate_keys_are_those_of_some_path() {
    let mut random = Rng::with_seed(1);
    let mut counts = BTreeMap::<bool, usize>::new();
    for _ in 0..20_000 {
        let line = txn(&mut random, 0);
        let request: TxnRequest = script::txn(&mut line.split_whitespace().skip(1).collect::<Vec<_>>().iter());
        let clash = [&request.success, &request.failure]
            .iter()
            .any(|branch| paths(branch, &[]).iter().any(|path| clashes(path)));
        let expected = if clash { Err(InvalidRequest::DuplicateKey) } else { Ok(()) };
        assert_eq!(check_txn(&request, 128), expected, "{line}");
        *counts.entry(clash).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count > 2_000), "{counts:?}");
}
