//! The log thread: appends all waiting entries, syncs once, reports.

use crate::Observer;
use crate::data_files::DataFiles;
use crate::messages::{Input, LogCommand};
use consensus::{Entry, EntryKind, HardState};
use raftlog::{Log, Record};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;
use types::Fault;

/// Numbers on disk; they never change.
const KIND_NORMAL: u8 = 0;
const KIND_CONF_CHANGE: u8 = 1;

pub(crate) fn to_record(entry: Entry) -> Record {
    let kind = match entry.kind {
        EntryKind::Normal => KIND_NORMAL,
        EntryKind::ConfChange => KIND_CONF_CHANGE,
    };
    Record { term: entry.term, index: entry.index, kind, data: entry.data }
}

pub(crate) fn from_record(record: Record) -> Result<Entry, Fault> {
    let kind = match record.kind {
        KIND_NORMAL => EntryKind::Normal,
        KIND_CONF_CHANGE => EntryKind::ConfChange,
        kind => {
            return Err(Fault::corrupt(
                format_args!("raft log entry {}", record.index),
                format_args!("kind {kind} is unknown"),
            ));
        }
    };
    Ok(Entry { term: record.term, index: record.index, kind, data: record.data })
}

/// Runs until the stop command, or until all other threads have ended.
pub(crate) fn run(
    mut log: Log,
    mut files: DataFiles,
    commands: &Receiver<LogCommand>,
    node: &Sender<Input>,
    observer: &dyn Observer,
) -> Result<(), Fault> {
    // The last ready that was made durable.
    let mut last = 0;
    while let Ok(first) = commands.recv() {
        let (mut persisted, mut committed) = (None, 0);
        // Commands that came in while the last sync ran share the next one.
        for command in std::iter::once(first).chain(commands.try_iter()) {
            match command {
                LogCommand::Persist { number, entries, hard_state } => {
                    let records: Vec<_> = entries.into_iter().map(to_record).collect();
                    let begun = Instant::now();
                    log.write(&records, hard_state.map(to_log))?;
                    observer.log_written(records.iter().map(Record::stored_bytes).sum(), begun.elapsed());
                    persisted = Some(number);
                }
                LogCommand::NoteCommit(index) => committed = committed.max(index),
                LogCommand::Install { number, index, term, hard_state } => {
                    log.install(index, term, hard_state.map(to_log))?;
                    persisted = Some(number);
                }
                LogCommand::Truncate(index) => {
                    let begun = Instant::now();
                    log.truncate_front(index)?;
                    observer.log_truncated(begun.elapsed());
                    tracing::info!(compact_index = index, "compacted Raft logs");
                }
                LogCommand::Stop => return log.mark(),
            }
        }
        // Before the sync, which writes the note with its own.
        if committed > 0 {
            log.note_commit(committed)?;
        }
        if let Some(number) = persisted {
            assert!(number > last, "ready {number} is made durable behind ready {last}");
            last = number;
            let begun = Instant::now();
            log.sync()?;
            observer.log_synced(begun.elapsed());
            // What was synced into a file that was removed is lost, so it must not be acknowledged.
            files.check_if_changed()?;
            // The node thread outlives this one, unless the process is ending.
            drop(node.send(Input::Persisted(number)));
        }
    }
    log.mark()
}

fn to_log(hard_state: HardState) -> raftlog::HardState {
    raftlog::HardState { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit }
}
