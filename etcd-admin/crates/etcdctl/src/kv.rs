//! get, put, del, compaction.

use crate::args::{CompactionArgs, DelArgs, GetArgs, PutArgs};
use crate::context::{Ctl, one};
use crate::error::{CtlError, Exit};
use crate::keys::Keys;
use crate::print::{Format, Printer, say, tell};
use admin_client::Repeat;
use admin_ui::go_flags::signed;
use bytes::Bytes;
use go_text::quoted;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse};
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;
use tonic::Response;

const CHOOSE_RANGE: &str = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
const ONE_ARGUMENT: &str = "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";
/// Time to think again about a range that is to be deleted.
const DELETE_DELAY: Duration = Duration::from_secs(2);

pub(super) async fn get(ctl: &Ctl, args: &GetArgs) -> Result<(), CtlError> {
    let request = range_request(args)?;
    let response = if args.stream {
        stream(ctl, request).await?
    } else {
        ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?
    };
    if args.count_only && ctl.printer.format != Format::Fields {
        return Err(CtlError::arguments("--count-only is only for `--write-out=fields`"));
    }
    if args.print_value_only && ctl.printer.format != Format::Simple {
        return Err(CtlError::arguments("print-value-only is only for `--write-out=simple`"));
    }
    let printer = Printer { value_only: args.print_value_only, ..ctl.printer };
    printer.show(&response)
}

/// The parts of an answer as one.
async fn stream(ctl: &Ctl, request: RangeRequest) -> Result<RangeResponse, CtlError> {
    let gathered = ctl.client.call(Repeat::Safe, async |session| {
        let mut parts = session.kv().range_stream(request.clone()).await?.into_inner();
        let mut whole = RangeResponse::default();
        while let Some(part) = parts.message().await? {
            let part = part.range_response.unwrap_or_default();
            whole.kvs.extend(part.kvs);
            whole.header = part.header.or(whole.header);
            whole.more |= part.more;
            whole.count = whole.count.max(part.count);
        }
        Ok(Response::new(whole))
    });
    Ok(gathered.await?)
}

/// Returns the request of `get`.
pub(super) fn range_request(args: &GetArgs) -> Result<RangeRequest, CtlError> {
    if args.args.is_empty() {
        return Err(CtlError::arguments("get command needs one argument as key and an optional argument as range_end"));
    }
    if args.prefix && args.from_key {
        return Err(CtlError::arguments(CHOOSE_RANGE));
    }
    if args.keys_only && args.count_only {
        return Err(CtlError::arguments("`--keys-only` and `--count-only` cannot be set at the same time, choose one"));
    }
    let serializable = match args.consistency.as_str() {
        "l" => false,
        "s" => true,
        other => {
            return Err(CtlError::new(
                Exit::BadFeature,
                format!("unknown consistency flag {}", quoted(other.as_bytes())),
            ));
        }
    };
    if args.args.len() > 1 && (args.prefix || args.from_key) {
        return Err(CtlError::arguments(ONE_ARGUMENT));
    }
    for (least, most, what) in
        [(args.min_create_rev, args.max_create_rev, "Create"), (args.min_mod_rev, args.max_mod_rev, "Mod")]
    {
        if most > 0 && least > most {
            return Err(CtlError::new(
                Exit::BadFeature,
                format!("getMin{what}Rev(={least}) > getMax{what}Rev(={most})"),
            ));
        }
    }
    let Keys { key, end } = Keys::of(&args.args, args.prefix, args.from_key);
    let (sort_order, sort_target) = (order(&args.order)?, target(&args.sort_by)?);
    Ok(RangeRequest {
        key,
        range_end: end,
        limit: args.limit,
        revision: args.rev.max(0),
        // etcd's client asks for no order where keys come in it anyway.
        sort_order: if sort_target == SortTarget::Key && sort_order == SortOrder::Ascend {
            SortOrder::None
        } else {
            sort_order
        }
        .into(),
        sort_target: sort_target.into(),
        serializable,
        keys_only: args.keys_only,
        count_only: args.count_only,
        min_mod_revision: args.min_mod_rev,
        max_mod_revision: args.max_mod_rev,
        min_create_revision: args.min_create_rev,
        max_create_revision: args.max_create_rev,
    })
}

fn order(text: &str) -> Result<SortOrder, CtlError> {
    match text.to_uppercase().as_str() {
        "ASCEND" => Ok(SortOrder::Ascend),
        "DESCEND" => Ok(SortOrder::Descend),
        "" => Ok(SortOrder::None),
        _ => Err(CtlError::new(Exit::BadFeature, format!("bad sort order {text}"))),
    }
}

fn target(text: &str) -> Result<SortTarget, CtlError> {
    match text.to_uppercase().as_str() {
        "CREATE" => Ok(SortTarget::Create),
        "KEY" | "" => Ok(SortTarget::Key),
        "MODIFY" => Ok(SortTarget::Mod),
        "VALUE" => Ok(SortTarget::Value),
        "VERSION" => Ok(SortTarget::Version),
        _ => Err(CtlError::new(Exit::BadFeature, format!("bad sort target {text}"))),
    }
}

pub(super) async fn put(ctl: &Ctl, args: &PutArgs) -> Result<(), CtlError> {
    let request = put_request(args)?;
    let response = ctl.client.call(Repeat::Unsafe, async |session| session.kv().put(request.clone()).await).await?;
    ctl.printer.show(&response)
}

/// Returns the request of `put`; a missing value is read from the input.
pub(super) fn put_request(args: &PutArgs) -> Result<PutRequest, CtlError> {
    const NEEDS: &str = "put command needs 1 argument and input from stdin or 2 arguments";
    let bytes = |arg: &OsString| Bytes::from(arg.clone().into_vec());
    let Some(key) = args.args.first() else { return Err(CtlError::arguments(NEEDS)) };
    if args.ignore_value && args.args.len() > 1 {
        return Err(CtlError::arguments("put command needs only 1 argument when 'ignore-value' is set"));
    }
    let value = match args.args.get(1) {
        _ if args.ignore_value => Bytes::new(),
        Some(value) => bytes(value),
        None => {
            let mut value = Vec::new();
            let read = std::io::stdin().read_to_end(&mut value);
            if value.is_empty() || read.is_err() {
                return Err(CtlError::arguments(NEEDS));
            }
            value.into()
        }
    };
    let lease = signed(&args.lease, 16)
        .map_err(|error| CtlError::arguments(format!("bad lease ID ({error}), expecting ID in Hex")))?;
    let (prev_kv, ignore_value, ignore_lease) = (args.prev_kv, args.ignore_value, args.ignore_lease);
    Ok(PutRequest { key: bytes(key), value, lease, prev_kv, ignore_value, ignore_lease })
}

pub(super) async fn delete(ctl: &Ctl, args: &DelArgs) -> Result<(), CtlError> {
    let request = delete_request(args).await?;
    let response =
        ctl.client.call(Repeat::Unsafe, async |session| session.kv().delete_range(request.clone()).await).await?;
    ctl.printer.show(&response)
}

/// Returns the request of `del`; an implicit range may be interrupted for a while.
pub(super) async fn delete_request(args: &DelArgs) -> Result<DeleteRangeRequest, CtlError> {
    if args.args.is_empty() || args.args.len() > 2 {
        return Err(CtlError::arguments("del command needs one argument as key and an optional argument as range_end"));
    }
    if args.prefix && args.from_key {
        return Err(CtlError::arguments(CHOOSE_RANGE));
    }
    if args.args.len() > 1 {
        if args.prefix || args.from_key {
            return Err(CtlError::arguments(ONE_ARGUMENT));
        }
        if !args.range {
            tell(&format!(
                "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to cancel. You can provide `--range` flag to avoid the delay.",
                quoted(args.args[0].as_encoded_bytes()),
                quoted(args.args[1].as_encoded_bytes())
            ));
            tokio::time::sleep(DELETE_DELAY).await;
        }
    }
    let Keys { key, end } = Keys::of(&args.args, args.prefix, args.from_key);
    Ok(DeleteRangeRequest { key, range_end: end, prev_kv: args.prev_kv })
}

pub(super) async fn compact(ctl: &Ctl, args: &CompactionArgs) -> Result<(), CtlError> {
    let revision = one(&args.args, "compaction command needs 1 argument")?;
    let revision = signed(revision, 10).map_err(CtlError::error)?;
    let request = CompactionRequest { revision, physical: args.physical };
    ctl.client.call(Repeat::Unsafe, async |session| session.kv().compact(request).await).await?;
    say(format!("compacted revision {revision}\n").as_bytes())
}
