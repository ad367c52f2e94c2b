//! The writer thread and its bounded queue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use config::LogFormat;

use crate::log::destination::Destination;
use crate::log::encode::encode;
use crate::log::line::Line;

/// Lines that may wait. Filled by every thread that logs; when full, lines are dropped and counted.
pub(crate) const QUEUE_LINES_MAX: usize = 8_192;

const LINES_BETWEEN_REPORTS: u32 = 10_000;

enum Message {
    Line(Box<Line>, SystemTime),
    Stop,
}

/// The end of the queue that threads put lines in. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    /// Lines put and not yet written. Counted up before a line is put, so that it never falls below
    /// zero.
    length: Arc<AtomicU64>,
}

/// The thread behind the queue.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Queue {
    /// Leaves a line; never waits.
    pub(crate) fn put(&self, line: Line, time: SystemTime) {
        self.length.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send(Message::Line(Box::new(line), time)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.length.fetch_sub(1, Ordering::Relaxed);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Lines put and not yet written.
    pub(crate) fn waiting(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Lines dropped or not written since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Writer {
    pub(crate) fn start(destination: Destination, format: LogFormat, lines_max: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(lines_max);
        let (dropped, length) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let output = Output {
            destination,
            format,
            dropped: Arc::clone(&dropped),
            reported: 0,
            queue_length: Arc::clone(&length),
        };
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || output.run(&receiver))?;
        Ok(Self { queue: Queue { sender, dropped, length }, thread: Some(thread) })
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Writer {
    /// Waits until every line left so far is written.
    fn drop(&mut self) {
        // Both can only fail when the thread has ended, and then nothing is left to wait for.
        let stopped = self.queue.sender.send(Message::Stop);
        if let (Ok(()), Some(thread)) = (stopped, self.thread.take()) {
            drop(thread.join());
        }
    }
}

struct Output {
    destination: Destination,
    format: LogFormat,
    dropped: Arc<AtomicU64>,
    /// Drops that were already reported.
    reported: u64,
    /// The queue's own count.
    queue_length: Arc<AtomicU64>,
}

impl Output {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut since_report = 0;
        while let Ok(message) = receiver.recv() {
            let Message::Line(line, time) = message else { return };
            if !self.write(&line, time) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            since_report += 1;
            // Reported when a flood ends; during a long one now and then, so that the report does
            // not add to it.
            if self.queue_length.fetch_sub(1, Ordering::Release) <= 1 || since_report >= LINES_BETWEEN_REPORTS {
                since_report = 0;
                self.report_dropped(time);
            }
        }
    }

    /// Every output gets the line, even when another fails. `false` when it reached none.
    fn write(&mut self, line: &Line, time: SystemTime) -> bool {
        match &mut self.destination {
            Destination::Journal(journal) => journal.tell(line).is_ok(),
            Destination::Lines(outputs) => {
                let bytes = encode(line, time, self.format);
                outputs.iter_mut().filter_map(|output| output.write(&bytes).ok()).count() > 0
            }
        }
    }

    fn report_dropped(&mut self, time: SystemTime) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > self.reported {
            let fields = vec![
                ("lines".to_owned(), (dropped - self.reported).into()),
                ("lines-in-all".to_owned(), dropped.into()),
            ];
            // When even this reaches no output, it is said again with the next drops.
            if self.write(&Line::about_log("dropped log lines", fields), time) {
                self.reported = dropped;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::log::destination::LineOutput;
    use crate::log::line::LineLevel;
    use crate::log::rotation::open_append;

    fn line(message: &str) -> Line {
        Line {
            level: LineLevel::Info,
            file: "a/b.rs".to_owned(),
            line: 1,
            message: message.to_owned(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn every_line_left_before_the_end_is_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let outputs = Destination::Lines(vec![LineOutput::File(open_append(&path).unwrap())]);
        let writer = Writer::start(outputs, LogFormat::Console, 1_000).unwrap();
        for n in 0..500 {
            writer.queue().put(line(&n.to_string()), UNIX_EPOCH);
        }
        while writer.queue().waiting() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 500, "nothing waits, so all is written");
        drop(writer);
        let text = fs::read_to_string(&path).unwrap();
        let numbers: Vec<_> =
            text.lines().map(|line| line.rsplit('\t').next().unwrap().parse::<u32>().unwrap()).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_drops_counts_and_reports() {
        let (sender, receiver) = sync_channel(2);
        let queue = Queue { sender, dropped: Arc::default(), length: Arc::default() };
        for n in 0..5 {
            queue.put(line(&n.to_string()), UNIX_EPOCH);
        }
        assert_eq!(queue.dropped(), 3);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let destination = Destination::Lines(vec![LineOutput::File(open_append(&path).unwrap())]);
        let output = Output {
            destination,
            format: LogFormat::Console,
            dropped: Arc::clone(&queue.dropped),
            reported: 0,
            queue_length: Arc::clone(&queue.length),
        };
        drop(queue);
        output.run(&receiver);
        let text = fs::read_to_string(&path).unwrap();
        let messages: Vec<_> = text.lines().map(|line| line.split('\t').nth(3).unwrap()).collect();
        assert_eq!(messages, ["0", "1", "dropped log lines"]);
        assert!(text.contains(r#"{"lines": 3, "lines-in-all": 3}"#), "{text}");
    }

    #[test]
    fn a_line_that_reaches_no_output_counts_as_dropped() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let writer = Writer::start(Destination::Lines(vec![LineOutput::File(full)]), LogFormat::Json, 10).unwrap();
        let queue = writer.queue().clone();
        queue.put(line("x"), UNIX_EPOCH);
        drop(writer);
        assert_eq!(queue.dropped(), 1);
    }
}
