//! Handshakes in progress: a bounded number, of which the oldest gives way.
//!
//! An honest client is done within milliseconds; the one that has been silent for longest is
//! dropped when another one comes. So a flood of connections that never finish costs a bounded
//! number of descriptors and keeps no client out.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct HandshakeLimiter {
    places: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A place; leaving gives it up.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    room: &'a HandshakeLimiter,
    number: u64,
    asked_out: oneshot::Receiver<()>,
}

impl HandshakeLimiter {
    pub(crate) fn new(places: usize) -> Self {
        Self { places, inside: Mutex::default() }
    }

    /// Takes a place, if need be that of the oldest handshake.
    pub(crate) fn enter(&self) -> Place<'_> {
        let (keep, asked_out) = oneshot::channel();
        let mut inside = self.inside.lock();
        let number = inside.next;
        inside.next += 1;
        if inside.waiting.len() >= self.places {
            // Dropping its sender notifies it.
            inside.waiting.pop_first();
        }
        inside.waiting.insert(number, keep);
        Place { room: self, number, asked_out }
    }
}

impl Place<'_> {
    /// Completes when another handshake needs the place.
    pub(crate) async fn asked_out(&mut self) {
        // Nothing is ever sent; the sender is dropped.
        drop((&mut self.asked_out).await);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.inside.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let room = HandshakeLimiter::new(2);
        let (mut first, mut second) = (room.enter(), room.enter());
        let _third = room.enter();
        first.asked_out().await;
        tokio::select! {
            biased;
            () = second.asked_out() => panic!("the second may stay"),
            () = std::future::ready(()) => {}
        }
        drop(second);
        let _fourth = room.enter();
        assert_eq!(room.inside.lock().waiting.len(), 2);
    }
}
