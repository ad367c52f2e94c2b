//! Random entries: few keys, leases, users and roles, so that they meet often.

use fastrand::Rng;
use membership::{ConfChange, Member as Joining};
use proto::etcdserverpb::{InternalRaftRequest, RequestHeader};
use proto::raftpb;
use types::MemberId;

const USERS: [&str; 4] = ["root", "ann", "bob", "eve"];
const ROLES: [&str; 4] = ["root", "reader", "writer", "owner"];
const KEYS: [&str; 6] = ["a", "b", "c", "d", "da", "e"];

fn one<'a>(random: &mut Rng, words: &[&'a str]) -> &'a str {
    random.choice(words).copied().unwrap()
}

/// A key, now and then with an end above it.
fn keys(random: &mut Rng) -> String {
    let at = random.usize(..KEYS.len());
    match random.u8(..6) {
        0 => format!("{} \\0", KEYS[at]),
        1 | 2 => {
            format!("{} {}", KEYS[at], if at + 1 < KEYS.len() { KEYS[random.usize(at + 1..KEYS.len())] } else { "z" })
        }
        _ => KEYS[at].to_owned(),
    }
}

fn option(random: &mut Rng, name: &str) -> String {
    if random.u8(..4) == 0 { format!(" {name}") } else { String::new() }
}

fn lease(random: &mut Rng) -> String {
    if random.u8(..3) == 0 { format!(" lease={}", random.i64(0..6)) } else { String::new() }
}

fn put(random: &mut Rng) -> String {
    let key = one(random, &KEYS);
    match random.u8(..10) {
        0 => format!("put {key} ignore_value{}{}", option(random, "prev"), lease(random)),
        1 => format!("put {key}={} ignore_lease{}", random.u8(..9), option(random, "prev")),
        _ => format!("put {key}={}{}{}", random.u8(..9), option(random, "prev"), lease(random)),
    }
}

fn range(random: &mut Rng, near: i64) -> String {
    let mut text = format!("get {}", keys(random));
    for name in [" count_only", " keys_only"] {
        text += if random.u8(..8) == 0 { name } else { "" };
    }
    for (name, value) in [
        ("rev", near - random.i64(-2..8)),
        ("limit", random.i64(-1..4)),
        ("min_mod", near - 6),
        ("max_create", near - 3),
    ] {
        if random.u8(..6) == 0 {
            text += &format!(" {name}={value}");
        }
    }
    // Sorted by keys or by revisions of which no two keys share one: etcd leaves the order of
    // equals open.
    if random.u8(..5) == 0 { text + &format!(" order={}", random.u8(..3)) } else { text }
}

fn compare(random: &mut Rng, near: i64) -> String {
    let sign = one(random, &["=", "!", "<", ">"]);
    let keys = if random.u8(..4) == 0 { "a..e".to_owned() } else { one(random, &KEYS).to_owned() };
    match random.u8(..5) {
        0 => format!("version:{keys}{sign}{}", random.u8(..3)),
        1 => format!("create:{keys}{sign}{}", if random.bool() { 0 } else { near - 3 }),
        2 => format!("mod:{keys}{sign}{}", near - random.i64(0..4)),
        3 => format!("value:{keys}{sign}{}", random.u8(..9)),
        _ => format!("lease:{keys}{sign}{}", random.u8(..4)),
    }
}

fn branch(random: &mut Rng, near: i64, depth: u8) -> String {
    let count = random.usize(..4);
    let operations: Vec<_> = (0..count)
        .map(|_| match random.u8(..8) {
            0..3 => put(random),
            3 | 4 => range(random, near),
            5 if depth < 2 => txn(random, near, depth + 1),
            6 if depth == 0 => "nothing".to_owned(),
            _ => format!("del {}{}", keys(random), option(random, "prev")),
        })
        .collect();
    operations.join(" ; ")
}

fn txn(random: &mut Rng, near: i64, depth: u8) -> String {
    let compares: Vec<_> = (0..random.usize(..3)).map(|_| compare(random, near)).collect();
    format!(
        "txn if {} then {} else {} end",
        compares.join(" "),
        branch(random, near, depth),
        branch(random, near, depth)
    )
}

fn auth(random: &mut Rng) -> String {
    let (user, role) = (one(random, &USERS), one(random, &ROLES));
    match random.u8(..20) {
        0 | 1 => "auth enable".to_owned(),
        2 => "auth disable".to_owned(),
        3 => "auth status".to_owned(),
        4 => format!("login {user} letters"),
        5 => format!("user add {user}"),
        6 => format!("user add {user} no-password"),
        7 if user != "root" || random.u8(..4) == 0 => format!("user delete {user}"),
        8 => format!("user password {user}"),
        9 | 10 => format!("user grant {user} {role}"),
        11 => format!("user revoke {user} {role}"),
        12 => format!("user get {user}"),
        13 => {
            one(random, &["user list", "role list", "user add -", "role add -", "login nobody", "login ann"]).to_owned()
        }
        14 => format!("role add {role}"),
        15 => format!("role get {role}"),
        16 if random.u8(..3) == 0 => format!("role delete {role}"),
        17 => format!("role revoke {role} {}", keys(random)),
        _ => format!("role grant {role} {} {}", one(random, &["read", "write", "readwrite", "bad"]), keys(random)),
    }
}

/// Returns the words of a random entry.
pub(crate) fn entry(random: &mut Rng, near: i64, auths: bool) -> String {
    match random.u8(..40) {
        0..9 => put(random),
        9..12 => format!("del {}{}", keys(random), option(random, "prev")),
        12..21 => txn(random, near, 0),
        21 | 22 => range(random, near),
        23 => format!("compact {}", near - random.i64(-1..8)),
        24..27 => format!(
            "grant {} {}",
            random.i64(0..6),
            random.choice(&[-1, 1, 5, 60, 9_000_000_000_i64, 9_000_000_001]).unwrap()
        ),
        27 | 28 => format!("revoke {}", random.i64(0..6)),
        29 => format!("checkpoint {} {}", random.i64(0..6), random.i64(0..60)),
        30 if random.u8(..3) == 0 => {
            format!("alarm raise {} {}", random.u8(1..3), one(random, &["none", "nospace", "corrupt", "bad"]))
        }
        30 | 31 => format!(
            "alarm {} {} {}",
            one(random, &["get", "clear", "clear", "bad"]),
            random.u8(1..3),
            one(random, &["none", "nospace", "corrupt"])
        ),
        32 => "empty".to_owned(),
        33 => "downgrade-test".to_owned(),
        34 => one(
            random,
            &["version 3.5.0", "version 3.6.0", "version 3.7.0", "downgrade 3.6.0", "downgrade off", "unknown"],
        )
        .to_owned(),
        _ if auths => auth(random),
        _ => put(random),
    }
}

/// Returns the caller of an entry.
pub(crate) fn caller(random: &mut Rng, auth_revision: u64) -> RequestHeader {
    let username = one(random, &["", "root", "root", "root", "ann", "ann", "bob", "eve", "unknown"]).to_owned();
    let age = u64::from(random.u8(..10) == 0);
    let auth_revision = if username.is_empty() { 0 } else { auth_revision - age };
    RequestHeader { username, auth_revision, ..RequestHeader::default() }
}

/// Returns a random configuration change.
pub(crate) fn conf_change(random: &mut Rng) -> raftpb::ConfChange {
    let id = MemberId(random.u64(1..6));
    let peer_urls = vec![format!("http://{}", random.u8(1..8))];
    let joining = Joining { id, peer_urls: peer_urls.clone(), is_learner: random.bool(), ..Joining::default() };
    let change = match random.u8(..8) {
        0..4 => ConfChange::Add(joining),
        4 => ConfChange::Remove(id),
        5 => ConfChange::Update { id, peer_urls },
        _ => ConfChange::Promote(id),
    };
    change.to_raft(random.u64(..))
}

/// Returns the request of an entry with its caller.
pub(crate) fn request(line: &str, caller: RequestHeader) -> InternalRaftRequest {
    let request = crate::commands::request(&line.split_whitespace().collect::<Vec<_>>());
    // An old member puts the id of the request beside the header.
    let id = if line.len().is_multiple_of(7) { 77 } else { 0 };
    InternalRaftRequest { header: Some(caller), id, ..request }
}
