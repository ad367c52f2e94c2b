//! Lines in the journal's own form, with every field a field of the entry.
//!
//! Own code rather than `tracing-journald`: that one writes to the journal's socket from the thread
//! that logs, and a full socket would hold up requests. The protocol is a datagram of `NAME=value`
//! lines.

use std::borrow::Cow;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::log::line::Line;
use crate::log::message_id;

/// The socket of the journal.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";
const IDENTIFIER: &str = "etcd-server";
/// A datagram holds about 200 KiB; longer values are cut so that an entry always fits.
const VALUE_BYTES_MAX: usize = 32 << 10;
const ENTRY_BYTES_MAX: usize = 128 << 10;
/// Bytes of fields that the message repeats.
const MESSAGE_FIELDS_BYTES_MAX: usize = 1024;

/// An open way to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// The name of the member, in each entry.
    member: String,
}

impl Journal {
    /// Connects to the socket at `path`. Fails without a listener.
    pub(crate) fn open(path: &Path, member: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket, path: path.to_owned(), member: member.to_owned() })
    }

    /// Sends one line, to a restarted journal too.
    pub(crate) fn tell(&mut self, line: &Line) -> io::Result<()> {
        let entry = entry(line, &self.member);
        self.send(&entry)
    }

    fn send(&mut self, entry: &[u8]) -> io::Result<()> {
        if self.socket.send(entry).is_ok() {
            return Ok(());
        }
        self.socket = UnixDatagram::unbound()?;
        self.socket.connect(&self.path)?;
        self.socket.send(entry).map(drop)
    }
}

/// The bytes of one entry, by the member of that name.
fn entry(line: &Line, member: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    push(&mut bytes, "MESSAGE", &message(line));
    if let Some(id) = message_id::of(&line.message) {
        push(&mut bytes, "MESSAGE_ID", id);
    }
    push(&mut bytes, "ETCD_MEMBER", member);
    push(&mut bytes, "PRIORITY", &line.level.priority().to_string());
    push(&mut bytes, "SYSLOG_IDENTIFIER", IDENTIFIER);
    push(&mut bytes, "CODE_FILE", &line.file);
    push(&mut bytes, "CODE_LINE", &line.line.to_string());
    for (name, value) in &line.fields {
        let text = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
        if bytes.len() + text.len().min(VALUE_BYTES_MAX) < ENTRY_BYTES_MAX {
            push(&mut bytes, &field_name(name), &text);
        }
    }
    bytes
}

/// Returns the text that `journalctl` shows: the message, the error, then the other fields, as many
/// as fit.
fn message(line: &Line) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut message = line.message.clone();
    if let Some((_, error)) = line.fields.iter().find(|(name, _)| name == "error") {
        message += &format!(": {}", text(error));
    }
    let bytes_max = message.len() + MESSAGE_FIELDS_BYTES_MAX;
    for (name, value) in line.fields.iter().filter(|(name, value)| name != "error" && value.as_str() != Some("")) {
        let value = text(value);
        let quoted = if value.contains(char::is_whitespace) { format!("{value:?}") } else { value };
        if message.len() + name.len() + quoted.len() < bytes_max {
            message += &format!(" {name}={quoted}");
        }
    }
    message
}

/// A value with a line break is sent with its length before it.
fn push(bytes: &mut Vec<u8>, name: &str, value: &str) {
    let value = cut(value);
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// The longest start of a value that is short enough and ends between two letters.
fn cut(value: &str) -> &str {
    let end = (0..=value.len().min(VALUE_BYTES_MAX)).rev().find(|end| value.is_char_boundary(*end));
    &value[..end.unwrap_or(0)]
}

/// With a prefix, so that none can pass for one of the journal's.
fn field_name(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    // The journal takes names of up to 64 bytes.
    format!("ETCD_{}", &clean[..clean.len().min(59)])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::line::LineLevel;

    fn entry(line: &Line) -> Vec<u8> {
        super::entry(line, "m1")
    }

    fn line(message: &str, fields: Vec<(String, Value)>) -> Line {
        Line { level: LineLevel::Info, file: "api/kv.rs".to_owned(), line: 3, message: message.to_owned(), fields }
    }

    #[test]
    fn fields_become_fields_of_the_entry() {
        let fields = vec![("local-member-id".to_owned(), json!("8e")), ("n".to_owned(), json!(5))];
        assert_eq!(
            String::from_utf8(entry(&line("hello", fields))).unwrap(),
            "MESSAGE=hello local-member-id=8e n=5\nETCD_MEMBER=m1\nPRIORITY=6\nSYSLOG_IDENTIFIER=etcd-server\nCODE_FILE=api/kv.rs\nCODE_LINE=3\nETCD_LOCAL_MEMBER_ID=8e\nETCD_N=5\n"
        );
    }

    #[test]
    fn message_carries_the_reason_and_the_values() {
        let stopped = line(
            "etcd-server stopped",
            vec![("fatal".to_owned(), json!(true)), ("error".to_owned(), json!("no space"))],
        );
        assert_eq!(message(&stopped), "etcd-server stopped: no space fatal=true");
        let id = message_id::of("etcd-server stopped").unwrap();
        assert!(String::from_utf8(entry(&stopped)).unwrap().contains(&format!("MESSAGE_ID={id}\n")));
        let role = vec![
            ("from".to_owned(), json!("follower")),
            ("to".to_owned(), json!("pre candidate")),
            ("leader".to_owned(), json!("")),
        ];
        assert_eq!(message(&line("raft role changed", role)), "raft role changed from=follower to=\"pre candidate\"");
        let long = vec![("key".to_owned(), json!("x".repeat(5000))), ("n".to_owned(), json!(1))];
        assert_eq!(message(&line("hello", long)), "hello n=1");
    }

    #[test]
    fn a_known_message_has_its_id() {
        let text = String::from_utf8(entry(&line("closed etcd server", Vec::new()))).unwrap();
        let id = message_id::of("closed etcd server").unwrap();
        assert!(text.lines().any(|field| field == format!("MESSAGE_ID={id}")), "{text}");
    }

    #[test]
    fn a_line_break_cannot_forge_a_field() {
        let bytes = entry(&line("a\nPRIORITY=0", Vec::new()));
        assert!(
            bytes.starts_with(b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nETCD_MEMBER=m1\nPRIORITY=6\n"),
            "{bytes:?}"
        );
    }

    #[test]
    fn an_entry_stays_within_a_datagram() {
        let long = "ä".repeat(1 << 20);
        let fields = (0..100).map(|n| (format!("f{n}"), json!(long))).collect();
        assert!(entry(&line(&long, fields)).len() < 180 << 10);
    }

    #[test]
    fn entries_reach_a_socket_and_a_restarted_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let first = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::open(&path, "m1").unwrap();
        journal.send(b"A=1\n").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(first.recv(&mut buffer).unwrap(), 4);
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        journal.send(b"B=22\n").unwrap();
        assert_eq!(second.recv(&mut buffer).unwrap(), 5);
        assert!(Journal::open(&dir.path().join("nobody"), "m1").is_err());
    }
}
