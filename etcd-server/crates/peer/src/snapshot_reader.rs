//! The body of a raft snapshot: the raft message, then the backend file. A sender that is silent or
//! too slow fails.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message as _;
use proto::raftpb::Message;
use std::time::{Duration, Instant};

/// Largest raft message before a snapshot (etcd 3.7.1).
const ENVELOPE_BYTES_MAX: u64 = 64 << 20;
/// A snapshot whose sender is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Slowest speed of a sender, in bytes per second of waiting for it. One that sends a byte now and
/// then would hold the place of every other sender for as long as it likes.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Time of waiting after which the speed is checked.
const SPEED_CHECKED_AFTER: Duration = Duration::from_secs(60);

/// The rest of a snapshot's body: the backend file.
#[derive(Debug)]
pub struct SnapshotReader {
    read: BytesMut,
    body: Incoming,
    speed: Speed,
}

/// The bytes that a sender has sent, and the time that this member has waited for them.
#[derive(Debug, Default)]
struct Speed {
    bytes: u64,
    waited: Duration,
}

impl Speed {
    /// Counts the bytes that came after `waited`.
    ///
    /// # Errors
    /// When the sender is too slow on average.
    fn add(&mut self, bytes: usize, waited: Duration) -> Result<(), String> {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited >= SPEED_CHECKED_AFTER && self.bytes < self.waited.as_secs() * BYTES_PER_SECOND_MIN {
            let Self { bytes, waited } = self;
            return Err(format!(
                "the sender is too slow: {bytes} bytes in {waited:?}, at least {BYTES_PER_SECOND_MIN} a second are expected"
            ));
        }
        Ok(())
    }
}

impl SnapshotReader {
    /// Reads a request from its beginning.
    pub(crate) fn new(body: Incoming) -> Self {
        Self { read: BytesMut::new(), body, speed: Speed::default() }
    }

    /// The next bytes of the file; nothing at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        if !self.read.is_empty() {
            return Ok(Some(self.read.split().freeze()));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let begun = Instant::now();
            let received = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let waited = begun.elapsed();
            match received {
                Err(_) => return Err(format!("the sender was silent for {SILENCE_MAX:?}")),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.speed.add(data.len(), waited)?;
                        return Ok(Some(data));
                    }
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }

    async fn fill(&mut self, length: usize) -> Result<(), String> {
        while self.read.len() < length {
            let received = self.receive().await?.ok_or("it ends too early")?;
            self.read.extend_from_slice(&received);
        }
        Ok(())
    }

    /// Reads the raft message before the file.
    pub(crate) async fn message(&mut self) -> Result<Message, String> {
        self.fill(8).await?;
        let length = self.read.get_u64();
        if length > ENVELOPE_BYTES_MAX {
            return Err(format!("a raft message of {length} bytes is larger than allowed"));
        }
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        self.fill(length).await?;
        Message::decode(self.read.split_to(length).freeze()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_senders_are_refused_after_a_minute() {
        let second = Duration::from_secs(1);
        let mut trickle = Speed::default();
        let refused = (1..=100).find(|_| trickle.add(1000, second).is_err());
        assert_eq!(refused, Some(60), "a trickle is refused once a minute was spent on it");
        let mut fast = Speed::default();
        assert!((0..1000).all(|_| fast.add(64 << 10, second).is_ok()));
        // Time that this member spends on its own disk does not count.
        let mut patient = Speed::default();
        assert!((0..1000).all(|_| patient.add(1, Duration::from_millis(1)).is_ok()));
    }
}
