//! Keys of [`Table::History`](crate::Table::History): replaced versions clustered by user key,
//! newest first.
//!
//! Form: user key with each `00` written as `00 FF`, the terminator `00 01`, then main and sub
//! revision inverted and big-endian. Escaping keeps the order of user keys, and no user key's form
//! is a prefix of another's.

use types::{Fault, Revision};

pub(crate) const REVISION_BYTES: usize = 12;
const TERMINATOR: [u8; 2] = [0, 1];
const AFTER_TERMINATOR: [u8; 2] = [0, 2];

/// Appends the form of `user_key` that all its versions share.
pub fn push_prefix(out: &mut Vec<u8>, user_key: &[u8]) {
    push_escaped(out, user_key);
    out.extend_from_slice(&TERMINATOR);
}

/// Appends a key that lies above every version of `user_key` and below every larger user key.
pub fn push_after(out: &mut Vec<u8>, user_key: &[u8]) {
    push_escaped(out, user_key);
    out.extend_from_slice(&AFTER_TERMINATOR);
}

/// Turns a prefix made by [`push_prefix`] into the key above all its versions.
pub fn prefix_to_after(prefix: &mut [u8]) {
    if let Some(last) = prefix.last_mut() {
        *last = AFTER_TERMINATOR[1];
    }
}

/// Appends the inverted revision, so that newer versions sort first.
pub fn push_revision(out: &mut Vec<u8>, revision: Revision) {
    out.extend_from_slice(&(!revision.main.cast_unsigned()).to_be_bytes());
    out.extend_from_slice(&(!sub_to_stored(revision.sub)).to_be_bytes());
}

/// The key of one version.
pub fn encode(user_key: &[u8], revision: Revision) -> Vec<u8> {
    let mut out = Vec::with_capacity(user_key.len() + TERMINATOR.len() + REVISION_BYTES);
    push_prefix(&mut out, user_key);
    push_revision(&mut out, revision);
    out
}

/// Splits a stored key into the prefix shared by all versions of its user key, and the revision.
pub fn split(stored: &[u8]) -> Result<(&[u8], Revision), Fault> {
    let (prefix, revision) = stored
        .split_last_chunk::<REVISION_BYTES>()
        .ok_or_else(|| Fault::corrupt("history key", "shorter than its revision"))?;
    if !prefix.ends_with(&TERMINATOR) {
        return Err(Fault::corrupt("history key", "has no terminator"));
    }
    let (main, sub) = revision.split_at(8);
    let main = !u64::from_be_bytes(main.try_into().expect("eight bytes were split off"));
    let sub = !u32::from_be_bytes(sub.try_into().expect("four bytes were split off"));
    Ok((prefix, Revision::new(main.cast_signed(), i64::from(sub))))
}

/// The user key of a prefix returned by [`split`].
pub fn user_key(prefix: &[u8]) -> Vec<u8> {
    let escaped = prefix.strip_suffix(&TERMINATOR).unwrap_or(prefix);
    let mut out = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        out.push(byte);
        if byte == 0 {
            bytes.next();
        }
    }
    out
}

fn push_escaped(out: &mut Vec<u8>, user_key: &[u8]) {
    if !user_key.contains(&0) {
        out.extend_from_slice(user_key);
        return;
    }
    for &byte in user_key {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
}

/// Sub revisions count the changes of one request, which stay far below four thousand million.
pub(crate) fn sub_to_stored(sub: i64) -> u32 {
    u32::try_from(sub).expect("a request has fewer than 2^32 changes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_user_keys_is_kept_and_newer_versions_come_first() {
        let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\x01", b"a", b"a\0", b"a\xff"];
        for pair in keys.windows(2) {
            assert!(encode(pair[0], Revision::new(1, 0)) < encode(pair[1], Revision::new(9, 9)), "{pair:?}");
        }
        assert!(encode(b"a", Revision::new(9, 1)) < encode(b"a", Revision::new(9, 0)));
        assert!(encode(b"a", Revision::new(9, 0)) < encode(b"a", Revision::new(8, 7)));
    }

    #[test]
    fn split_gives_back_what_was_encoded() {
        for key in [&b""[..], b"\0", b"plain", b"a\0\xff\0", &[0xff; 5]] {
            let stored = encode(key, Revision::new(i64::MAX, 77));
            let (prefix, revision) = split(&stored).unwrap();
            assert_eq!((user_key(prefix).as_slice(), revision), (key, Revision::new(i64::MAX, 77)));
        }
    }

    #[test]
    fn after_lies_between_a_key_and_the_next() {
        let mut after = Vec::new();
        push_after(&mut after, b"a");
        assert!(encode(b"a", Revision::new(0, 0)) < after && after < encode(b"a\0", Revision::new(i64::MAX, 0)));
    }

    #[test]
    fn short_or_unterminated_keys_are_damage() {
        assert!(split(b"short").is_err());
        assert!(split(&[1; 20]).is_err());
    }
}
