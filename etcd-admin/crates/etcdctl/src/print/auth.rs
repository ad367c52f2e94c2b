//! Users, roles, permissions.

use super::json::Object;
use super::{Printer, Shown, header_fields, with_header};
use crate::error::CtlError;
use crate::keys::prefix_end;
use go_text::quoted;
use prost::Message;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::{AuthRoleGetResponse, AuthStatusResponse, AuthUserGetResponse, ResponseHeader};

/// An answer that says no more than that it was done, or lists names.
pub(crate) struct TextResponse<'a, M> {
    pub(crate) text: String,
    pub(crate) header: Option<&'a ResponseHeader>,
    /// Name of the list, and the list.
    pub(crate) names: Option<(&'static str, &'a [String])>,
    pub(crate) message: &'a M,
}

impl<M: Message> Shown for TextResponse<'_, M> {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(self.text.clone().into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let object = with_header(self.header);
        Some(self.names.iter().fold(object, |object, (name, names)| object.texts(name, names)).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let head = header_fields(self.header, style);
        match self.names {
            None => Some(head),
            Some(("roles", roles)) => {
                let roles: String = roles.iter().map(|role| format!(" {}", quoted(role.as_bytes()))).collect();
                Some(format!("{head}\"Roles\" :{roles}\n"))
            }
            // etcdctl has no such form of users.
            Some(_) => None,
        }
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.message.encode_to_vec())
    }
}

pub(crate) struct AuthStatus(pub(crate) AuthStatusResponse);

impl Shown for AuthStatus {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        Some(
            format!("Authentication Status: {}\nAuthRevision: {}\n", self.0.enabled, self.0.auth_revision).into_bytes(),
        )
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(
            with_header(self.0.header.as_ref())
                .truth("enabled", self.0.enabled)
                .number("authRevision", self.0.auth_revision)
                .finish(),
        )
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.0.encode_to_vec())
    }
}

pub(crate) struct UserShown<'a> {
    pub(crate) name: &'a str,
    pub(crate) response: &'a AuthUserGetResponse,
}

impl Shown for UserShown<'_> {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let roles: String = self.response.roles.iter().map(|role| format!(" {role}")).collect();
        Some(format!("User: {}\nRoles:{roles}\n", self.name).into_bytes())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(with_header(self.response.header.as_ref()).texts("roles", &self.response.roles).finish())
    }

    fn fields(&self, _: &Printer) -> Option<String> {
        None
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.response.encode_to_vec())
    }
}

pub(crate) struct RoleShown<'a> {
    pub(crate) name: &'a str,
    pub(crate) response: &'a AuthRoleGetResponse,
}

impl Shown for RoleShown<'_> {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let mut out = format!("Role {}\n", self.name).into_bytes();
        for (head, other) in [("KV Read:\n", Type::Write), ("KV Write:\n", Type::Read)] {
            out.extend_from_slice(head.as_bytes());
            for permission in self.response.perm.iter().filter(|permission| permission.perm_type() != other) {
                out.push(b'\t');
                out.extend(range(&permission.key, &permission.range_end, true));
                out.push(b'\n');
            }
        }
        Some(out)
    }

    fn json(&self, _: &Printer) -> Option<String> {
        let object = |permission: &Permission| {
            let object = Object::default().number("permType", permission.perm_type);
            object.bytes("key", &permission.key).bytes("range_end", &permission.range_end)
        };
        Some(with_header(self.response.header.as_ref()).objects("perm", self.response.perm.iter().map(object)).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        let mut out = header_fields(self.response.header.as_ref(), style);
        for permission in &self.response.perm {
            let kind = permission.perm_type().as_str_name();
            out += &format!(
                "\"PermType\" :  {kind}\n\"Key\" : {}\n\"RangeEnd\" : {}\n",
                quoted(&permission.key),
                quoted(&permission.range_end)
            );
        }
        Some(out)
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.response.encode_to_vec())
    }
}

/// `key`, `[a, b)` or `[a, <open ended>`, with the prefix that it is.
fn range(key: &[u8], end: &[u8], with_prefix: bool) -> Vec<u8> {
    if end.is_empty() {
        return key.to_vec();
    }
    let mut out = [b"[", key, b", "].concat();
    out.extend_from_slice(if end == b"\0" { b"<open ended>" } else { end });
    if end != b"\0" {
        out.push(b')');
    }
    if with_prefix && prefix_end(key) == end {
        out.extend([b" (prefix ", key, b")"].concat());
    }
    out
}

/// A permission was taken back.
pub(crate) struct PermissionRevoked<'a, M> {
    pub(crate) role: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) end: &'a [u8],
    pub(crate) header: Option<&'a ResponseHeader>,
    pub(crate) message: &'a M,
}

impl<M: Message> Shown for PermissionRevoked<'_, M> {
    fn simple(&self, _: &Printer) -> Option<Vec<u8>> {
        let what: &[u8] = if self.end.is_empty() { b"key " } else { b"range " };
        let range = range(self.key, self.end, false);
        Some([b"Permission of ", what, &range, b" is revoked from role ", self.role.as_bytes(), b"\n"].concat())
    }

    fn json(&self, _: &Printer) -> Option<String> {
        Some(with_header(self.header).finish())
    }

    fn fields(&self, style: &Printer) -> Option<String> {
        Some(header_fields(self.header, style))
    }

    fn protobuf(&self) -> Result<Vec<u8>, CtlError> {
        Ok(self.message.encode_to_vec())
    }
}
