//! The permission rule, written down a second time and as simply as possible: the matrix compares
//! the daemon with this.

/// The caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    BadToken,
    ExpiredToken,
    /// A token of `both` from before the last change of users.
    OldToken,
    /// A user without roles.
    Bare,
    Reader,
    Writer,
    Both,
    /// Reads by two grants that touch, and writes one key.
    Pieces,
    Root,
    /// By the common name of a certificate: `both`.
    Certificate,
    /// A certificate of root and a token of `reader`.
    CertificateAndToken,
    /// A certificate of root on calls that come from a gateway.
    Gateway,
}

impl Who {
    pub(crate) const ALL: [Self; 13] = [
        Self::Nobody,
        Self::BadToken,
        Self::ExpiredToken,
        Self::OldToken,
        Self::Bare,
        Self::Reader,
        Self::Writer,
        Self::Both,
        Self::Pieces,
        Self::Root,
        Self::Certificate,
        Self::CertificateAndToken,
        Self::Gateway,
    ];

    /// The user that is meant, if any.
    pub(crate) fn user(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::BadToken | Self::ExpiredToken | Self::Gateway => None,
            Self::Bare => Some("bare"),
            Self::Reader | Self::CertificateAndToken => Some("reader"),
            Self::Writer => Some("writer"),
            Self::Both | Self::OldToken | Self::Certificate => Some("both"),
            Self::Pieces => Some("pieces"),
            Self::Root => Some("root"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Keys as a request names them.
pub(crate) type Range = (&'static [u8], &'static [u8]);

/// The permissions of the users' roles; every role has the name of its one user.
pub(crate) const GRANTS: [(&str, &[Access], Range); 6] = [
    ("reader", &[Access::Read], (b"b", b"d")),
    ("writer", &[Access::Write], (b"b", b"d")),
    ("both", &[Access::Read, Access::Write], (b"b", b"d")),
    ("pieces", &[Access::Read], (b"b", b"c")),
    ("pieces", &[Access::Read], (b"c", b"d")),
    ("pieces", &[Access::Write], (b"c", b"")),
];

/// The permissions that a call needs.
#[derive(Clone, Debug)]
pub(crate) enum Needs {
    Nothing,
    /// Every client may call it, but a token that is given must be valid.
    ValidTokenIfAny,
    AnyUser,
    User(&'static str),
    Role(&'static str),
    Keys(Vec<(Access, Range)>),
    Root,
}

/// The verdict on a call, as far as permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    /// Not a valid request, for any caller.
    Malformed,
    Nobody,
    BadToken,
    OldToken,
    Denied,
    /// JSON with a certificate that names a user.
    NotByGateway,
}

/// Every key that matters: around both edges of all grants, and far off. A range that is open
/// upwards holds the last.
const PROBES: [&[u8]; 16] = [
    b"\0",
    b"a",
    b"a\xff",
    b"b",
    b"b\0",
    b"b5",
    b"b\xff",
    b"c",
    b"c\0",
    b"c5",
    b"c\xff",
    b"d",
    b"d\0",
    b"e",
    b"\xff",
    b"\xff\xff\xff\xff",
];

fn holds((start, end): Range, key: &[u8]) -> bool {
    match end {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < end,
    }
}

fn may(user: &str, access: Access, (start, end): Range) -> bool {
    // A watch from the empty key begins at the first one.
    let start = if start.is_empty() { b"\0" } else { start };
    let granted =
        |key: &[u8]| GRANTS.iter().any(|(of, what, range)| *of == user && what.contains(&access) && holds(*range, key));
    let asked: Vec<&[u8]> = PROBES.into_iter().filter(|key| holds((start, end), key)).collect();
    // Where no key can lie, the first one counts.
    user == "root" || granted(start) && asked.iter().all(|key| granted(key))
}

/// The rule.
pub(crate) fn verdict(who: Who, needs: &Needs) -> Verdict {
    let given = |allowed: bool| if allowed { Verdict::Passes } else { Verdict::Denied };
    match (needs, who) {
        (Needs::Nothing, _) => return Verdict::Passes,
        (_, Who::BadToken | Who::ExpiredToken) => return Verdict::BadToken,
        (Needs::ValidTokenIfAny, _) => return Verdict::Passes,
        _ => {}
    }
    let Some(user) = who.user() else { return Verdict::Nobody };
    match needs {
        Needs::Nothing | Needs::ValidTokenIfAny | Needs::AnyUser => Verdict::Passes,
        Needs::User(name) | Needs::Role(name) => given(user == *name || user == "root"),
        Needs::Root => given(user == "root"),
        Needs::Keys(_) if who == Who::OldToken => Verdict::OldToken,
        Needs::Keys(keys) => given(keys.iter().all(|(access, range)| may(user, *access, *range))),
    }
}
