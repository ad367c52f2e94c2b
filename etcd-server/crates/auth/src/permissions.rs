//! The key permissions of a user: the union over its roles.

use crate::coverage::Coverage;
use proto::authpb::{Permission, Role, permission};
use types::KeyRange;

/// The kind of access to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// See them: range, watch, compare, previous values.
    Read,
    /// Change them: put, delete.
    Write,
}

/// A user's permissions on keys, computed once per user and thrown away when the user or one of its
/// roles changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyPermissions {
    read: Coverage,
    write: Coverage,
}

impl KeyPermissions {
    /// Returns the union of the permissions of `roles`. Permission types that etcd does not know
    /// grant nothing.
    pub(crate) fn of<'a>(roles: impl Iterator<Item = &'a Role>) -> Self {
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for permission in roles.flat_map(|role| &role.key_permission) {
            let Some(range) = granted_range(permission) else { continue };
            match permission::Type::try_from(permission.perm_type) {
                Ok(permission::Type::Read) => read.push(range),
                Ok(permission::Type::Write) => write.push(range),
                Ok(permission::Type::Readwrite) => {
                    read.push(range.clone());
                    write.push(range);
                }
                Err(_) => {}
            }
        }
        Self { read: Coverage::union(&read), write: Coverage::union(&write) }
    }

    /// Returns `true` if every key of `range` may be accessed so.
    pub(crate) fn allow(&self, access: Access, range: &KeyRange) -> bool {
        match access {
            Access::Read => self.read.covers(range),
            Access::Write => self.write.covers(range),
        }
    }
}

/// The keys a permission is about. Data written by old servers may hold the empty key; etcd treats
/// it as "above every key", so it grants nothing, and must not be read as "from the first key on".
fn granted_range(permission: &Permission) -> Option<KeyRange> {
    let legal = !permission.key.is_empty();
    legal.then(|| KeyRange::from_wire(permission.key.clone(), permission.range_end.clone()))
}

/// Returns `true` if a permission may be granted on this range: the key is not empty, and the end
/// is absent, open (`"\0"`), or above the key.
pub(crate) fn is_grantable(permission: &Permission) -> bool {
    let range = KeyRange::from_wire(permission.key.clone(), permission.range_end.clone());
    !permission.key.is_empty() && !range.is_empty()
}
