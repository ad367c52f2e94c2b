//! watch: events as they come, for one range or for those that the input names; a command for each
//! of them.

use crate::args::{WatchArgs, WatchFlags};
use crate::context::Ctl;
use crate::error::{CtlError, Exit};
use crate::keys::{self, Keys};
use crate::print::{Watched, kind, say, tell};
use admin_client::{CallError, Session, is_lost, require_leader};
use admin_ui::go_flags::{self, as_in_go};
use clap::{Args as _, FromArgMatches as _};
use go_text::quoted;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::BufRead as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

const BAD_NUMBER: &str = "bad number of arguments";
const CONFLICT: &str = "bad number of arguments (found conflicting environment key)";
const NO_COMMAND: &str = "bad number of arguments (found separator --, but no commands)";

pub(super) async fn watch(ctl: &Ctl, words: &WatchArgs) -> Result<(), CtlError> {
    let variables = Variables::read()?;
    if words.interactive {
        return interactive(ctl, &variables).await;
    }
    if words.command.is_empty() && std::env::args_os().last().is_some_and(|last| last == "--") {
        return Err(CtlError::arguments(NO_COMMAND));
    }
    let request = create(&variables.with(&words.args)?, &words.request)?;
    one(ctl, request, &words.command).await?;
    Err(CtlError::new(Exit::Interrupted, "watch is canceled by the server"))
}

/// `ETCDCTL_WATCH_KEY` and its end.
struct Variables {
    range: Vec<OsString>,
}

impl Variables {
    fn read() -> Result<Self, CtlError> {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match (read("ETCDCTL_WATCH_KEY"), read("ETCDCTL_WATCH_RANGE_END")) {
            (None, Some(end)) => Err(CtlError::arguments(format!(
                "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={}",
                quoted(end.as_encoded_bytes())
            ))),
            (key, end) => Ok(Self { range: key.into_iter().chain(end).collect() }),
        }
    }

    /// The range of the arguments or of the variables, but not of both.
    fn with(&self, args: &[OsString]) -> Result<Vec<OsString>, CtlError> {
        match (self.range.is_empty(), args.is_empty()) {
            (true, true) => Err(CtlError::arguments(BAD_NUMBER)),
            (false, false) => Err(CtlError::arguments(CONFLICT)),
            (true, false) => Ok(args.to_vec()),
            (false, true) => Ok(self.range.clone()),
        }
    }
}

fn create(args: &[OsString], flags: &WatchFlags) -> Result<WatchCreateRequest, CtlError> {
    if args.len() == 2 && flags.prefix {
        return Err(CtlError::arguments("`range_end` and `--prefix` are mutually exclusive"));
    }
    let args = &args[..args.len().min(2)];
    let Keys { key, end } = Keys::of(args, flags.prefix, false);
    let (start_revision, progress_notify, prev_kv) = (flags.rev, flags.progress_notify, flags.prev_kv);
    Ok(WatchCreateRequest {
        key,
        range_end: end,
        start_revision,
        progress_notify,
        prev_kv,
        ..WatchCreateRequest::default()
    })
}

type Requests = mpsc::UnboundedSender<WatchRequest>;
type Responses = mpsc::UnboundedReceiver<Result<WatchResponse, Status>>;

/// Opens a watch stream whose first request is `first`.
///
/// etcd sends the headers of its response together with the first message, which it sends because
/// of the first request: the request has to be on its way before anything is awaited. The stream is
/// opened and read by a task of its own, so that further requests can follow.
fn open(session: &Session, first: RequestUnion) -> (Requests, Responses) {
    let (requests, queue) = mpsc::unbounded_channel();
    send(&requests, first);
    let (pass_on, responses) = mpsc::unbounded_channel();
    let mut client = session.watch();
    tokio::spawn(async move {
        let opened = client.watch(require_leader(UnboundedReceiverStream::new(queue))).await;
        let mut stream = match opened {
            Ok(response) => response.into_inner(),
            // The reader may have gone already.
            Err(status) => return drop(pass_on.send(Err(status))),
        };
        while let Some(next) = stream.message().await.transpose() {
            let is_last = next.is_err();
            if pass_on.send(next).is_err() || is_last {
                return;
            }
        }
    });
    (requests, responses)
}

fn send(requests: &Requests, union: RequestUnion) {
    // Without a receiver the stream has ended, and its reader reports why.
    drop(requests.send(WatchRequest { request_union: Some(union) }));
}

/// Follows one range until the server cancels. A connection that breaks is made again, to any
/// member, from the next revision.
async fn one(ctl: &Ctl, mut request: WatchCreateRequest, command: &[OsString]) -> Result<(), CtlError> {
    let mut was_open = false;
    loop {
        let session = ctl.client.session_of_stream(was_open).await?;
        // The stream lasts as long as its requests' sender.
        let (_requests, mut responses) = open(&session, RequestUnion::CreateRequest(request.clone()));
        while let Some(response) = responses.recv().await {
            let response = match response {
                Ok(response) => response,
                Err(status) if !is_lost(&status) && !was_open => {
                    return Err(CallError::Status { endpoint: session.endpoint().to_owned(), status }.into());
                }
                Err(_) => break,
            };
            let revision = response.header.as_ref().map_or(0, |header| header.revision);
            if response.created && !response.canceled {
                was_open = true;
                if request.start_revision == 0 {
                    request.start_revision = revision + 1;
                }
                continue;
            }
            print(ctl, &response, command)?;
            if response.canceled {
                return Ok(());
            }
            if let Some(last) = response.events.last().and_then(|event| event.kv.as_ref()) {
                request.start_revision = last.mod_revision + 1;
            }
        }
        ctl.client.leave_and_pause().await;
    }
}

/// Prints one response and runs the command for its events.
fn print(ctl: &Ctl, response: &WatchResponse, command: &[OsString]) -> Result<(), CtlError> {
    let revision = response.header.as_ref().map_or(0, |header| header.revision);
    if response.canceled {
        let reason = match (response.compact_revision, response.cancel_reason.as_str()) {
            (0, "") => "etcdserver: mvcc: required revision is a future revision",
            (0, reason) => reason,
            _ => "etcdserver: mvcc: required revision has been compacted",
        };
        tell(&format!("watch was canceled ({reason})"));
    } else if response.events.is_empty() {
        say(format!("progress notify: {revision}\n").as_bytes())?;
    }
    ctl.printer.show(&Watched(response))?;
    if let Some((program, arguments)) = command.split_first() {
        for event in &response.events {
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
            return Err(CtlError::new(Exit::Error, ""));
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
async fn interactive(ctl: &Ctl, variables: &Variables) -> Result<(), CtlError> {
    let (lines, mut typed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let session = ctl.client.session().await?;
    let mut stream: Option<(Requests, Responses)> = None;
    let mut waiting = VecDeque::new();
    let mut commands: BTreeMap<i64, Vec<OsString>> = BTreeMap::new();
    loop {
        tokio::select! {
            line = typed.recv() => {
                let Some(line) = line else { return Err(CtlError::new(Exit::InvalidInput, "error reading watch request line: EOF")) };
                let line = line.map_err(|error| CtlError::new(Exit::InvalidInput, format!("error reading watch request line: {error}")))?;
                let union = match read(&line, variables)? {
                    Line::Watch(request, command) => {
                        waiting.push_back(command);
                        RequestUnion::CreateRequest(request)
                    }
                    Line::Progress => RequestUnion::ProgressRequest(WatchProgressRequest {}),
                    Line::Nothing => continue,
                };
                match &stream {
                    Some((requests, _)) => send(requests, union),
                    None => stream = Some(open(&session, union)),
                }
            }
            response = next(&mut stream) => {
                let Some(response) = response else { return Err(CtlError::new(Exit::Interrupted, "watch is canceled by the server")) };
                let response = response.map_err(|status| CallError::Status { endpoint: session.endpoint().to_owned(), status })?;
                dispatch(ctl, &response, &mut waiting, &mut commands)?;
            }
        }
    }
}

/// Returns the next response. Waits for ever where there is no stream yet.
async fn next(stream: &mut Option<(Requests, Responses)>) -> Option<Result<WatchResponse, Status>> {
    match stream {
        Some((_, responses)) => responses.recv().await,
        None => std::future::pending().await,
    }
}

/// Prints one response of a stream with several watchers, and runs the command of the watcher that
/// it is for.
fn dispatch(
    ctl: &Ctl,
    response: &WatchResponse,
    waiting: &mut VecDeque<Vec<OsString>>,
    commands: &mut BTreeMap<i64, Vec<OsString>>,
) -> Result<(), CtlError> {
    if response.created {
        commands.insert(response.watch_id, waiting.pop_front().unwrap_or_default());
        if !response.canceled {
            return Ok(());
        }
    }
    if response.watch_id == -1 {
        // A progress response that was requested is for every watcher of the stream.
        return commands.values().try_for_each(|command| print(ctl, response, command));
    }
    print(ctl, response, commands.get(&response.watch_id).map_or(&[], Vec::as_slice))?;
    if response.canceled {
        commands.remove(&response.watch_id);
    }
    Ok(())
}

fn read(line: &str, variables: &Variables) -> Result<Line, CtlError> {
    let words = keys::words(line).ok_or_else(|| CtlError::new(Exit::InvalidInput, "invalid syntax"))?;
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
        return Err(CtlError::arguments(NO_COMMAND));
    }
    let (request, command) = separator.map_or((rest, &[][..]), |position| (&rest[..position], &rest[position + 1..]));
    let parser = clap::Command::new("watch")
        .no_binary_name(true)
        .arg(clap::Arg::new("args").num_args(0..).value_parser(clap::value_parser!(OsString)));
    let parser = as_in_go(WatchFlags::augment_args(parser));
    let request = go_flags::read_flags(&parser, request).map_err(CtlError::arguments)?;
    let unreadable = |error: clap::Error| CtlError::arguments(error.to_string());
    let matches = parser.try_get_matches_from(request).map_err(unreadable)?;
    let flags = WatchFlags::from_arg_matches(&matches).map_err(unreadable)?;
    let args: Vec<OsString> = matches.get_many("args").into_iter().flatten().cloned().collect();
    match create(&variables.with(&args)?, &flags) {
        Ok(request) => Ok(Line::Watch(request, command.to_vec())),
        Err(ctl_error) => {
            tell(&format!("Invalid command {line} ({ctl_error})"));
            Ok(Line::Nothing)
        }
    }
}
