//! Gathering of the facts about this host. Nothing is changed.

use super::args::HostArgs;
use super::facts::{Difference, HostFacts, UnusableFile};
use crate::cluster_view::{ClusterView, Seen};
use crate::init::{Conversion, Placement};
use admin_offline::data_dir::is_real_etcds;
use admin_ui::error::{CliError, NEEDS_CONFIRMATION};
use nix::sys::statvfs::statvfs;
use nix::unistd::User;
use serde_norway::{Mapping, Value};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The user of the packaged unit.
const DAEMON: &str = "etcd";
/// Settings that members of one cluster must share.
const SHARED: [&str; 11] = [
    "heartbeat-interval",
    "election-timeout",
    "quota-backend-bytes",
    "max-request-bytes",
    "max-txn-ops",
    "auto-compaction-mode",
    "auto-compaction-retention",
    "auth-token-ttl",
    "pre-vote",
    "feature-gates",
    "corrupt-check-time",
];
/// Settings with paths of files, each below one of the sections.
const SECTIONS: [&str; 2] = ["client-transport-security", "peer-transport-security"];
const FILES: [&str; 6] =
    ["cert-file", "key-file", "client-cert-file", "client-key-file", "trusted-ca-file", "crl-file"];

/// Reads the configuration of the etcd on this host, converted as for `migrate run`.
pub(super) fn conversion(args: &HostArgs) -> Result<Conversion, CliError> {
    let (from, data_dir) = (args.from.as_deref(), args.data_dir.as_deref());
    Conversion::read(from, data_dir, &args.leave_out, Placement::InPlace)
}

/// Returns the member of the cluster that a configuration describes.
pub(super) fn member_of<'a>(view: &'a ClusterView, conversion: &Conversion) -> Option<&'a Seen> {
    let urls = conversion.settings.get("initial-advertise-peer-urls").and_then(Value::as_str);
    let urls: Vec<String> = urls.unwrap_or_default().split(',').map(|url| url.trim().to_owned()).collect();
    view.members
        .iter()
        .find(|seen| seen.member.name == conversion.name && crate::members::has_urls(&seen.member, &urls))
}

/// Returns the facts about this host and its configuration.
///
/// # Errors
/// When no configuration is found, or a file to compare cannot be read.
pub(super) fn gather(args: &HostArgs, compare: &[PathBuf], view: &ClusterView) -> Result<HostFacts, CliError> {
    let conversion = match conversion(args) {
        Ok(conversion) => conversion,
        Err(error) if error.code() == NEEDS_CONFIRMATION => {
            let from = args.from.clone().unwrap_or_default();
            return Ok(HostFacts { from, unmapped: Some(error.to_string()), ..HostFacts::default() });
        }
        Err(error) => return Err(error),
    };
    let mut differences = Vec::new();
    for file in compare {
        let other = Conversion::read(Some(file), args.data_dir.as_deref(), &args.leave_out, Placement::InPlace)?;
        differences.extend(differing(&conversion.settings, &other.settings, file));
    }
    let data_dir = path(&conversion.settings, "data-dir");
    Ok(HostFacts {
        unmapped: None,
        name: conversion.name.clone(),
        is_member: member_of(view, &conversion).is_some(),
        has_data: conversion.old_data_dir.as_ref().is_some_and(|old| old.is_absolute() && is_real_etcds(old)),
        foreign_data_dir: data_dir.as_deref().and_then(foreign),
        mounted_wal_dir: conversion.old_wal_dir.clone().filter(|wal_dir| is_mounted(wal_dir)),
        differences,
        unusable: unusable(&conversion.settings),
        disk: data_dir.as_deref().and_then(disk),
        from: conversion.from,
    })
}

fn path(settings: &Mapping, key: &str) -> Option<PathBuf> {
    settings.get(key).and_then(Value::as_str).map(PathBuf::from)
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "the default".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_norway::to_string(value).unwrap_or_default().trim().to_owned(),
    }
}

fn differing(here: &Mapping, there: &Mapping, file: &Path) -> Vec<Difference> {
    let differs = |key: &&str| shown(here.get(*key)) != shown(there.get(*key));
    let difference = |key: &str| Difference {
        setting: key.to_owned(),
        here: shown(here.get(key)),
        there: shown(there.get(key)),
        file: file.to_owned(),
    };
    SHARED.iter().filter(|key| differs(key)).map(|key| difference(key)).collect()
}

/// Returns `true` for a directory on another filesystem than the one above it.
fn is_mounted(directory: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).ok().map(|found| found.dev());
    match (device(directory), directory.parent().and_then(device)) {
        (Some(own), Some(above)) => own != above,
        _ => false,
    }
}

/// Returns the reason for which the user of the packaged unit cannot keep its data in a directory,
/// or its unit refuses it; `None` where there is no such user.
fn foreign(directory: &Path) -> Option<String> {
    let (daemon, found) = (User::from_name(DAEMON).ok()??, std::fs::metadata(directory).ok()?);
    if found.uid() != daemon.uid.as_raw() {
        let owner = User::from_uid(found.uid().into()).ok().flatten();
        let owner = owner.map_or_else(|| found.uid().to_string(), |owner| owner.name);
        return Some(format!("{} belongs to {owner}, and the daemon runs as {DAEMON}", directory.display()));
    }
    let mode = found.mode() & 0o7777;
    (mode & 0o077 != 0)
        .then(|| format!("{} has mode {mode:04o}, and the packaged unit demands 0700", directory.display()))
}

/// Returns the free and all bytes of the filesystem of a directory, or of the first one above it
/// that exists.
fn disk(directory: &Path) -> Option<(u64, u64)> {
    let existing = directory.ancestors().find(|path| path.is_dir())?;
    let disk = statvfs(existing).ok()?;
    Some((disk.blocks_available() * disk.fragment_size(), disk.blocks() * disk.fragment_size()))
}

/// Returns the files of the configuration that the daemon cannot read or use.
fn unusable(settings: &Mapping) -> Vec<UnusableFile> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for section in SECTIONS {
        let Some(Value::Mapping(section)) = settings.get(section) else { continue };
        files.extend(FILES.iter().filter_map(|key| Some(((*key).to_owned(), path(section, key)?))));
    }
    let token = settings.get("auth-token").and_then(Value::as_str).unwrap_or_default();
    files.extend(
        token
            .split(',')
            .filter_map(|part| part.split_once('='))
            .filter(|(key, _)| key.ends_with("-key"))
            .map(|(key, path)| (format!("auth-token {key}"), PathBuf::from(path))),
    );
    let daemon = User::from_name(DAEMON).ok().flatten();
    files
        .into_iter()
        .filter(|(_, path)| !path.as_os_str().is_empty())
        .filter_map(|(setting, path)| {
            let reason = reason_against(&setting, &path, daemon.as_ref())?;
            Some(UnusableFile { setting, path, reason })
        })
        .collect()
}

fn reason_against(setting: &str, path: &Path, daemon: Option<&User>) -> Option<String> {
    let checked = match setting {
        "cert-file" | "client-cert-file" | "trusted-ca-file" => crate::host::certificates(path).map(|_| ()),
        "crl-file" => crate::host::revocation_lists(path).map(|_| ()),
        _ => std::fs::read(path).map(|_| ()).map_err(|error| CliError::at(path, error)),
    };
    if let Err(error) = checked {
        return Some(error.to_string());
    }
    let found = std::fs::metadata(path).ok()?;
    let daemon = daemon?;
    let may_read = match (found.uid() == daemon.uid.as_raw(), found.gid() == daemon.gid.as_raw()) {
        (true, _) => found.mode() & 0o400 != 0,
        (false, true) => found.mode() & 0o040 != 0,
        (false, false) => found.mode() & 0o004 != 0,
    };
    if !may_read {
        return Some(format!("mode {:04o} keeps the user {DAEMON} from reading it", found.mode() & 0o7777));
    }
    let is_key = setting.ends_with("key-file") || setting.ends_with("priv-key");
    // The packaged unit refuses keys that others can read.
    if is_key { certs::files::check_private(path).err().map(|error| error.to_string()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Mapping {
        serde_norway::from_str(text).unwrap()
    }

    #[test]
    fn shared_settings_are_compared_and_others_are_not() {
        let here = mapping("name: m1\nheartbeat-interval: 100\nelection-timeout: 1000\n");
        let there = mapping("name: m2\nheartbeat-interval: 250\nelection-timeout: 1000\nmax-txn-ops: 9\n");
        let found = differing(&here, &there, Path::new("m2"));
        let found: Vec<_> =
            found.iter().map(|one| (one.setting.as_str(), one.here.as_str(), one.there.as_str())).collect();
        assert_eq!(found, [("heartbeat-interval", "100", "250"), ("max-txn-ops", "the default", "9")]);
    }

    #[test]
    fn files_that_cannot_be_used_are_listed() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str| home.path().join(name).display().to_string();
        std::fs::write(file("key"), "key").unwrap();
        std::fs::write(file("bad.crt"), "none").unwrap();
        let settings = mapping(&format!(
            "auth-token: jwt,pub-key={},sign-method=RS256\nclient-transport-security:\n  cert-file: {}\n  key-file: {}\npeer-transport-security:\n  trusted-ca-file: {}\n",
            file("missing.pub"),
            file("bad.crt"),
            file("key"),
            file("missing.crt")
        ));
        let found: Vec<String> = unusable(&settings).into_iter().map(|file| file.setting).collect();
        // A machine with a user etcd may refuse the key, too.
        let found: Vec<&str> = found.iter().map(String::as_str).filter(|setting| *setting != "key-file").collect();
        assert_eq!(found, ["cert-file", "trusted-ca-file", "auth-token pub-key"]);
    }
}
