//! Answers in etcdctl's five forms.

mod auth;
mod cluster;
mod endpoint;
mod json;
mod kv;
mod lease;
mod text;

pub(crate) use auth::{AuthStatus, PermissionRevoked, RoleShown, TextResponse, UserShown};
pub(crate) use cluster::{Alarms, Downgraded, MemberChanged, MembersListed, Moved};
pub(crate) use endpoint::{Hashes, Health, Healths, Statuses};
pub(crate) use kv::{Watched, kind};
pub(crate) use lease::{Granted, KeptAlive, Leases, Revoked, TimeToLive};
pub(crate) use text::duration;

use crate::error::{CtlError, Exit};
use json::Object;
use proto::etcdserverpb::ResponseHeader;
use std::io::Write as _;

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Simple,
    Json,
    Fields,
    Table,
    Protobuf,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Self, CtlError> {
        match text {
            "simple" | "" => Ok(Self::Simple),
            "json" => Ok(Self::Json),
            "fields" => Ok(Self::Fields),
            "table" => Ok(Self::Table),
            "protobuf" => Ok(Self::Protobuf),
            _ => Err(CtlError::new(Exit::BadFeature, "unsupported output format")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Json => "json",
            Self::Fields => "fields",
            Self::Table => "table",
            Self::Protobuf => "protobuf",
        }
    }
}

/// Form and style of all answers of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) hex: bool,
    pub(crate) value_only: bool,
}

/// A response that can be printed in some of the formats; `None` where etcdctl has no such format.
pub(crate) trait Shown {
    fn simple(&self, style: &Printer) -> Option<Vec<u8>>;

    fn json(&self, style: &Printer) -> Option<String>;

    fn fields(&self, style: &Printer) -> Option<String>;

    fn table(&self) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Err(unsupported(Format::Protobuf))
    }
}

fn unsupported(format: Format) -> CtlError {
    CtlError::new(Exit::BadFeature, format!("{} not supported as output format", format.name()))
}

impl Printer {
    /// Writes one answer.
    pub(crate) fn show(&self, response: &impl Shown) -> Result<(), CtlError> {
        let missing = || unsupported(self.format);
        let bytes = match self.format {
            Format::Simple => response.simple(self).ok_or_else(missing)?,
            Format::Json => format!("{}\n", response.json(self).ok_or_else(missing)?).into_bytes(),
            Format::Fields => response.fields(self).ok_or_else(missing)?.into_bytes(),
            Format::Table => response.table().ok_or_else(missing)?.into_bytes(),
            Format::Protobuf => response.protobuf()?,
        };
        say(&bytes)
    }
}

/// Prints; a closed output is no error.
pub(crate) fn say(bytes: &[u8]) -> Result<(), CtlError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CtlError::error(format!("write the output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints messages beside the response on the error output.
#[expect(clippy::print_stderr, reason = "this is where etcdctl talks")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

fn header(header: Option<&ResponseHeader>) -> Object {
    let header = header.cloned().unwrap_or_default();
    Object::default()
        .number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
}

/// With ids as hexadecimal text.
fn hex_header(header: Option<&ResponseHeader>) -> Object {
    let header = header.cloned().unwrap_or_default();
    Object::default()
        .text("cluster_id", &format!("{:x}", header.cluster_id))
        .text("member_id", &format!("{:x}", header.member_id))
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
}

fn with_header(of: Option<&ResponseHeader>) -> Object {
    Object::default().object("header", of.is_some().then(|| header(of)))
}

fn header_fields(header: Option<&ResponseHeader>, style: &Printer) -> String {
    let header = header.cloned().unwrap_or_default();
    let mut text =
        format!("\"ClusterID\" : {}\n\"MemberID\" : {}\n", id(header.cluster_id, style), id(header.member_id, style));
    // Some answers carry none.
    if header.revision > 0 {
        text += &format!("\"Revision\" : {}\n", header.revision);
    }
    text + &format!("\"RaftTerm\" : {}\n", header.raft_term)
}

fn id(id: u64, style: &Printer) -> String {
    if style.hex { format!("{id:x}") } else { id.to_string() }
}
