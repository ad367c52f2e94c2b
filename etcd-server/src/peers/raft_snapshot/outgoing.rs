//! States that this member sends. Each has a thread that holds the state of its moment and gives
//! its file, whole or from some byte on, as often as the sending breaks off; the file has the same
//! bytes each time. Meanwhile the log behind that moment is kept.

use super::RESUME_WINDOW;
use super::checksum::Checksum;
use api::backend::{Position, StateFile};
use bytes::Bytes;
use consensus::{SnapshotMark, Voters};
use parking_lot::Mutex;
use peer::{Held, Outgoing, Receiver};
use proto::raftpb::{Message, Snapshot, SnapshotMetadata};
use replica::Replica;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use storage::Store;
use tokio::sync::{mpsc, oneshot};

/// Parts on their way to the connection.
const PARTS_WAITING: usize = 8;

type Part = Result<Bytes, String>;

/// The transfers in progress, and those that can be resumed.
pub(crate) struct Outgoings {
    replica: Arc<Replica>,
    kept: Arc<Mutex<BTreeMap<u64, Kept>>>,
}

/// A state that a member can go on with.
struct Kept {
    transfer: u64,
    position: Position,
    attempts: blocking::Sender<Attempt>,
}

/// One way of the file over the wire.
struct Attempt {
    /// Bytes that the member has already.
    skip: u64,
    /// `true` if a checksum follows.
    summed: bool,
    parts: mpsc::Sender<Part>,
}

impl Outgoings {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica, kept: Arc::default() }
    }

    /// Returns the snapshot for `message`: the one that `receiver` holds the beginning of, or the
    /// present state.
    pub(crate) async fn begin(&self, message: Message, receiver: Receiver) -> Result<Outgoing, String> {
        let (parts_tx, parts) = mpsc::channel(PARTS_WAITING);
        let member = message.to;
        let (position, transfer) = match receiver {
            Receiver::Resuming(Some(held)) if let Some(position) = self.go_on(member, held, &parts_tx) => {
                (position, Some(held))
            }
            Receiver::Resuming(_) => {
                let transfer = self.replica.next_id();
                let (position, attempts) = self.hold(member, transfer).await?;
                drop(attempts.send(Attempt { skip: 0, summed: true, parts: parts_tx }));
                let mut kept = self.kept.lock();
                kept.insert(member, Kept { transfer, position: position.clone(), attempts });
                self.replica.snapshot_begun(member, Some(mark(&position)));
                (position, Some(Held { transfer, bytes: 0 }))
            }
            Receiver::Plain => {
                let (position, attempts) = self.hold(member, 0).await?;
                drop(attempts.send(Attempt { skip: 0, summed: false, parts: parts_tx }));
                (position, None)
            }
        };
        Ok(Outgoing { message: with_position(message, position), transfer, parts })
    }

    /// Ends a transfer to `member`. A completed one need not be kept.
    pub(crate) fn ended(&self, member: u64, success: bool) {
        let mut kept = self.kept.lock();
        if success && kept.remove(&member).is_some() {
            self.replica.snapshot_begun(member, None);
        }
    }

    fn go_on(&self, member: u64, held: Held, parts: &mpsc::Sender<Part>) -> Option<Position> {
        let kept = self.kept.lock();
        let kept = kept.get(&member).filter(|kept| kept.transfer == held.transfer)?;
        let attempt = Attempt { skip: held.bytes, summed: true, parts: parts.clone() };
        kept.attempts.send(attempt).ok().map(|()| kept.position.clone())
    }

    /// Holds the present state. Its thread ends when the file was not requested for a while, or
    /// cannot be any more.
    async fn hold(&self, member: u64, transfer: u64) -> Result<(Position, blocking::Sender<Attempt>), String> {
        let (position_tx, position) = oneshot::channel();
        let (attempts_tx, attempts) = blocking::channel();
        let (replica, kept) = (Arc::clone(&self.replica), Arc::clone(&self.kept));
        let work = move || {
            let _reading = replica.long_reads().begin();
            if let Err(fault) = give(&replica.store(), position_tx, &attempts) {
                replica.fault(fault);
            }
            let mut all = kept.lock();
            if all.get(&member).is_some_and(|kept| kept.transfer == transfer) {
                all.remove(&member);
                replica.snapshot_begun(member, None);
            }
        };
        let spawned = std::thread::Builder::new().name("state-sender".to_owned()).spawn(work);
        spawned.map_err(|error| format!("failed to start a thread: {error}"))?;
        let position = position.await.map_err(|_| "the state cannot be read".to_owned())?;
        Ok((position, attempts_tx))
    }
}

/// Returns the mark of a state in raft.
fn mark(position: &Position) -> SnapshotMark {
    let mut voters =
        Voters { voters: position.conf_state.voters.clone(), learners: position.conf_state.learners.clone() };
    voters.voters.sort_unstable();
    voters.learners.sort_unstable();
    SnapshotMark { index: position.index, term: position.term, voters }
}

/// Gives the state of now to each attempt.
fn give(
    store: &Store,
    position: oneshot::Sender<Position>,
    attempts: &blocking::Receiver<Attempt>,
) -> Result<(), types::Fault> {
    let state = StateFile::now(store);
    drop(position.send(state.position()?));
    while let Ok(attempt) = attempts.recv_timeout(RESUME_WINDOW) {
        let Attempt { mut skip, summed, parts } = attempt;
        let mut checksum = Checksum::default();
        let mut send = |mut part: Bytes| {
            let known = part.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            skip -= known as u64;
            drop(part.split_to(known));
            part.is_empty() || parts.blocking_send(Ok(part)).is_ok()
        };
        let mut whole = true;
        let given = state.give(|part| {
            if summed {
                checksum.add(&part);
            }
            whole = send(part);
            whole
        });
        if let Err(fault) = given {
            drop(parts.blocking_send(Err(fault.to_string())));
            return Err(fault);
        }
        if summed && whole {
            send(Bytes::copy_from_slice(&checksum.finish()));
        }
    }
    Ok(())
}

/// Returns the message with the position of the state.
fn with_position(mut message: Message, position: Position) -> Message {
    let Position { index, term, conf_state, members } = position;
    let data = Bytes::from(membership::v2_store(&members));
    let metadata = SnapshotMetadata { conf_state: Some(conf_state), index, term };
    message.snapshot = Some(Snapshot { data, metadata: Some(metadata) });
    message
}
