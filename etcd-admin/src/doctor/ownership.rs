//! Owners of the files below a data directory.

use super::finding::Finding;
use nix::unistd::{Gid, Group, Uid, User};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Returns the finding about the owners below `data`. The member runs as `user`, or as the owner of
/// the directory if that is not known.
pub(super) fn owner(data: &Path, user: Option<&str>) -> Option<Finding> {
    let directory = std::fs::metadata(data).ok()?;
    let known = user.and_then(|name| User::from_name(name).ok().flatten());
    let wanted = known.as_ref().map_or(Uid::from_raw(directory.uid()), |user| user.uid);
    let group = known.as_ref().map_or(Gid::from_raw(directory.gid()), |user| user.gid);
    let mut foreign = Vec::new();
    collect(data, wanted, &mut foreign);
    let Some((path, owner)) = foreign.first() else {
        return Some(Finding::good("owner", data.display(), format!("all files belong to {}", name_of(wanted))));
    };
    let text = format!(
        "{} and {} more belong to {}, and the member runs as {}: it cannot open them; the data is not lost",
        path.display(),
        foreign.len() - 1,
        name_of(*owner),
        name_of(wanted)
    );
    let remedy = format!(
        "chown -R {}:{} {}, then systemctl start etcd-server",
        name_of(wanted),
        name_of_group(group),
        data.display()
    );
    Some(Finding::bad("owner", data.display(), text, remedy))
}

/// Adds the files of other users than `wanted`, in the order of the directory.
fn collect(path: &Path, wanted: Uid, foreign: &mut Vec<(PathBuf, Uid)>) {
    let Ok(found) = std::fs::symlink_metadata(path) else { return };
    if found.uid() != wanted.as_raw() {
        foreign.push((path.to_owned(), Uid::from_raw(found.uid())));
    }
    if !found.is_dir() {
        return;
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    below.iter().for_each(|path| collect(path, wanted, foreign));
}

fn name_of(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

fn name_of_group(group: Gid) -> String {
    Group::from_gid(group).ok().flatten().map_or_else(|| group.to_string(), |group| group.name)
}
