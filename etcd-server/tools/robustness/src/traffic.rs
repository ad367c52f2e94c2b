//! Clients: they send requests, record times and outcomes, and pause.

use crate::history::{Operation, Outcome, Request, Response};
use crate::requests::Chooser;
use crate::shared_state::{Seat, SharedState};
use proto::etcdserverpb::{CompactionRequest, DefragmentRequest, LeaseKeepAliveRequest, LeaseRevokeRequest};
use rpc::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

/// Time limit of clients for a response.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);

/// Asks random things until the load ends. A pinned client asks one member only.
pub(crate) async fn client(
    shared_state: Arc<SharedState>,
    number: usize,
    seed: u64,
    pinned: Option<usize>,
) -> Vec<Operation> {
    let mut chooser = Chooser::new(seed, number);
    let mut operations = Vec::new();
    while shared_state.is_loading() {
        let think = shared_state.think().mul_f64(2.0 * chooser.random().f64());
        sleep(think).await;
        let seats = shared_state.seats();
        let seat =
            pinned.and_then(|pinned| shared_state.seat(pinned)).or_else(|| chooser.random().choice(&seats).cloned());
        let Some(seat) = seat else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let request = chooser.next();
        let operation = ask(&shared_state, number, &seat, request, REQUEST_PATIENCE).await;
        match &operation.outcome {
            Outcome::Answered(response) => chooser.learn(&operation.request, response),
            Outcome::Refused(why) if why.contains("lease not found") => {
                if let Request::Put(put) = &operation.request {
                    chooser.forget(put.lease);
                }
            }
            // A member that is not there is not asked a thousand times.
            Outcome::Unknown(_) => sleep(Duration::from_millis(20)).await,
            Outcome::Refused(_) => {}
        }
        operations.push(operation);
    }
    operations
}

/// Compacts up to where a recorder is, and defragments now and then.
pub(crate) async fn housekeeper(
    shared_state: Arc<SharedState>,
    number: usize,
    seed: u64,
    pause: Duration,
) -> Vec<Operation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut operations = Vec::new();
    while shared_state.is_loading() {
        sleep(pause.mul_f64(2.0 * random.f64())).await;
        let Some(seat) = random.choice(shared_state.seats()) else { continue };
        let defragment = random.u8(..6) == 0;
        let revision = shared_state.recorded() - if random.bool() { 0 } else { random.i64(0..40) };
        let request = if defragment {
            Request::Defragment
        } else if revision > shared_state.compacted() && revision > 0 {
            shared_state.set_compacted(revision);
            Request::Compact(CompactionRequest { revision, physical: random.u8(..4) == 0 })
        } else {
            continue;
        };
        operations.push(ask(&shared_state, number, &seat, request, REQUEST_PATIENCE * 2).await);
    }
    operations
}

/// One request, with all that is to be known of it.
pub(crate) async fn ask(
    shared_state: &SharedState,
    client: usize,
    seat: &Seat,
    request: Request,
    patience: Duration,
) -> Operation {
    let invoked = shared_state.now();
    let outcome = match timeout(patience, perform(seat, &request)).await {
        Err(_) => Outcome::Unknown("no answer in time".to_owned()),
        Ok(Err(status)) if is_definite(&status) => Outcome::Refused(status.message().to_owned()),
        Ok(Err(status)) => Outcome::Unknown(format!("{:?}: {}", status.code(), status.message())),
        Ok(Ok(response)) => {
            shared_state.count_answer();
            Outcome::Answered(response)
        }
    };
    Operation { client, member: seat.member, life: seat.life, invoked, returned: shared_state.now(), request, outcome }
}

/// Returns `true` if the state itself, or the door in front of it, said no.
fn is_definite(status: &Status) -> bool {
    let codes =
        [Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::OutOfRange, Code::ResourceExhausted];
    codes.contains(&status.code()) && status.message().starts_with("etcdserver: ")
}

async fn perform(seat: &Seat, request: &Request) -> Result<Response, Status> {
    let mut kv = KvClient::new(seat.channel.clone());
    let mut leases = LeaseClient::new(seat.channel.clone());
    Ok(match request.clone() {
        Request::Range(request) => Response::Range(kv.range(request).await?.into_inner()),
        Request::Put(request) => Response::Put(kv.put(request).await?.into_inner()),
        Request::Delete(request) => Response::Delete(kv.delete_range(request).await?.into_inner()),
        Request::Txn(request) => Response::Txn(kv.txn(request).await?.into_inner()),
        Request::Grant(request) => Response::Grant(leases.lease_grant(request).await?.into_inner()),
        Request::KeepAlive(id) => {
            let asked = tokio_stream::iter([LeaseKeepAliveRequest { id }]);
            let answered = leases.lease_keep_alive(asked).await?.into_inner().message().await?;
            Response::KeepAlive(answered.ok_or_else(|| Status::unknown("no answer"))?)
        }
        Request::Revoke(id) => Response::Revoke(leases.lease_revoke(LeaseRevokeRequest { id }).await?.into_inner()),
        Request::Compact(request) => Response::Compact(kv.compact(request).await?.into_inner()),
        Request::Defragment => {
            MaintenanceClient::new(seat.channel.clone()).defragment(DefragmentRequest {}).await?;
            Response::Defragment
        }
    })
}
