//! Places for responses that occupy the server for as long as their clients take to read them:
//! ranges above 1 MiB, and backups.
//!
//! A connection and a user hold only a part of the places. A client that reads slower than a
//! minimum, over the whole of its response, is cut off. When no place is free, the slowest client
//! below a fair speed has to make room, so that slow clients cannot keep others waiting; a request
//! that still finds no place in time fails with etcd's text for an overload.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// Time between two checks of the speeds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Bounds of one kind of response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Responses at a time.
    pub(crate) response_slots: usize,
    /// Of these, for one connection.
    pub(crate) per_connection: usize,
    /// And for one user.
    pub(crate) per_user: usize,
    /// Longest time that a request waits for a place.
    pub(crate) wait_max: Duration,
    /// Below this speed a response is ended, once it has lasted for `grace`. In bytes per second,
    /// over the whole response.
    pub(crate) speed_min: u64,
    pub(crate) grace: Duration,
    /// Below this speed a response is ended when another waits for its place, once it has lasted
    /// for `fair_grace`.
    pub(crate) fair_speed: u64,
    pub(crate) fair_grace: Duration,
}

/// Large ranges. A place costs two parts of the response, half a MiB.
pub(crate) const LARGE_RANGES: Rules = Rules {
    response_slots: 400,
    per_connection: 100,
    per_user: 200,
    wait_max: Duration::from_secs(30),
    speed_min: 64 << 10,
    grace: Duration::from_secs(60),
    fair_speed: 1 << 20,
    fair_grace: Duration::from_secs(5),
};

/// Backups. A place costs a thread, and room on disk for the external sort.
pub(crate) const BACKUPS: Rules = Rules { response_slots: 8, per_connection: 4, per_user: 6, ..LARGE_RANGES };

/// The places of one kind.
#[derive(Debug)]
pub(crate) struct ResponseSlots {
    rules: Rules,
    free: Arc<Semaphore>,
    users: Mutex<HashMap<String, Weak<Semaphore>>>,
    held: Mutex<HashMap<u64, Arc<ReadSpeed>>>,
    next: AtomicU64,
}

/// The places that one connection may hold; an extension of its requests.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionShare {
    large_ranges: Arc<Semaphore>,
    backups: Arc<Semaphore>,
}

impl Default for ConnectionShare {
    fn default() -> Self {
        let share = |rules: Rules| Arc::new(Semaphore::new(rules.per_connection));
        Self { large_ranges: share(LARGE_RANGES), backups: share(BACKUPS) }
    }
}

impl ConnectionShare {
    pub(crate) fn large_ranges(&self) -> &Arc<Semaphore> {
        &self.large_ranges
    }

    pub(crate) fn backups(&self) -> &Arc<Semaphore> {
        &self.backups
    }
}

/// The speed at which a response is read.
#[derive(Debug)]
pub(crate) struct ReadSpeed {
    begun: Instant,
    sent_bytes: AtomicU64,
    /// Notified once another needs the place.
    evicted: Notify,
}

impl ReadSpeed {
    fn speed(&self) -> u64 {
        let elapsed = self.begun.elapsed().as_secs_f64().max(0.001);
        // The number of sent bytes is far below the exact range of a float.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rough speed"
        )]
        let speed = (self.sent_bytes.load(Ordering::Relaxed) as f64 / elapsed) as u64;
        speed
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct ResponseSlot {
    response_slots: Arc<ResponseSlots>,
    id: u64,
    pace: Arc<ReadSpeed>,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl ResponseSlot {
    /// The client has taken so many bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        self.pace.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns `true` if the client takes the response at a fair speed.
    pub(crate) fn is_fast(&self) -> bool {
        self.pace.begun.elapsed() < LOOK_INTERVAL || self.pace.speed() >= self.response_slots.rules.fair_speed
    }

    /// Returns once the client is too slow to keep the place.
    pub(crate) async fn too_slow(&self) {
        let rules = self.response_slots.rules;
        let below_minimum = async {
            while self.pace.begun.elapsed() < rules.grace || self.pace.speed() >= rules.speed_min {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = self.pace.evicted.notified() => {}
            () = below_minimum => {}
        }
        tracing::warn!(speed = self.pace.speed(), "ended a large response: its client reads too slowly");
    }
}

impl Drop for ResponseSlot {
    fn drop(&mut self) {
        self.response_slots.held.lock().remove(&self.id);
    }
}

/// etcd's text for an overload.
pub(crate) fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

impl ResponseSlots {
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(rules.response_slots));
        Arc::new(Self { rules, free, users: Mutex::default(), held: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Waits for a place, in the order of requests. `connection` is `None` for a request that came
    /// by way of the JSON gateway.
    ///
    /// # Errors
    /// ResourceExhausted when none comes free in time.
    pub(crate) async fn take(
        self: &Arc<Self>,
        connection: Option<&Arc<Semaphore>>,
        user: &str,
    ) -> Result<ResponseSlot, Status> {
        let shares = connection.cloned().into_iter().chain(self.share_of(user));
        let taking = async {
            let mut permits = Vec::new();
            for share in shares.chain([Arc::clone(&self.free)]) {
                permits.push(self.permit(share, 1).await);
            }
            permits
        };
        let permits = tokio::time::timeout(self.rules.wait_max, taking).await.map_err(|_| too_many_requests())?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let pace = Arc::new(ReadSpeed { begun: Instant::now(), sent_bytes: AtomicU64::new(0), evicted: Notify::new() });
        self.held.lock().insert(id, Arc::clone(&pace));
        Ok(ResponseSlot {
            response_slots: Arc::clone(self),
            id,
            pace,
            _permits: permits.into_iter().flatten().collect(),
        })
    }

    /// Waits for room in a budget of bytes that responses with places hold; at most `wait_max`.
    pub(crate) async fn reserve(&self, budget: &Arc<Semaphore>, units: u32) -> Result<OwnedSemaphorePermit, Status> {
        let reserving = self.permit(Arc::clone(budget), units);
        tokio::time::timeout(self.rules.wait_max, reserving).await.ok().flatten().ok_or_else(too_many_requests)
    }

    /// Waits for `units` of a share, and makes room meanwhile; `None` only if the semaphore were
    /// closed, which it never is.
    async fn permit(&self, share: Arc<Semaphore>, units: u32) -> Option<OwnedSemaphorePermit> {
        let mut acquired = std::pin::pin!(share.acquire_many_owned(units));
        loop {
            tokio::select! {
                biased;
                permit = &mut acquired => return permit.ok(),
                () = self.make_room() => {}
            }
        }
    }

    /// Ends the slowest response below the fair speed, and leaves it some time to go.
    async fn make_room(&self) {
        let slowest = {
            let held = self.held.lock();
            let aged = held
                .values()
                .filter(|pace| pace.begun.elapsed() >= self.rules.fair_grace)
                .map(|pace| (pace.speed(), pace));
            aged.filter(|(speed, _)| *speed < self.rules.fair_speed)
                .min_by_key(|(speed, _)| *speed)
                .map(|(_, pace)| Arc::clone(pace))
        };
        if let Some(slowest) = slowest {
            slowest.evicted.notify_one();
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }

    /// The places that a user may hold; `None` for a client without a name.
    fn share_of(&self, user: &str) -> Option<Arc<Semaphore>> {
        if user.is_empty() {
            return None;
        }
        let mut users = self.users.lock();
        if let Some(share) = users.get(user).and_then(Weak::upgrade) {
            return Some(share);
        }
        users.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.rules.per_user));
        users.insert(user.to_owned(), Arc::downgrade(&share));
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    const RULES: Rules = Rules {
        response_slots: 3,
        per_connection: 2,
        per_user: 2,
        wait_max: Duration::from_millis(50),
        speed_min: 1,
        grace: Duration::from_secs(3600),
        fair_speed: 1 << 30,
        fair_grace: Duration::from_secs(3600),
    };

    #[tokio::test]
    async fn refuses_more_than_connection_user_or_total_may_hold() {
        let response_slots = ResponseSlots::new(RULES);
        let connection = Arc::new(Semaphore::new(RULES.per_connection));
        let own = [
            response_slots.take(Some(&connection), "").await.unwrap(),
            response_slots.take(Some(&connection), "").await.unwrap(),
        ];
        let refused = response_slots.take(Some(&connection), "").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "etcdserver: too many requests"));
        let other = response_slots.take(None, "user").await.unwrap();
        assert_eq!(response_slots.take(None, "another").await.unwrap_err().code(), Code::ResourceExhausted);
        drop(own);
        let second = response_slots.take(None, "user").await.unwrap();
        assert_eq!(response_slots.take(None, "user").await.unwrap_err().code(), Code::ResourceExhausted);
        drop((other, second));
        response_slots.take(None, "user").await.unwrap();
    }

    #[tokio::test]
    async fn ends_the_slowest_response_when_another_waits() {
        let response_slots = ResponseSlots::new(Rules {
            response_slots: 2,
            wait_max: Duration::from_secs(30),
            fair_grace: Duration::ZERO,
            ..RULES
        });
        let (slow, fast) = (response_slots.take(None, "").await.unwrap(), response_slots.take(None, "").await.unwrap());
        fast.sent(1 << 20);
        let leaving = tokio::spawn(async move { slow.too_slow().await });
        let newcomer = response_slots.take(None, "").await.unwrap();
        leaving.await.unwrap();
        assert!(
            response_slots.held.lock().contains_key(&fast.id) && response_slots.held.lock().contains_key(&newcomer.id)
        );
    }

    #[tokio::test]
    async fn ends_a_response_below_the_minimum_speed() {
        let response_slots = ResponseSlots::new(Rules { grace: Duration::ZERO, ..RULES });
        response_slots.take(None, "").await.unwrap().too_slow().await;
    }
}
