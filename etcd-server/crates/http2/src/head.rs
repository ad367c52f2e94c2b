//! Heads of requests: the fields of a header block, of which the application names those that it
//! reads.

use crate::static_table;
use std::fmt;
use std::sync::Arc;

/// Names of the fields that the application looks up. The position of a name is the [`Tag`] of its
/// field.
pub type FieldNames = &'static [&'static str];

/// The position of a field's name in [`FieldNames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub u8);

/// The tag of fields without a name in the list.
const NO_TAG: u8 = u8::MAX;

/// The role of a field in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Method,
    Scheme,
    Path,
    Authority,
    ContentLength,
    Regular,
    /// Not permitted in a request: an unknown pseudo-field, a field of HTTP/1.1 connections, or
    /// bytes that are no name or value (RFC 9113, section 8.2).
    Malformed,
}

/// A name and a value that a block spelled out.
#[derive(Debug)]
pub(crate) struct Entry {
    text: Box<[u8]>,
    name_bytes: usize,
    role: Role,
    tag: u8,
}

impl Entry {
    pub(crate) fn new(name: &[u8], value: &[u8], names: FieldNames) -> Self {
        let mut text = Vec::with_capacity(name.len() + value.len());
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        let role = if value.iter().copied().all(is_value_byte) { role_of(name) } else { Role::Malformed };
        Self { text: text.into(), name_bytes: name.len(), role, tag: tag_of(name, names) }
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.text[..self.name_bytes]
    }

    /// The size of an entry in a table and in a header list (RFC 7541, section 4.1).
    pub(crate) fn size(&self) -> usize {
        self.text.len() + 32
    }
}

/// A header field.
#[derive(Clone, Debug)]
pub(crate) enum Field {
    /// An entry of the fixed table, by its position from 0.
    Static(u8),
    Entry(Arc<Entry>),
}

impl Field {
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Static(position) => static_table::FIELDS[usize::from(*position)].0.as_bytes(),
            Self::Entry(entry) => entry.name(),
        }
    }

    pub(crate) fn value(&self) -> &[u8] {
        match self {
            Self::Static(position) => static_table::FIELDS[usize::from(*position)].1.as_bytes(),
            Self::Entry(entry) => &entry.text[entry.name_bytes..],
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Static(_) => role_of(self.name()),
            Self::Entry(entry) => entry.role,
        }
    }

    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Static(_) => self.name().len() + self.value().len() + 32,
            Self::Entry(entry) => entry.size(),
        }
    }

    fn tag(&self, names: FieldNames) -> u8 {
        match self {
            Self::Static(_) => tag_of(self.name(), names),
            Self::Entry(entry) => entry.tag,
        }
    }
}

fn tag_of(name: &[u8], names: FieldNames) -> u8 {
    let position = names.iter().position(|known| known.as_bytes() == name);
    position.and_then(|position| u8::try_from(position).ok()).unwrap_or(NO_TAG)
}

fn role_of(name: &[u8]) -> Role {
    match name {
        b":method" => Role::Method,
        b":scheme" => Role::Scheme,
        b":path" => Role::Path,
        b":authority" => Role::Authority,
        b"content-length" => Role::ContentLength,
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => Role::Malformed,
        _ if !name.is_empty() && name.iter().copied().all(is_name_byte) => Role::Regular,
        _ => Role::Malformed,
    }
}

/// Returns `true` for the characters of a token in lower case (RFC 9110, section 5.6.2).
fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The head of a request, or its trailers. Heads that a client repeats are shared.
#[derive(Default)]
pub struct Head {
    names: FieldNames,
    method: Option<Field>,
    scheme: Option<Field>,
    path: Option<Field>,
    authority: Option<Field>,
    fields: Vec<Field>,
    content_length: Option<u64>,
}

impl fmt::Debug for Head {
    /// Without the values of fields, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(self.path());
        f.debug_struct("Head").field("path", &path).field("fields", &self.fields.len()).finish_non_exhaustive()
    }
}

impl Head {
    pub(crate) fn new(names: FieldNames) -> Self {
        Self { names, ..Self::default() }
    }

    /// Adds a field; returns `false` if a request may not have it there.
    pub(crate) fn push(&mut self, field: Field) -> bool {
        let pseudo = match field.role() {
            Role::Malformed => return false,
            Role::Regular => {
                self.fields.push(field);
                return true;
            }
            Role::ContentLength => {
                let Some(length) = decimal(field.value()) else { return false };
                let same = self.content_length.is_none_or(|before| before == length);
                self.content_length = Some(length);
                self.fields.push(field);
                return same;
            }
            Role::Method => &mut self.method,
            Role::Scheme => &mut self.scheme,
            Role::Path => &mut self.path,
            Role::Authority => &mut self.authority,
        };
        // Once, and in front of all others.
        pseudo.replace(field).is_none() && self.fields.is_empty()
    }

    /// Returns `true` if these are the fields of a request (RFC 9113, section 8.3.1). CONNECT has
    /// neither scheme nor path.
    pub(crate) fn is_request(&self) -> bool {
        let Some(method) = &self.method else { return false };
        let has_target = self.scheme.is_some() && self.path.as_ref().is_some_and(|path| !path.value().is_empty());
        !method.value().is_empty()
            && if method.value() == b"CONNECT" {
                self.scheme.is_none() && self.path.is_none() && self.authority.is_some()
            } else {
                has_target
            }
    }

    /// Returns `true` if these can be trailers: there are no pseudo-fields.
    pub(crate) fn is_trailers(&self) -> bool {
        [&self.method, &self.scheme, &self.path, &self.authority].into_iter().all(Option::is_none)
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The value of `:method`.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        value(self.method.as_ref())
    }

    /// The value of `:scheme`; empty if there is none.
    #[must_use]
    pub fn scheme(&self) -> &[u8] {
        value(self.scheme.as_ref())
    }

    /// The value of `:path`; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        value(self.path.as_ref())
    }

    /// The value of `:authority`, as the client sent it; `None` if there is none.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.as_ref().map(Field::value)
    }

    /// The values of a field that the application named, in order.
    pub fn values(&self, tag: Tag) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.tag(self.names) == tag.0).map(Field::value)
    }

    /// The first value of a field that the application named.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&[u8]> {
        self.values(tag).next()
    }

    /// All fields but the pseudo-fields, in order: name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name(), field.value()))
    }
}

fn value(field: Option<&Field>) -> &[u8] {
    field.map_or(&[], Field::value)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}
