//! The log thread of a member: commands that share a sync, and the restart of the log behind a
//! snapshot.

use crate::check::Checked;
use crate::disk::Write;
use crate::plan::spread;
use crate::planted::{Planted, spoil_hard_state};
use crate::process::{Context, Process, Task};
use consensus::{Entry, HardState};
use pipeline::NodeInput;
use std::collections::VecDeque;

/// A command of the log thread.
enum LogCommand {
    Persist { number: u64, write: Write },
    NoteCommit(u64),
    Install { number: u64, mark: (u64, u64), hard_state: Option<HardState> },
}

/// The commands that wait, and those whose sync is under way.
#[derive(Default)]
pub(crate) struct LogThread {
    queue: VecDeque<LogCommand>,
    syncing: Vec<LogCommand>,
}

impl LogThread {
    pub(crate) fn persist(
        &mut self,
        number: u64,
        entries: Vec<Entry>,
        hard_state: Option<HardState>,
        planted: &Planted,
    ) {
        let hard_state = hard_state.map(|hard_state| spoil_hard_state(hard_state, planted));
        self.queue.push_back(LogCommand::Persist { number, write: Write { entries, hard_state, commit: None } });
    }

    pub(crate) fn note_commit(&mut self, index: u64) {
        self.queue.push_back(LogCommand::NoteCommit(index));
    }

    pub(crate) fn install(&mut self, number: u64, mark: (u64, u64), hard_state: Option<HardState>) {
        self.queue.push_back(LogCommand::Install { number, mark, hard_state });
    }

    /// Returns `true` until the log begins behind a snapshot that was installed.
    pub(crate) fn is_installing(&self) -> bool {
        self.queue.iter().chain(&self.syncing).any(|command| matches!(command, LogCommand::Install { .. }))
    }
}

impl Process {
    /// The log thread takes all commands that wait, or one restart of the log.
    pub(crate) fn sync_next(&mut self, cx: &mut Context<'_>) {
        if !self.log.syncing.is_empty() {
            return;
        }
        let plain = self.log.queue.iter().take_while(|command| !matches!(command, LogCommand::Install { .. })).count();
        let taken: Vec<_> = self.log.queue.drain(..plain.max(1).min(self.log.queue.len())).collect();
        let (mut commit, mut needs_sync) = (None, false);
        for command in &taken {
            match command {
                LogCommand::Persist { write, .. } => {
                    cx.disk.write(write.clone());
                    needs_sync = true;
                }
                LogCommand::NoteCommit(index) => commit = commit.max(Some(*index)),
                LogCommand::Install { .. } => needs_sync = true,
            }
        }
        if commit.is_some() {
            cx.disk.write(Write { commit, ..Write::default() });
        }
        if !needs_sync {
            return;
        }
        let slow = if cx.now < self.slow_until { 30 } else { 1 };
        let latency = 20 + spread(cx.random, cx.plan.sync) * slow;
        let latency = latency.max(self.hung_until.saturating_sub(cx.now));
        cx.out.later.push((latency, Task::Synced));
        self.log.syncing = taken;
    }

    /// The sync is done: everything that it covers is reported at once.
    pub(crate) fn synced(&mut self, cx: &mut Context<'_>) -> Checked {
        cx.disk.sync();
        let mut persisted = None;
        for command in std::mem::take(&mut self.log.syncing) {
            match command {
                LogCommand::Persist { number, .. } => persisted = Some(number),
                LogCommand::NoteCommit(_) => {}
                LogCommand::Install { number, mark, hard_state } => {
                    cx.disk.restart_log(mark, hard_state);
                    persisted = Some(number);
                }
            }
        }
        persisted.map_or(Ok(()), |number| self.input(NodeInput::Persisted(number), cx))
    }
}
