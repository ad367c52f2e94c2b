//! Between the hub and a stream's socket: responses of the hub, and the number of their bytes that
//! have left.
//!
//! Not bounded by itself: the hub counts its responses until they are collected here as drained,
//! and returns no more than its bounds.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use watch::Output;

#[derive(Debug, Default)]
struct QueuedResponse {
    outputs: VecDeque<Output>,
    reader: Option<Waker>,
    is_closed: bool,
}

/// One stream's answers. Filled by the watch thread, emptied by the stream.
#[derive(Debug)]
pub(crate) struct ResponseQueue {
    mail: Mutex<QueuedResponse>,
    drained_bytes: AtomicUsize,
    /// `true` if the watch thread was notified that there is something to collect.
    is_told: AtomicBool,
    /// Events of all streams that no stream has taken for sending.
    pending_events: Arc<AtomicUsize>,
}

impl ResponseQueue {
    /// An empty outlet that adds its events to `pending_events`.
    pub(crate) fn new(pending_events: Arc<AtomicUsize>) -> Self {
        Self {
            mail: Mutex::default(),
            drained_bytes: AtomicUsize::new(0),
            is_told: AtomicBool::new(false),
            pending_events,
        }
    }

    /// Takes `outputs`, which leave the queue, off the number of pending events.
    pub(crate) fn leave<'a>(&self, outputs: impl IntoIterator<Item = &'a Output>) {
        let events: usize = outputs.into_iter().map(Output::event_count).sum();
        self.pending_events.fetch_sub(events, Ordering::Relaxed);
    }

    /// Hands answers to the stream.
    pub(crate) fn push(&self, outputs: impl IntoIterator<Item = Output>) {
        let mut mail = self.mail.lock();
        let before = mail.outputs.len();
        mail.outputs.extend(outputs);
        // Counted while the stream cannot take them yet, so that the number never falls below zero.
        let events: usize = mail.outputs.iter().skip(before).map(Output::event_count).sum();
        self.pending_events.fetch_add(events, Ordering::Relaxed);
        let reader = mail.reader.take();
        drop(mail);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// There will be no more answers.
    pub(crate) fn close(&self) {
        self.mail.lock().is_closed = true;
        self.push([]);
    }

    /// Moves all waiting responses to the end of `taken`, or registers the caller's waker. Ready
    /// without any means that none will follow.
    pub(crate) fn poll_take(&self, taken: &mut VecDeque<Output>, context: &Context<'_>) -> Poll<()> {
        let mut mail = self.mail.lock();
        if mail.outputs.is_empty() && !mail.is_closed {
            mail.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if taken.is_empty() {
            std::mem::swap(taken, &mut mail.outputs);
        } else {
            taken.append(&mut mail.outputs);
        }
        Poll::Ready(())
    }

    /// Adds bytes that have left. Returns the number of bytes to be collected.
    pub(crate) fn add_drained(&self, bytes: usize) -> usize {
        self.drained_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes
    }

    /// Returns `true` if the watch thread is still to be notified that there is something to
    /// collect; it counts as notified then.
    pub(crate) fn is_to_be_told(&self) -> bool {
        !self.is_told.swap(true, Ordering::SeqCst)
    }

    /// Returns the bytes that have left since the last call.
    pub(crate) fn collect(&self) -> usize {
        // In this order nothing is lost: bytes added after the second line are reported again.
        self.is_told.store(false, Ordering::SeqCst);
        self.drained_bytes.swap(0, Ordering::SeqCst)
    }
}

impl Drop for ResponseQueue {
    fn drop(&mut self) {
        let outputs = std::mem::take(&mut self.mail.get_mut().outputs);
        self.leave(&outputs);
    }
}
