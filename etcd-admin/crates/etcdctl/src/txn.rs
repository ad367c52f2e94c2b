//! txn: comparisons and operations from the input.

use crate::args::{DelArgs, GetArgs, PutArgs, TxnArgs};
use crate::context::{Ctl, none};
use crate::error::{CtlError, Exit};
use crate::keys::{self, unquote};
use crate::kv::{delete_request, put_request, range_request};
use crate::print::say;
use admin_client::Repeat;
use admin_ui::go_flags::{self, Line, as_in_go, signed};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use go_text::quoted;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, RequestOp, TxnRequest};
use std::io::BufRead;

pub(super) async fn txn(ctl: &Ctl, words: &TxnArgs) -> Result<(), CtlError> {
    none(&words.args, "txn command does not accept argument")?;
    let prompt = |text: &str| if words.interactive { say(format!("{text}\n").as_bytes()) } else { Ok(()) };
    let mut request = TxnRequest::default();
    prompt("compares:")?;
    for line in part()? {
        request.compare.push(compare(&line)?);
    }
    prompt("success requests (get, put, del):")?;
    for line in part()? {
        request.success.push(operation(&line).await?);
    }
    prompt("failure requests (get, put, del):")?;
    for line in part()? {
        request.failure.push(operation(&line).await?);
    }
    let response =
        ctl.client.call_within(None, Repeat::Unsafe, async |session| session.kv().txn(request.clone()).await).await?;
    ctl.printer.show(&response)
}

/// The lines up to an empty one. Read one at a time, so that whoever types sees what comes of each
/// part.
fn part() -> Result<Vec<String>, CtlError> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let bytes = std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| CtlError::new(Exit::InvalidInput, error.to_string()))?;
        if bytes == 0 || !line.ends_with('\n') {
            return Err(CtlError::new(Exit::InvalidInput, "EOF"));
        }
        match line.trim() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// `mod("key") > "0"`.
fn compare(line: &str) -> Result<Compare, CtlError> {
    let invalid = |text: String| CtlError::new(Exit::InvalidInput, text);
    let (target, rest) = line.split_once('(').ok_or_else(|| invalid(format!("malformed comparison: {line}")))?;
    let scanned = scan(rest);
    let Scanned { key, operator, value: Some(value) } = scanned else {
        let (key, operator) = (quoted(&scanned.key), scanned.operator);
        return Err(invalid(format!("malformed comparison: {line}; got {target}({key}) {operator} \"\"")));
    };
    let number = |radix| {
        let text = String::from_utf8_lossy(&value).into_owned();
        signed(&text, radix).map_err(|error| invalid(format!("invalid txn compare request: {line} ({error})")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number(10)?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(value.clone().into())),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        other => return Err(invalid(format!("malformed comparison: {line} (unknown target {other})"))),
    };
    let result = match operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        _ => {
            return Err(invalid(format!(
                "malformed comparison: {line} (unknown result op {operator}: =, !=, > and < are known)"
            )));
        }
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        target_union: Some(union),
        ..Compare::default()
    })
}

/// `"key") > "0"`, as far as it is there.
#[derive(Default)]
struct Scanned {
    key: Vec<u8>,
    operator: String,
    value: Option<Vec<u8>>,
}

fn scan(text: &str) -> Scanned {
    let mut scanned = Scanned::default();
    let Some((key, rest)) = unquote(text.trim_start().as_bytes()) else { return scanned };
    scanned.key = key;
    let Some(rest) = rest.strip_prefix(b")") else { return scanned };
    let rest = rest.trim_ascii_start();
    let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    scanned.operator = String::from_utf8_lossy(&rest[..length]).into_owned();
    scanned.value = unquote(rest[length..].trim_ascii_start()).map(|(value, _)| value);
    scanned
}

/// One line of a transaction.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true)]
enum Operation {
    Get(GetArgs),
    Put(PutArgs),
    Del(DelArgs),
}

async fn operation(line: &str) -> Result<RequestOp, CtlError> {
    let invalid = || CtlError::new(Exit::InvalidInput, format!("invalid txn request: {line}"));
    let words = keys::words(line).ok_or_else(invalid)?;
    if words.len() < 2 {
        return Err(CtlError::new(Exit::InvalidInput, format!("invalid txn compare request: {line}")));
    }
    let command = as_in_go(Operation::command());
    let Ok(Line::Run(line)) = go_flags::read(&command, &words) else { return Err(invalid()) };
    let matches = command.try_get_matches_from(&line[1..]).map_err(|_| invalid())?;
    let request = match Operation::from_arg_matches(&matches).map_err(|_| invalid())? {
        Operation::Get(words) => Request::RequestRange(range_request(&words)?),
        Operation::Put(words) => Request::RequestPut(put_request(&words)?),
        Operation::Del(words) => Request::RequestDeleteRange(delete_request(&words).await?),
    };
    Ok(RequestOp { request: Some(request) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_as_etcdctl_reads_them() {
        let good = compare(r#"mod("key1") > "0""#).unwrap();
        assert_eq!(
            (good.result(), good.target(), &good.key[..]),
            (CompareResult::Greater, CompareTarget::Mod, &b"key1"[..])
        );
        assert_eq!(compare(r#"lease("k") = "ff""#).unwrap().target_union, Some(TargetUnion::Lease(255)));
        assert_eq!(compare(r#"val("k") != "a b""#).unwrap().target_union, Some(TargetUnion::Value("a b".into())));
        for (line, says) in [
            ("mod", "malformed comparison: mod"),
            (r#"mod("k")="0""#, "; got mod(\"k\")"),
            (r#"age("k") = "0""#, "unknown target age"),
            (r#"mod("k") = "x""#, "invalid txn compare request"),
            (r#"mod("k") >= "1""#, "unknown result op"),
        ] {
            let trouble = compare(line).unwrap_err();
            assert!(trouble.text.contains(says) && trouble.exit == Exit::InvalidInput, "{line}: {trouble}");
        }
    }
}
