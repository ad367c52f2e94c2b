//! get, put, del, compaction.

use super::keys::{Keys, signed};
use super::print::{Format, Printer, quoted, say, tell};
use super::trouble::{Exit, Trouble};
use super::words::{CompactionWords, DelWords, GetWords, PutWords};
use super::{Ctl, one};
use crate::client::Repeat;
use bytes::Bytes;
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

pub(super) async fn get(ctl: &Ctl, words: &GetWords) -> Result<(), Trouble> {
    let request = range_request(words)?;
    let answer = if words.stream {
        stream(ctl, request).await?
    } else {
        ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?
    };
    if words.count_only && ctl.printer.format != Format::Fields {
        return Err(Trouble::arguments("--count-only is only for `--write-out=fields`"));
    }
    if words.print_value_only && ctl.printer.format != Format::Simple {
        return Err(Trouble::arguments("print-value-only is only for `--write-out=simple`"));
    }
    let printer = Printer { value_only: words.print_value_only, ..ctl.printer };
    printer.show(&answer)
}

/// The parts of an answer as one.
async fn stream(ctl: &Ctl, request: RangeRequest) -> Result<RangeResponse, Trouble> {
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
pub(super) fn range_request(words: &GetWords) -> Result<RangeRequest, Trouble> {
    if words.args.is_empty() {
        return Err(Trouble::arguments("get command needs one argument as key and an optional argument as range_end"));
    }
    if words.prefix && words.from_key {
        return Err(Trouble::arguments(CHOOSE_RANGE));
    }
    if words.keys_only && words.count_only {
        return Err(Trouble::arguments("`--keys-only` and `--count-only` cannot be set at the same time, choose one"));
    }
    let serializable = match words.consistency.as_str() {
        "l" => false,
        "s" => true,
        other => return Err(Trouble::new(Exit::BadFeature, format!("unknown consistency flag {}", quoted(other.as_bytes())))),
    };
    if words.args.len() > 1 && (words.prefix || words.from_key) {
        return Err(Trouble::arguments(ONE_ARGUMENT));
    }
    for (least, most, what) in [(words.min_create_rev, words.max_create_rev, "Create"), (words.min_mod_rev, words.max_mod_rev, "Mod")] {
        if most > 0 && least > most {
            return Err(Trouble::new(Exit::BadFeature, format!("getMin{what}Rev(={least}) > getMax{what}Rev(={most})")));
        }
    }
    let Keys { key, end } = Keys::of(&words.args, words.prefix, words.from_key);
    let (sort_order, sort_target) = (order(&words.order)?, target(&words.sort_by)?);
    Ok(RangeRequest {
        key,
        range_end: end,
        limit: words.limit,
        revision: words.rev.max(0),
        // etcd's client asks for no order where keys come in it anyway.
        sort_order: if sort_target == SortTarget::Key && sort_order == SortOrder::Ascend { SortOrder::None } else { sort_order }.into(),
        sort_target: sort_target.into(),
        serializable,
        keys_only: words.keys_only,
        count_only: words.count_only,
        min_mod_revision: words.min_mod_rev,
        max_mod_revision: words.max_mod_rev,
        min_create_revision: words.min_create_rev,
        max_create_revision: words.max_create_rev,
    })
}

fn order(text: &str) -> Result<SortOrder, Trouble> {
    match text.to_uppercase().as_str() {
        "ASCEND" => Ok(SortOrder::Ascend),
        "DESCEND" => Ok(SortOrder::Descend),
        "" => Ok(SortOrder::None),
        _ => Err(Trouble::new(Exit::BadFeature, format!("bad sort order {text}"))),
    }
}

fn target(text: &str) -> Result<SortTarget, Trouble> {
    match text.to_uppercase().as_str() {
        "CREATE" => Ok(SortTarget::Create),
        "KEY" | "" => Ok(SortTarget::Key),
        "MODIFY" => Ok(SortTarget::Mod),
        "VALUE" => Ok(SortTarget::Value),
        "VERSION" => Ok(SortTarget::Version),
        _ => Err(Trouble::new(Exit::BadFeature, format!("bad sort target {text}"))),
    }
}

pub(super) async fn put(ctl: &Ctl, words: &PutWords) -> Result<(), Trouble> {
    let request = put_request(words)?;
    let answer = ctl.client.call(Repeat::Unsafe, async |session| session.kv().put(request.clone()).await).await?;
    ctl.printer.show(&answer)
}

/// Returns the request of `put`; a missing value is read from the input.
pub(super) fn put_request(words: &PutWords) -> Result<PutRequest, Trouble> {
    const NEEDS: &str = "put command needs 1 argument and input from stdin or 2 arguments";
    let bytes = |word: &OsString| Bytes::from(word.clone().into_vec());
    let Some(key) = words.args.first() else { return Err(Trouble::arguments(NEEDS)) };
    if words.ignore_value && words.args.len() > 1 {
        return Err(Trouble::arguments("put command needs only 1 argument when 'ignore-value' is set"));
    }
    let value = match words.args.get(1) {
        _ if words.ignore_value => Bytes::new(),
        Some(value) => bytes(value),
        None => {
            let mut value = Vec::new();
            let read = std::io::stdin().read_to_end(&mut value);
            if value.is_empty() || read.is_err() {
                return Err(Trouble::arguments(NEEDS));
            }
            value.into()
        }
    };
    let lease = signed(&words.lease, 16).map_err(|error| Trouble::arguments(format!("bad lease ID ({error}), expecting ID in Hex")))?;
    let (prev_kv, ignore_value, ignore_lease) = (words.prev_kv, words.ignore_value, words.ignore_lease);
    Ok(PutRequest { key: bytes(key), value, lease, prev_kv, ignore_value, ignore_lease })
}

pub(super) async fn delete(ctl: &Ctl, words: &DelWords) -> Result<(), Trouble> {
    let request = delete_request(words).await?;
    let answer = ctl.client.call(Repeat::Unsafe, async |session| session.kv().delete_range(request.clone()).await).await?;
    ctl.printer.show(&answer)
}

/// Returns the request of `del`; an implicit range may be interrupted for a while.
pub(super) async fn delete_request(words: &DelWords) -> Result<DeleteRangeRequest, Trouble> {
    if words.args.is_empty() || words.args.len() > 2 {
        return Err(Trouble::arguments("del command needs one argument as key and an optional argument as range_end"));
    }
    if words.prefix && words.from_key {
        return Err(Trouble::arguments(CHOOSE_RANGE));
    }
    if words.args.len() > 1 {
        if words.prefix || words.from_key {
            return Err(Trouble::arguments(ONE_ARGUMENT));
        }
        if !words.range {
            tell(&format!(
                "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to cancel. You can provide `--range` flag to avoid the delay.",
                quoted(words.args[0].as_encoded_bytes()),
                quoted(words.args[1].as_encoded_bytes())
            ));
            tokio::time::sleep(DELETE_DELAY).await;
        }
    }
    let Keys { key, end } = Keys::of(&words.args, words.prefix, words.from_key);
    Ok(DeleteRangeRequest { key, range_end: end, prev_kv: words.prev_kv })
}

pub(super) async fn compact(ctl: &Ctl, words: &CompactionWords) -> Result<(), Trouble> {
    let revision = one(&words.args, "compaction command needs 1 argument")?;
    let revision = signed(revision, 10).map_err(Trouble::error)?;
    let request = CompactionRequest { revision, physical: words.physical };
    ctl.client.call(Repeat::Unsafe, async |session| session.kv().compact(request).await).await?;
    say(format!("compacted revision {revision}\n").as_bytes())
}
