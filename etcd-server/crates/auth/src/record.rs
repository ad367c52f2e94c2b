//! The auth state in the tables: keys, values, and reading them back.
//!
//! Users and roles are stored under their names as encoded messages, byte for byte as etcd stores
//! them. An options message without content is kept (`22 00`), as etcd does for every user that was
//! added by 3.4 or later.

use crate::store::UserEntry;
use prost::Message;
use proto::authpb::{Role, User};
use schema::{Batch, Cursor, Table, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::Fault;

/// Key in [`Table::Meta`]: one byte, 0 or 1; absent means off.
const ENABLED_KEY: &[u8] = b"authEnabled";
/// Key in [`Table::Meta`]: eight bytes, big-endian.
const REVISION_KEY: &[u8] = b"authRevision";

pub(crate) fn read_enabled<V: View>(view: &V) -> Result<bool, Fault> {
    match view.get(Table::Meta, ENABLED_KEY)?.as_deref() {
        None | Some([0]) => Ok(false),
        Some([1]) => Ok(true),
        Some(other) => {
            Err(Fault::corrupt("auth switch", format_args!("{} bytes that are neither 0 nor 1", other.len())))
        }
    }
}

/// The stored auth revision; nothing on a store that has never been started.
pub(crate) fn read_revision<V: View>(view: &V) -> Result<Option<u64>, Fault> {
    let Some(value) = view.get(Table::Meta, REVISION_KEY)? else { return Ok(None) };
    let bytes: [u8; 8] = value
        .as_ref()
        .try_into()
        .map_err(|_| Fault::corrupt("auth revision", format_args!("{} bytes instead of 8", value.len())))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

pub(crate) fn read_users<V: View>(view: &V) -> Result<BTreeMap<String, Arc<UserEntry>>, Fault> {
    let mut users = BTreeMap::new();
    each_item(view, Table::Users, |key, value| {
        let name = name_of("user", key)?;
        let user = User::decode(value).map_err(|error| Fault::corrupt(format_args!("user record {name}"), error))?;
        must_be_named("user", key, &user.name)?;
        users.insert(name, Arc::new(UserEntry::new(user)));
        Ok(())
    })?;
    Ok(users)
}

pub(crate) fn read_roles<V: View>(view: &V) -> Result<BTreeMap<String, Arc<Role>>, Fault> {
    let mut roles = BTreeMap::new();
    each_item(view, Table::Roles, |key, value| {
        let name = name_of("role", key)?;
        let role = Role::decode(value).map_err(|error| Fault::corrupt(format_args!("role record {name}"), error))?;
        must_be_named("role", key, &role.name)?;
        roles.insert(name, Arc::new(role));
        Ok(())
    })?;
    Ok(roles)
}

fn each_item<V: View>(
    view: &V,
    table: Table,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut cursor = view.cursor(table, None)?;
    cursor.seek(&[])?;
    while let Some((key, value)) = cursor.item() {
        take(key, value)?;
        cursor.next()?;
    }
    Ok(())
}

fn name_of(kind: &str, key: &[u8]) -> Result<String, Fault> {
    String::from_utf8(key.to_vec())
        .map_err(|_| Fault::corrupt(format_args!("{kind} name {}", key.escape_ascii()), "not UTF-8"))
}

fn must_be_named(kind: &str, key: &[u8], name: &[u8]) -> Result<(), Fault> {
    let what = || format!("{kind} record {}", key.escape_ascii());
    if key == name {
        Ok(())
    } else {
        Err(Fault::corrupt(what(), format_args!("holds the name {}", name.escape_ascii())))
    }
}

pub(crate) fn write_enabled(batch: &mut dyn Batch, enabled: bool) {
    batch.put(Table::Meta, ENABLED_KEY, &[u8::from(enabled)]);
}

pub(crate) fn write_revision(batch: &mut dyn Batch, auth_revision: u64) {
    batch.put(Table::Meta, REVISION_KEY, &auth_revision.to_be_bytes());
}

pub(crate) fn write_user(batch: &mut dyn Batch, user: &User) {
    batch.put(Table::Users, &user.name, &user.encode_to_vec());
}

pub(crate) fn delete_user(batch: &mut dyn Batch, name: &str) {
    batch.delete(Table::Users, name.as_bytes());
}

pub(crate) fn write_role(batch: &mut dyn Batch, role: &Role) {
    batch.put(Table::Roles, &role.name, &role.encode_to_vec());
}

pub(crate) fn delete_role(batch: &mut dyn Batch, name: &str) {
    batch.delete(Table::Roles, name.as_bytes());
}
