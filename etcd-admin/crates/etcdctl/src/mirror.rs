//! make-mirror: the present keys, then their changes, into another cluster.

use crate::args::MirrorArgs;
use crate::context::Ctl;
use crate::error::{CtlError, Exit};
use crate::keys::prefix_end;
use crate::print::say;
use admin_client::{CallError, Client, ConnectionArgs, Local, Repeat, Settings, is_lost, require_leader};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchRequest,
};
use proto::mvccpb::{Event, event::EventType};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys that are copied together.
const PAGE: i64 = 1000;
const REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// The names of keys at the destination.
struct Naming {
    prefix: Bytes,
    /// In place of the prefix.
    replacement: Option<Bytes>,
}

impl Naming {
    fn rename(&self, key: &Bytes) -> Bytes {
        match &self.replacement {
            Some(replacement) => [replacement, key.strip_prefix(&self.prefix[..]).unwrap_or(key)].concat().into(),
            None => key.clone(),
        }
    }
}

pub(super) async fn mirror(ctl: &Ctl, args: &MirrorArgs) -> Result<(), CtlError> {
    let [destination] = args.args.as_slice() else {
        return Err(CtlError::arguments("make-mirror takes one destination argument"));
    };
    if !args.dest_prefix.is_empty() && args.no_dest_prefix {
        return Err(CtlError::arguments(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
        ));
    }
    let destination = Client::new(settings(args, destination)?)?;
    let replacement =
        (args.no_dest_prefix || !args.dest_prefix.is_empty()).then(|| Bytes::from(args.dest_prefix.clone()));
    let naming = Naming { prefix: Bytes::from(args.prefix.clone()), replacement };
    let total = Cell::new(0_u64);
    let mirroring = async {
        let next = if args.rev > 0 { args.rev } else { copy(ctl, &destination, &naming, &total).await? + 1 };
        follow(ctl, &destination, &naming, next, usize::try_from(args.max_txn_ops).unwrap_or(usize::MAX).max(1), &total)
            .await
    };
    let reporting = async {
        loop {
            tokio::time::sleep(REPORT_INTERVAL).await;
            say(format!("{}\n", total.get()).as_bytes())?;
        }
    };
    tokio::select! {
        ended = mirroring => ended,
        ended = reporting => ended,
    }
}

fn settings(args: &MirrorArgs, destination: &str) -> Result<Settings, CtlError> {
    let args = ConnectionArgs {
        endpoints: Some(vec![destination.to_owned()]),
        cacert: args.dest_cacert.clone(),
        cert: args.dest_cert.clone(),
        key: args.dest_key.clone(),
        insecure_transport: args.dest_insecure_transport,
        user: args.dest_user.clone(),
        password: args.dest_password.clone(),
        ..ConnectionArgs::default()
    };
    let ask = || rpassword::prompt_password("Destination Password: ").map_err(|error| error.to_string());
    Settings::of(&args, &BTreeMap::new(), Local::Ignored, ask).map_err(|error| CtlError::arguments(error.to_string()))
}

/// All keys and their end.
fn range(naming: &Naming) -> (Bytes, Bytes) {
    match naming.prefix.is_empty() {
        true => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        false => (naming.prefix.clone(), prefix_end(&naming.prefix).into()),
    }
}

/// Copies the present keys; returns their revision.
async fn copy(ctl: &Ctl, destination: &Client, naming: &Naming, total: &Cell<u64>) -> Result<i64, CtlError> {
    let (mut key, range_end) = range(naming);
    let mut revision = 0;
    loop {
        let request =
            RangeRequest { key, range_end: range_end.clone(), limit: PAGE, revision, ..RangeRequest::default() };
        let page = ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?;
        if revision == 0 {
            revision = page.header.as_ref().map_or(0, |header| header.revision);
        }
        for kv in &page.kvs {
            let put = PutRequest { key: naming.rename(&kv.key), value: kv.value.clone(), ..PutRequest::default() };
            destination.call(Repeat::Safe, async |session| session.kv().put(put.clone()).await).await?;
            total.set(total.get() + 1);
        }
        match page.kvs.last().filter(|_| page.more) {
            Some(last) => key = [&last.key[..], b"\0"].concat().into(),
            None => return Ok(revision),
        }
    }
}

/// Follows the changes from a revision on. Those of one revision go into one transaction, if it may
/// be as large.
async fn follow(
    ctl: &Ctl,
    destination: &Client,
    naming: &Naming,
    mut next: i64,
    requests_max: usize,
    total: &Cell<u64>,
) -> Result<(), CtlError> {
    let (key, range_end) = range(naming);
    let mut was_open = false;
    loop {
        let session = ctl.client.session_of_stream(was_open).await?;
        let create = WatchCreateRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            start_revision: next,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (requests, queue) = tokio::sync::mpsc::channel(1);
        drop(requests.send(request).await);
        let queue = tokio_stream::wrappers::ReceiverStream::new(queue);
        let mut responses = match session.watch().watch(require_leader(queue)).await {
            Ok(opened) => opened.into_inner(),
            Err(status) if was_open || is_lost(&status) => {
                ctl.client.leave_and_pause().await;
                continue;
            }
            Err(status) => return Err(CallError::Status { endpoint: session.endpoint().to_owned(), status }.into()),
        };
        was_open = true;
        while let Ok(Some(response)) = responses.message().await {
            if response.canceled {
                let reason = if response.compact_revision > 0 {
                    "etcdserver: mvcc: required revision has been compacted"
                } else {
                    &response.cancel_reason
                };
                return Err(CtlError::new(Exit::Error, reason));
            }
            for of_one_revision in response.events.chunk_by(|a, b| revision_of(a) == revision_of(b)) {
                for part in of_one_revision.chunks(requests_max) {
                    let success = part.iter().map(|event| operation(event, naming)).collect();
                    let txn = TxnRequest { success, ..TxnRequest::default() };
                    destination.call(Repeat::Safe, async |session| session.kv().txn(txn.clone()).await).await?;
                    total.set(total.get() + part.len() as u64);
                }
                next = of_one_revision.last().map_or(next, |event| revision_of(event) + 1);
            }
        }
        ctl.client.leave_and_pause().await;
    }
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn operation(event: &Event, naming: &Naming) -> RequestOp {
    let kv = event.kv.clone().unwrap_or_default();
    let key = naming.rename(&kv.key);
    let request = match event.r#type() {
        EventType::Put => Request::RequestPut(PutRequest { key, value: kv.value, ..PutRequest::default() }),
        EventType::Delete => Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
    };
    RequestOp { request: Some(request) }
}
