//! The stories in `tests/scripts`: frames of a client and calls of the application, with the events
//! and the frames that they cause.
//!
//! Client: `hello`, `headers ID [end] [open] [-field] [field=value]`, `data ID [end] TEXT`,
//! `trailers ID`, `rst ID CODE`, `window ID BYTES`, `settings ID=VALUE`, `ping [ack] [TEXT]`,
//! `frame KIND ID FLAGS HEX`, `bytes HEX`. Application: `respond ID TEXT`, `send ID TEXT`, `take
//! ID`, `gather ID BYTES`, `ignore ID`, `reset ID CODE`, `reset-after-end ID CODE`, `refuse ID
//! STATUS`, `shutdown`, `end`. `*N` is a text of N bytes, `repeat N COMMAND` shows only what differs
//! from the time before, with `$` for the next stream, `wait SECONDS` moves the clock. Commands with
//! `;` between them happen before the application takes its events, with `&` it takes them in
//! between.

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, KINDS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    block, frame, request_fields, shown, split, text,
};
use bytes::Bytes;
use http2::{Connection, End, Event, Intake, Reason, Settings, StreamKey, Tag};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::time::{Duration, Instant};

struct Stage {
    connection: Connection,
    keys: BTreeMap<u32, StreamKey>,
    now: Instant,
    next_stream: u32,
}

/// Bounds that a few frames reach.
pub(crate) fn settings() -> Settings {
    Settings {
        streams_max: 3,
        header_bytes_max: 1000,
        stream_window_bytes: 100_000,
        connection_window_bytes: 300_000,
        client_ping_interval_min: Duration::from_secs(5),
        field_names: &["content-type", "grpc-timeout"],
    }
}

/// Takes all output.
pub(crate) fn written(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        connection.fill_output();
        let mut slices = [IoSlice::new(&[]); 4];
        let count = connection.slices(&mut slices);
        let before = all.len();
        slices[..count].iter().for_each(|slice| all.extend_from_slice(slice));
        if all.len() == before {
            return all;
        }
        connection.advance(all.len() - before);
    }
}

fn body(text: &str) -> Vec<u8> {
    text.strip_prefix('*').map_or(text.into(), |count| vec![b'b'; count.parse().unwrap()])
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn flag(words: &mut Vec<&str>, name: &str) -> bool {
    let before = words.len();
    words.retain(|word| *word != name);
    words.len() < before
}

impl Stage {
    fn new() -> Self {
        let mut connection = Connection::new(settings());
        written(&mut connection);
        Self { connection, keys: BTreeMap::new(), now: Instant::now(), next_stream: 1 }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.connection.receive(bytes, self.now);
    }

    fn headers(&mut self, id: u32, mut words: Vec<&str>) {
        let flags = if flag(&mut words, "end") { END_STREAM } else { 0 }
            | if flag(&mut words, "open") { 0 } else { END_HEADERS };
        let mut fields = request_fields();
        for word in words {
            if let Some(name) = word.strip_prefix('-') {
                fields.retain(|(known, _)| *known != name);
            } else {
                // A pseudo-field's name begins with the sign.
                let (name, value) = word.split_once('=').unwrap();
                if let Some(known) = fields.iter_mut().find(|(known, _)| *known == name) {
                    known.1 = value;
                } else {
                    fields.push((name, value));
                }
            }
        }
        let bytes = frame(HEADERS, flags, id, &block(&fields));
        self.receive(&bytes);
    }

    fn client(&mut self, name: &str, id: u32, mut words: Vec<&str>) {
        let first = words.first().copied().unwrap_or_default();
        let bytes = match name {
            "hello" => [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat(),
            "headers" => return self.headers(id, words),
            "data" => {
                let flags = if flag(&mut words, "end") { END_STREAM } else { 0 };
                frame(DATA, flags, id, &body(words.first().copied().unwrap_or_default()))
            }
            "trailers" => frame(HEADERS, END_STREAM | END_HEADERS, id, &block(&[("x", "y")])),
            "continuation" => frame(CONTINUATION, 0, id, &hex(first)),
            "rst" => frame(RST_STREAM, 0, id, &first.parse::<u32>().unwrap().to_be_bytes()),
            "window" => frame(WINDOW_UPDATE, 0, id, &first.parse::<u32>().unwrap().to_be_bytes()),
            "ping" => {
                let ack = flag(&mut words, "ack");
                let payload = words.first().map_or(&b"12345678"[..], |text| text.as_bytes());
                frame(PING, u8::from(ack), 0, payload)
            }
            other => panic!("{other} is no command"),
        };
        self.receive(&bytes);
    }

    fn run(&mut self, line: &str) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let name = words.remove(0);
        match name {
            "wait" => self.now += Duration::from_secs(words[0].parse().unwrap()),
            "shutdown" => self.connection.shut_down(),
            "end" => self.connection.end(Reason::NO_ERROR),
            "bytes" => self.receive(&hex(words[0])),
            "frame" => {
                let kind =
                    KINDS.iter().position(|kind| *kind == words[0]).map_or(0x77, |kind| u8::try_from(kind).unwrap());
                let payload = hex(words.get(3).unwrap_or(&""));
                self.receive(&frame(kind, words[2].parse().unwrap(), words[1].parse().unwrap(), &payload));
            }
            "settings" => {
                let mut payload = Vec::new();
                for word in words {
                    let (id, value) = word.split_once('=').unwrap();
                    payload.extend(id.parse::<u16>().unwrap().to_be_bytes());
                    payload.extend(value.parse::<u32>().unwrap().to_be_bytes());
                }
                self.receive(&frame(SETTINGS, 0, 0, &payload));
            }
            _ => self.on_stream(name, words),
        }
    }

    fn on_stream(&mut self, name: &str, mut words: Vec<&str>) {
        let id = if matches!(name, "hello" | "ping") { 0 } else { words.remove(0).parse().unwrap() };
        let word = words.first().copied().unwrap_or_default();
        let reason = || Reason(word.parse().unwrap());
        let key = self.keys.get(&id).copied();
        let connection = &mut self.connection;
        match (name, key) {
            ("respond", Some(key)) => connection.respond(key, body(word).into()),
            ("send", Some(key)) => {
                connection.send_grpc_head(key);
                connection.send_data(key, Bytes::from(body(word)));
            }
            ("take", Some(key)) => drop(connection.take_body(key)),
            ("gather", Some(key)) => connection.set_intake(key, Intake::Gathered { bytes_max: word.parse().unwrap() }),
            ("ignore", Some(key)) => connection.set_intake(key, Intake::Dropped),
            ("reset", Some(key)) => connection.reset(key, reason()),
            ("reset-after-end", Some(key)) => connection.reset_after_end(key, reason()),
            ("refuse", Some(key)) => {
                let fields = [(&b"grpc-status"[..], &b"3"[..])];
                connection.send_head(key, word.parse().unwrap(), fields, End::Stream);
            }
            _ => self.client(name, id, words),
        }
    }

    /// The lines of all events and frames since the command before.
    fn outcome(&mut self) -> String {
        let mut lines = Vec::new();
        while let Some(event) = self.connection.next_event() {
            lines.push(match event {
                Event::Request { stream, head } => {
                    self.keys.insert(stream.id(), stream);
                    let timeout = head.get(Tag(1)).map(|value| format!(" timeout={}", text(value)));
                    let (path, (kept, ended)) = (text(head.path()), self.connection.body(stream));
                    let end = if ended { " ended" } else { "" };
                    format!("request {} {path}{} body={}{end}", stream.id(), timeout.unwrap_or_default(), text(kept))
                }
                Event::Body { stream } => {
                    let (kept, ended) = self.connection.body(stream);
                    format!("body {} {}{}", stream.id(), text(kept), if ended { " ended" } else { "" })
                }
                Event::Sent { stream } => {
                    format!("sent {}, {} bytes wait", stream.id(), self.connection.pending_bytes(stream).unwrap())
                }
                Event::Reset { stream, reason } => format!("reset {} {reason}", stream.id()),
                Event::Pong => "pong".to_owned(),
            });
        }
        let frames = split(&written(&mut self.connection));
        let mut same = 0;
        for (at, frame) in frames.iter().enumerate() {
            let repeats =
                |other: Option<&crate::frames::Frame>| other.is_some_and(|other| shown(other) == shown(frame));
            if repeats(frames.get(at + 1)) {
                same += 1;
                continue;
            }
            let times = if same > 0 { format!(" ({} times)", same + 1) } else { String::new() };
            lines.push(shown(frame) + &times);
            same = 0;
        }
        while let Some(Event::Sent { stream }) = self.connection.next_event() {
            lines.push(format!("sent {}", stream.id()));
        }
        if self.connection.is_finished() {
            lines.push("finished".to_owned());
        }
        lines.join("\n")
    }

    fn command(&mut self, line: &str) -> String {
        let Some(repeated) = line.strip_prefix("repeat ") else {
            self.run(line);
            return self.outcome();
        };
        let (times, command) = repeated.split_once(' ').unwrap();
        let (mut lines, mut before, mut same) = (Vec::new(), None, 0);
        for _ in 0..times.parse::<u32>().unwrap() {
            let mut outcome = String::new();
            for command in command.split('&') {
                for command in command.split(';') {
                    self.run(&command.trim().replace('$', &self.next_stream.to_string()));
                }
                outcome = outcome + &self.outcome() + "\n";
            }
            let outcome = outcome.replace(&format!(" {} ", self.next_stream), " $ ");
            self.next_stream += if command.contains('$') { 2 } else { 0 };
            if before.as_ref() == Some(&outcome) {
                same += 1;
                continue;
            }
            lines.extend((same > 0).then(|| format!("the same {same} times")));
            lines.push(outcome.clone());
            (before, same) = (Some(outcome), 0);
            if self.connection.is_finished() {
                break;
            }
        }
        lines.extend((same > 0).then(|| format!("the same {same} times")));
        lines.join("\n")
    }
}

#[test]
fn scripts_cause_recorded_events_and_frames() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    script::run(directory, Stage::new, |stage, line| stage.command(line));
}
