//! watch: events as they come, for one range or for those that the input names; a command for each of them.

use super::Ctl;
use super::keys::{self, Keys};
use super::print::{Watched, kind, quoted, say, tell};
use super::trouble::{Exit, Trouble};
use super::words::{WatchFlags, WatchWords};
use crate::client::{CallError, as_in_go, require_leader};
use clap::{Args as _, FromArgMatches as _};
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufRead as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Streaming};

const BAD_NUMBER: &str = "bad number of arguments";
const CONFLICT: &str = "bad number of arguments (found conflicting environment key)";
const NO_COMMAND: &str = "bad number of arguments (found separator --, but no commands)";
/// Between two looks for a member that serves the watch.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) async fn watch(ctl: &Ctl, words: &WatchWords) -> Result<(), Trouble> {
    let variables = Variables::read()?;
    if words.interactive {
        return interactive(ctl, &variables).await;
    }
    if words.command.is_empty() && std::env::args_os().last().is_some_and(|last| last == "--") {
        return Err(Trouble::arguments(NO_COMMAND));
    }
    let request = create(&variables.with(&words.args)?, &words.request)?;
    one(ctl, request, &words.command).await?;
    Err(Trouble::new(Exit::Interrupted, "watch is canceled by the server"))
}

/// `ETCDCTL_WATCH_KEY` and its end.
struct Variables {
    range: Vec<OsString>,
}

impl Variables {
    fn read() -> Result<Self, Trouble> {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match (read("ETCDCTL_WATCH_KEY"), read("ETCDCTL_WATCH_RANGE_END")) {
            (None, Some(end)) => Err(Trouble::arguments(format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end:?}"))),
            (key, end) => Ok(Self { range: key.into_iter().chain(end).collect() }),
        }
    }

    /// The range of the arguments or of the variables, but not of both.
    fn with(&self, args: &[OsString]) -> Result<Vec<OsString>, Trouble> {
        match (self.range.is_empty(), args.is_empty()) {
            (true, true) => Err(Trouble::arguments(BAD_NUMBER)),
            (false, false) => Err(Trouble::arguments(CONFLICT)),
            (true, false) => Ok(args.to_vec()),
            (false, true) => Ok(self.range.clone()),
        }
    }
}

fn create(args: &[OsString], flags: &WatchFlags) -> Result<WatchCreateRequest, Trouble> {
    if args.len() == 2 && flags.prefix {
        return Err(Trouble::arguments("`range_end` and `--prefix` are mutually exclusive"));
    }
    let args = &args[..args.len().min(2)];
    let Keys { key, end } = Keys::of(args, flags.prefix, false);
    let (start_revision, progress_notify, prev_kv) = (flags.rev, flags.progress_notify, flags.prev_kv);
    Ok(WatchCreateRequest { key, range_end: end, start_revision, progress_notify, prev_kv, ..WatchCreateRequest::default() })
}

type Requests = mpsc::UnboundedSender<WatchRequest>;

async fn open(ctl: &Ctl) -> Result<(Requests, Streaming<WatchResponse>), CallError> {
    let session = ctl.client.session().await?;
    let (requests, queue) = mpsc::unbounded_channel();
    let opened = session.watch().watch(require_leader(UnboundedReceiverStream::new(queue))).await;
    let endpoint = session.endpoint().to_owned();
    opened.map(|answer| (requests, answer.into_inner())).map_err(|status| CallError::Status { endpoint, status })
}

fn send(requests: &Requests, union: RequestUnion) {
    // When nobody takes it, the stream has ended, and its reader says why.
    drop(requests.send(WatchRequest { request_union: Some(union) }));
}

/// Follows one range until the server cancels; a connection that breaks is made again, at whichever member, from the next revision.
async fn one(ctl: &Ctl, mut request: WatchCreateRequest, command: &[OsString]) -> Result<(), Trouble> {
    let mut was_open = false;
    loop {
        let (requests, mut answers) = match open(ctl).await {
            Ok(opened) => opened,
            Err(_) if was_open => {
                ctl.client.leave();
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        send(&requests, RequestUnion::CreateRequest(request.clone()));
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Err(status) if status.code() != Code::Unavailable && status.code() != Code::Unknown && !was_open => {
                    let endpoint = ctl.client.settings.endpoints.join(",");
                    return Err(CallError::Status { endpoint, status }.into());
                }
                Ok(None) | Err(_) => break,
            };
            let revision = answer.header.as_ref().map_or(0, |header| header.revision);
            if answer.created && !answer.canceled {
                was_open = true;
                if request.start_revision == 0 {
                    request.start_revision = revision + 1;
                }
                continue;
            }
            told(ctl, &answer, command)?;
            if answer.canceled {
                return Ok(());
            }
            if let Some(last) = answer.events.last().and_then(|event| event.kv.as_ref()) {
                request.start_revision = last.mod_revision + 1;
            }
        }
        ctl.client.leave();
        tokio::time::sleep(AGAIN).await;
    }
}

/// Prints one answer and runs the command for its events.
fn told(ctl: &Ctl, answer: &WatchResponse, command: &[OsString]) -> Result<(), Trouble> {
    let revision = answer.header.as_ref().map_or(0, |header| header.revision);
    if answer.canceled {
        let reason = match (answer.compact_revision, answer.cancel_reason.as_str()) {
            (0, "") => "etcdserver: mvcc: required revision is a future revision",
            (0, reason) => reason,
            _ => "etcdserver: mvcc: required revision has been compacted",
        };
        tell(&format!("watch was canceled ({reason})"));
    } else if answer.events.is_empty() {
        say(format!("progress notify: {revision}\n").as_bytes())?;
    }
    ctl.printer.show(&Watched(answer))?;
    if let Some((program, arguments)) = command.split_first() {
        for event in &answer.events {
            let kv = event.kv.clone().unwrap_or_default();
            let ended = std::process::Command::new(program)
                .args(arguments)
                .env("ETCD_WATCH_REVISION", revision.to_string())
                .env("ETCD_WATCH_EVENT_TYPE", quoted(kind(event).as_bytes()))
                .env("ETCD_WATCH_KEY", quoted(&kv.key))
                .env("ETCD_WATCH_VALUE", quoted(&kv.value))
                .status();
            let error = match ended {
                Ok(status) if status.success() => continue,
                Ok(status) => format!("exit status {}", status.code().unwrap_or(-1)),
                Err(error) => error.to_string(),
            };
            let shown: Vec<String> = command.iter().map(|word| quoted(word.as_encoded_bytes())).collect();
            tell(&format!("command [{}] error ({error})", shown.join(" ")));
            return Err(Trouble::new(Exit::Error, ""));
        }
    }
    Ok(())
}

/// A line of the input.
enum Line {
    Watch(WatchCreateRequest, Vec<OsString>),
    Progress,
    Nothing,
}

/// Takes requests from the input, all on one stream.
async fn interactive(ctl: &Ctl, variables: &Variables) -> Result<(), Trouble> {
    let (lines, mut typed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let (requests, mut answers) = open(ctl).await?;
    let mut waiting = std::collections::VecDeque::new();
    let mut commands: BTreeMap<i64, Vec<OsString>> = BTreeMap::new();
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                None => return Err(Trouble::new(Exit::InvalidInput, "error reading watch request line: EOF")),
                Some(Err(error)) => return Err(Trouble::new(Exit::InvalidInput, format!("error reading watch request line: {error}"))),
                Some(Ok(line)) => match read(&line, variables)? {
                    Line::Watch(request, command) => {
                        waiting.push_back(command);
                        send(&requests, RequestUnion::CreateRequest(request));
                    }
                    Line::Progress => send(&requests, RequestUnion::ProgressRequest(WatchProgressRequest {})),
                    Line::Nothing => {}
                },
            },
            answer = answers.message() => {
                let endpoint = || ctl.client.settings.endpoints.join(",");
                let answer = answer.map_err(|status| CallError::Status { endpoint: endpoint(), status })?;
                let Some(answer) = answer else { return Err(Trouble::new(Exit::Interrupted, "watch is canceled by the server")) };
                if answer.created {
                    commands.insert(answer.watch_id, waiting.pop_front().unwrap_or_default());
                    if !answer.canceled {
                        continue;
                    }
                }
                if answer.watch_id == -1 {
                    // A progress that was asked for is told to every watcher of the stream.
                    commands.values().try_for_each(|command| told(ctl, &answer, command))?;
                    continue;
                }
                told(ctl, &answer, commands.get(&answer.watch_id).map_or(&[], Vec::as_slice))?;
                if answer.canceled {
                    commands.remove(&answer.watch_id);
                }
            }
        }
    }
}

fn read(line: &str, variables: &Variables) -> Result<Line, Trouble> {
    let words = keys::words(line).ok_or_else(|| Trouble::new(Exit::InvalidInput, "invalid syntax"))?;
    let Some((first, rest)) = words.split_first() else {
        tell(&format!("Invalid command: {line} (watch and progress supported)"));
        return Ok(Line::Nothing);
    };
    if first == "progress" {
        return Ok(Line::Progress);
    }
    if first != "watch" {
        tell(&format!("Invalid command {line} (only support watch)"));
        return Ok(Line::Nothing);
    }
    if rest.is_empty() && variables.range.is_empty() {
        tell(&format!("Invalid command {line} (command type or key is not provided)"));
        return Ok(Line::Nothing);
    }
    let separator = rest.iter().position(|word| word == "--");
    if separator.is_some_and(|position| position + 1 == rest.len()) {
        return Err(Trouble::arguments(NO_COMMAND));
    }
    let (request, command) = separator.map_or((rest, &[][..]), |position| (&rest[..position], &rest[position + 1..]));
    let parser = clap::Command::new("watch")
        .no_binary_name(true)
        .arg(clap::Arg::new("args").num_args(0..).value_parser(clap::value_parser!(OsString)));
    let matches = as_in_go(WatchFlags::augment_args(parser)).try_get_matches_from(request);
    let matches = matches.map_err(|error| Trouble::arguments(super::flag_error(&error)))?;
    let flags = WatchFlags::from_arg_matches(&matches).map_err(|error| Trouble::arguments(super::flag_error(&error)))?;
    let args: Vec<OsString> = matches.get_many("args").into_iter().flatten().cloned().collect();
    match create(&variables.with(&args)?, &flags) {
        Ok(request) => Ok(Line::Watch(request, command.to_vec())),
        Err(trouble) => {
            tell(&format!("Invalid command {line} ({trouble})"));
            Ok(Line::Nothing)
        }
    }
}
