//! Floods in small: none ends the server, none fills its memory, and those that no honest client
//! would send are answered by a GOAWAY. Their cost, and that for a real etcd, is printed by `make
//! siege`.

use crate::suspect::{Suspect, old_etcd, ours, password};
use proto::etcdserverpb::AuthenticateRequest;
use siege::floods::{Flood, frames::FrameFlood, logins};
use siege::measure::{Bounds, Outcome, measure};
use std::time::Duration;
use testbed::Server;

/// More than a flood of this size may ever need, and far less than its unbounded cost.
const GROWN_BYTES_MAX: u64 = 200 << 20;

/// More than may be wrong without a pause, and than can be waited for.
const GUESSES: usize = 14;

async fn flooded(flood: Flood, count: u64) -> Outcome {
    let mut server = Server::start(ours(&[])).await.unwrap();
    let token = if flood.needs_users() { Some(logins::set_up(&server).await.unwrap()) } else { None };
    let bounds = Bounds { count, time: Duration::from_secs(30) };
    let outcome = measure(&server, flood.name(), token, flood.run(&server, bounds)).await.unwrap();
    eprintln!("{}", outcome.row("ours"));
    assert!(server.is_running(), "{flood:?}: {}", server.log_tail());
    assert_eq!(outcome.during.lost, 0, "{flood:?}: a bystander was not answered");
    assert!(outcome.grown_bytes < GROWN_BYTES_MAX, "{flood:?}: {} MiB", outcome.grown_bytes >> 20);
    outcome
}

/// D01, D02: CVE-2023-44487, CVE-2025-8671, CVE-2023-45288, and their relatives.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_are_survived() {
    for flood in FrameFlood::ALL {
        let outcome = flooded(Flood::Frames(flood), 5_000).await;
        let calms = [FrameFlood::RapidReset, FrameFlood::Continuation, FrameFlood::LongHeaders, FrameFlood::Ping];
        let ends = if calms.contains(&flood) {
            "ENHANCE_YOUR_CALM"
        } else if flood == FrameFlood::MadeReset {
            "goodbye"
        } else {
            ""
        };
        assert!(outcome.told.answer.contains(ends), "{flood:?}: {}", outcome.told.answer);
    }
}

/// D05, D06, D15.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_calls_are_survived() {
    for (flood, count) in [
        (Flood::DeepMessages, 100),
        (Flood::HugeLengths, 200),
        (Flood::Watches, 5_000),
        (Flood::WatchStreams, 5_000),
        (Flood::Leases, 2_000),
        (Flood::Logins, 200),
    ] {
        flooded(flood, count).await;
    }
}

/// D15: names chosen by clients are nowhere a label.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_clients_make_up_are_no_labels() {
    let outcome = flooded(Flood::Labels, 200).await;
    let sizes: Vec<u64> = outcome.told.answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(sizes[..], [after, before] if after < before + 16), "{}", outcome.told.answer);
}

/// Guesses passwords until that many were tried one by one, then as many again at once; returns the
/// number of the latter that were not even checked.
async fn not_looked_at(suspect: &Suspect, user: &str) -> usize {
    let guess = AuthenticateRequest { name: user.to_owned(), password: "guess".to_owned() };
    for _ in 0..GUESSES {
        let refused = suspect.ask(None, "Auth", "Authenticate", &guess).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: authentication failed, invalid user ID or password");
    }
    let at_once =
        futures::future::join_all((0..GUESSES).map(|_| suspect.ask(None, "Auth", "Authenticate", &guess))).await;
    at_once
        .into_iter()
        .filter(|answer| answer.as_ref().is_err_and(|status| status.message() == "etcdserver: too many requests"))
        .count()
}

/// D14: a client that guesses has to wait, as long as the guessing goes on, and no other client has
/// to.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_gets_slower() {
    if let Some(old) = old_etcd() {
        assert_eq!(not_looked_at(&Suspect::start(old).await, "reader").await, 0, "etcd 3.4 looks at every guess");
    }
    let suspect = Suspect::start(ours(&[])).await;
    for user in ["reader", "nobody"] {
        assert!(not_looked_at(&suspect, user).await > 0, "{user}");
    }
    for user in ["root", "writer"] {
        let login = AuthenticateRequest { name: user.to_owned(), password: password(user) };
        suspect.ask(None, "Auth", "Authenticate", &login).await.unwrap();
    }
}
