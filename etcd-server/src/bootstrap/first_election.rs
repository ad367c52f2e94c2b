//! The first election after a start need not wait for a whole timeout: nothing has been heard of a
//! leader before either.

use peer::Transport;
use replica::Replica;
use std::sync::Arc;
use std::time::Duration;

/// As long as etcd waits for other members to connect, and how often it looks.
const LOOKS: u32 = 100;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Brings the election of this member forward once more than one other member is connected, as etcd
/// does, so that a vote would be heard. A member that is alone has no need of it: it elects itself
/// at once.
pub(crate) async fn bring_forward(replica: Arc<Replica>, transport: Transport) {
    for _ in 0..LOOKS {
        if replica.published().raft_status().leader != 0 {
            return;
        }
        if transport.active().len() > 1 {
            replica.bring_election_forward();
            return;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
