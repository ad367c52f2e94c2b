//! Members, alarms, leadership.

use super::json::{Object, list};
use super::{Printer, Shown, header_fields, hex_header, with_header};
use crate::error::CtlError;
use admin_ui::output::boxed;
use go_text::quoted;
use prost::Message;
use proto::etcdserverpb::{
    AlarmResponse, AlarmType, DowngradeResponse, Member, MemberListResponse, MoveLeaderResponse, ResponseHeader,
};

fn object(member: &Member, style: &Printer) -> Object {
    let id = if style.hex {
        Object::default().text("ID", &format!("{:x}", member.id))
    } else {
        Object::default().number("ID", member.id)
    };
    id.text("name", &member.name)
        .texts("peerURLs", &member.peer_ur_ls)
        .texts("clientURLs", &member.client_ur_ls)
        .truth("isLearner", member.is_learner)
}

fn head(header: Option<&ResponseHeader>, style: &Printer) -> Object {
    if style.hex { Object::default().object("header", Some(hex_header(header))) } else { with_header(header) }
}

/// All members.
pub(crate) struct MembersListed(pub(crate) MemberListResponse);

impl MembersListed {
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |member: &Member| {
            vec![
                format!("{:x}", member.id),
                if member.name.is_empty() { "unstarted" } else { "started" }.to_owned(),
                member.name.clone(),
                member.peer_ur_ls.join(","),
                member.client_ur_ls.join(","),
                member.is_learner.to_string(),
            ]
        };
        self.0.members.iter().map(row).collect()
    }
}

impl Shown for MembersListed {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(self.rows().iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes())
    }

    fn json(&self, style: &Printer) -> Option<String> {
        Some(
            head(self.0.header.as_ref(), style)
                .objects("members", self.0.members.iter().map(|member| object(member, style)))
                .finish(),
        )
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let mut out = header_fields(self.0.header.as_ref(), style);
        for member in &self.0.members {
            out +=
                &format!("\"ID\" : {}\n\"Name\" : {}\n", super::id(member.id, style), quoted(member.name.as_bytes()));
            out.extend(member.peer_ur_ls.iter().map(|url| format!("\"PeerURL\" : {}\n", quoted(url.as_bytes()))));
            out.extend(member.client_ur_ls.iter().map(|url| format!("\"ClientURL\" : {}\n", quoted(url.as_bytes()))));
            out += &format!("\"IsLearner\" : {}\n\n", member.is_learner);
        }
        Some(out)
    }

    fn table(&self) -> Option<String> {
        Some(boxed(&["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"], &self.rows()))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.0.encode_to_vec())
    }
}

/// A member was added, removed, updated or promoted.
pub(crate) struct MemberChanged<'a, M> {
    /// The line that says so.
    pub(crate) text: String,
    pub(crate) message: M,
    pub(crate) header: Option<&'a ResponseHeader>,
    /// The new one, where one was added.
    pub(crate) member: Option<&'a Member>,
    pub(crate) members: &'a [Member],
}

impl<M: Message> Shown for MemberChanged<'_, M> {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("{}\n", self.text).into_bytes())
    }

    fn json(&self, style: &Printer) -> Option<String> {
        let member = self.member.map(|member| object(member, style));
        let members = self.members.iter().map(|member| object(member, style));
        Some(head(self.header, style).object("member", member).objects("members", members).finish())
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.message.encode_to_vec())
    }
}

pub(crate) struct Alarms(pub(crate) AlarmResponse);

impl Shown for Alarms {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let line = |alarm: &proto::etcdserverpb::AlarmMember| {
            let kind = if alarm.alarm() == AlarmType::None {
                String::new()
            } else {
                format!("alarm:{} ", alarm.alarm().as_str_name())
            };
            let member = if alarm.member_id == 0 { String::new() } else { format!("memberID:{} ", alarm.member_id) };
            format!("{member}{kind}\n")
        };
        Some(self.0.alarms.iter().map(line).collect::<String>().into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let alarm = |alarm: &proto::etcdserverpb::AlarmMember| {
            Object::default().number("memberID", alarm.member_id).number("alarm", alarm.alarm)
        };
        Some(with_header(self.0.header.as_ref()).objects("alarms", self.0.alarms.iter().map(alarm)).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let mut out = header_fields(self.0.header.as_ref(), style);
        for alarm in &self.0.alarms {
            out += &format!(
                "\"MemberID\" : {}\n\"AlarmType\" : {}\n\n",
                super::id(alarm.member_id, style),
                alarm.alarm().as_str_name()
            );
        }
        Some(out)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.0.encode_to_vec())
    }
}

/// Leadership went from one to another.
pub(crate) struct Moved {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) response: MoveLeaderResponse,
}

impl Shown for Moved {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("Leadership transferred from {:x} to {:x}\n", self.from, self.to).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(with_header(self.response.header.as_ref()).finish())
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.response.encode_to_vec())
    }
}

/// A JSON list of objects.
pub(super) fn array(objects: impl IntoIterator<Item = Object>) -> String {
    list(objects.into_iter().map(Object::finish))
}

/// A downgrade was validated, enabled or cancelled.
pub(crate) struct Downgraded {
    /// `validate`, `enable` or `cancel`.
    pub(crate) done: &'static str,
    pub(crate) response: DowngradeResponse,
}

impl Shown for Downgraded {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(format!("Downgrade {} success, cluster version {}\n", self.done, self.response.version).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(with_header(self.response.header.as_ref()).text("version", &self.response.version).finish())
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.response.encode_to_vec())
    }
}
