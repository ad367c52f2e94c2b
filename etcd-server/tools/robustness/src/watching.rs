//! Watchers: recorders that follow everything at one member, and others that come and go with every
//! kind of request.

use crate::history::{Delivery, Stream};
use crate::requests::{KEYS, key};
use crate::shared_state::{Phase, Seat, SharedState};
use fastrand::Rng;
use proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_create_request::FilterType,
    watch_request::RequestUnion,
};
use rpc::etcdserverpb::watch_client::WatchClient;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;

/// Time limit of watchers at the end for their owed events.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Requests on their way: one to create, then a question for progress now and then, left out while
/// the last one waits.
const REQUESTS_MAX: usize = 2;

/// The behaviour of a watcher.
struct Manner {
    /// When it leaves while there is load.
    leaves: Option<Instant>,
    /// Interval of its progress requests.
    asks: Option<Duration>,
    /// Pause after each response.
    rests: Duration,
}

/// Follows everything at one member for as long as the run lasts.
pub(crate) async fn recorder(shared_state: Arc<SharedState>, number: usize, member: usize) -> Vec<Stream> {
    let (mut streams, mut next) = (Vec::new(), 1);
    loop {
        let Some(seat) = shared_state.seat(member) else {
            // It was taken out of the group.
            if !shared_state.is_loading() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let request = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision: next,
            prev_kv: true,
            ..Default::default()
        };
        let manner = Manner { leaves: None, asks: None, rests: Duration::ZERO };
        let stream = follow(&shared_state, number, &seat, request, manner, true).await;
        let compacted = stream
            .deliveries
            .last()
            .filter(|deliveries| deliveries.response.canceled)
            .map_or(0, |deliveries| deliveries.response.compact_revision);
        let last = stream
            .deliveries
            .iter()
            .rev()
            .flat_map(|deliveries| &deliveries.response.events)
            .filter_map(|event| event.kv.as_ref())
            .map(|kv| kv.mod_revision)
            .max();
        next = next.max(last.map_or(0, |last| last + 1)).max(compacted);
        streams.push(stream);
        let phase = *shared_state.phase().borrow();
        if matches!(phase, Phase::Until { last, deadline } if next > last || Instant::now() > deadline) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    streams
}

/// Watches this and that, here and there; the last one it keeps to the end.
pub(crate) async fn wanderer(shared_state: Arc<SharedState>, number: usize, seed: u64) -> Vec<Stream> {
    let mut random = Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (mut streams, mut resumed): (Vec<Stream>, Option<WatchCreateRequest>) = (Vec::new(), None);
    while shared_state.is_loading() || resumed.is_some() {
        let Some(seat) = random.choice(shared_state.seats()) else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let request = resumed.take().unwrap_or_else(|| draw(&shared_state, &mut random));
        let manner = Manner {
            leaves: Some(Instant::now() + Duration::from_millis(random.u64(50..3000))),
            asks: (random.u8(..3) == 0).then(|| Duration::from_millis(random.u64(1..100))),
            rests: if random.u8(..6) == 0 { Duration::from_millis(random.u64(1..60)) } else { Duration::ZERO },
        };
        let stream = follow(&shared_state, number, &seat, request, manner, false).await;
        // Half of those that were cut off, or left, go on elsewhere from where they were.
        let last = stream
            .deliveries
            .iter()
            .flat_map(|deliveries| &deliveries.response.events)
            .filter_map(|event| event.kv.as_ref())
            .map(|kv| kv.mod_revision)
            .max();
        let cancelled = stream.deliveries.last().is_some_and(|deliveries| deliveries.response.canceled);
        if let Some(last) =
            last.filter(|_| !cancelled && !stream.to_the_end && (random.bool() || !shared_state.is_loading()))
        {
            resumed = Some(WatchCreateRequest { start_revision: last + 1, ..stream.request.clone() });
        }
        let silent = stream.deliveries.is_empty();
        streams.push(stream);
        if silent {
            sleep(Duration::from_millis(20)).await;
        }
    }
    streams
}

fn draw(shared_state: &SharedState, random: &mut Rng) -> WatchCreateRequest {
    let first = random.u64(..KEYS);
    let (from, to) = match random.u8(..5) {
        0 => ("\0".to_owned(), "\0".to_owned()),
        1 => (key(first), String::new()),
        2 => (key(first), key(first + random.u64(1..5))),
        3 => ("l/".to_owned(), "l0".to_owned()),
        _ => ("k/".to_owned(), "k0".to_owned()),
    };
    let start_revision = match random.u8(..8) {
        0 | 1 => 0,
        2 | 3 => shared_state.compacted(),
        4 => shared_state.compacted() + random.i64(0..5),
        5 => (shared_state.recorded() - random.i64(0..100)).max(1),
        6 => shared_state.recorded() + random.i64(1..50),
        _ => shared_state.recorded(),
    };
    let filters = match random.u8(..6) {
        0 => vec![FilterType::Noput.into()],
        1 => vec![FilterType::Nodelete.into()],
        _ => Vec::new(),
    };
    WatchCreateRequest {
        key: from.into(),
        range_end: to.into(),
        start_revision,
        progress_notify: random.bool(),
        filters,
        prev_kv: random.bool(),
        watch_id: 0,
        fragment: random.u8(..3) == 0,
    }
}

/// One stream with one watch, from its creation until it breaks, is left, or has all that it is
/// owed.
async fn follow(
    shared_state: &SharedState,
    watcher: usize,
    seat: &Seat,
    request: WatchCreateRequest,
    manner: Manner,
    records: bool,
) -> Stream {
    let mut stream = Stream {
        watcher,
        member: seat.member,
        invoked: shared_state.now(),
        request: request.clone(),
        deliveries: Vec::new(),
        to_the_end: false,
        ended: None,
    };
    let (ask, asked) = mpsc::channel(REQUESTS_MAX);
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) };
    // There is room, and the receiver is here.
    drop(ask.try_send(create));
    let mut client = WatchClient::new(seat.channel.clone()).max_decoding_message_size(usize::MAX);
    let mut responses = match timeout(Duration::from_secs(2), client.watch(ReceiverStream::new(asked))).await {
        Ok(Ok(opened)) => opened.into_inner(),
        Ok(Err(status)) => return Stream { ended: Some(status.message().to_owned()), ..stream },
        Err(_) => return Stream { ended: Some("not opened in time".to_owned()), ..stream },
    };
    let mut phase = shared_state.phase();
    let (mut next_question, mut deadline) = (Instant::now(), None);
    loop {
        if let Phase::Until { last, deadline: end } = *phase.borrow_and_update() {
            deadline = Some(end);
            if stream.request.start_revision > last || has_all(&stream, last) {
                stream.to_the_end = stream.request.start_revision <= last;
                return stream;
            }
        }
        let loading = *phase.borrow() == Phase::Load;
        let leaves = manner.leaves.filter(|_| loading);
        tokio::select! {
            message = responses.message() => match message {
                Ok(Some(response)) => {
                    if records {
                        shared_state.record(response.events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision).max().unwrap_or(1));
                    }
                    let cancelled = response.canceled;
                    stream.deliveries.push(Delivery { at: shared_state.now(), response });
                    if cancelled {
                        return stream;
                    }
                    sleep(manner.rests).await;
                }
                Ok(None) => return Stream { ended: Some("closed".to_owned()), ..stream },
                Err(status) => return Stream { ended: Some(status.message().to_owned()), ..stream },
            },
            () = sleep_until(next_question), if manner.asks.is_some() && is_created(&stream) => {
                // A question that finds no room is one too many.
                drop(ask.try_send(WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) }));
                next_question = Instant::now() + manner.asks.unwrap_or_default();
            }
            () = sleep_until(leaves.unwrap_or_else(Instant::now)), if leaves.is_some() => return stream,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                // Events that it did not get by now are missing.
                stream.to_the_end = is_created(&stream);
                return stream;
            }
            changed = phase.changed() => if changed.is_err() { return stream },
        }
    }
}

fn is_created(stream: &Stream) -> bool {
    stream.deliveries.iter().any(|deliveries| deliveries.response.created)
}

/// The last two revisions put and delete every key, so each watch is owed one of them or both.
fn has_all(stream: &Stream, last: i64) -> bool {
    let wanted = if stream.request.filters.contains(&FilterType::Nodelete.into()) { last - 1 } else { last };
    let revisions = |response: &WatchResponse| {
        response.events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision).max()
    };
    stream
        .deliveries
        .iter()
        .rev()
        .find_map(|deliveries| revisions(&deliveries.response))
        .is_some_and(|revision| revision >= wanted)
}
