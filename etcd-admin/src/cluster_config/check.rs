//! Checks of `cluster.yaml` before it is used.

use super::document::{ClusterFile, MemberEntry, SCHEMA_VERSION};
use super::settings::OWN;
use certs::{KeyAlgorithm, Name};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Maximum number of voters that is advisable.
const MEMBERS_MAX: usize = 9;

pub(super) fn check(file: &ClusterFile) -> Result<(), String> {
    if file.schema != SCHEMA_VERSION {
        return Err(format!("schema: {} is not known here, only {SCHEMA_VERSION}", file.schema));
    }
    arg("name", &file.name)?;
    arg("token", &file.token)?;
    if file.members.is_empty() || file.members.len() > MEMBERS_MAX {
        return Err(format!("members: there are {}, and there have to be 1 to {MEMBERS_MAX}", file.members.len()));
    }
    file.members.iter().try_for_each(member)?;
    distinct("name", file.members.iter().map(|member| member.name.clone()))?;
    let places = |port: fn(&ClusterFile, &MemberEntry) -> u16| {
        file.members.iter().map(move |one| format!("{}:{}", one.host, port(file, one)))
    };
    let ports: [fn(&ClusterFile, &MemberEntry) -> u16; 2] = [ClusterFile::client_port_of, ClusterFile::peer_port_of];
    distinct("host and port", ports.into_iter().flat_map(places))?;
    if file.quota.as_ref().is_some_and(|quota| quota.bytes().is_none()) {
        return Err("quota: write bytes, or a number with KiB, MiB or GiB, such as 8GiB".to_owned());
    }
    if file.auto_compaction != "off" {
        config::duration(&file.auto_compaction)
            .map_err(|reason| format!("auto_compaction: {reason}; write a duration such as 1h, or off"))?;
    }
    if KeyAlgorithm::named(&file.tls.key).is_none() {
        let known = KeyAlgorithm::ALL.map(KeyAlgorithm::name).join(", ");
        return Err(format!("tls.key: {} is not a key algorithm; use one of {known}", file.tls.key));
    }
    if file.tls.days == 0 || file.tls.days > 36_500 {
        return Err("tls.days: 1 to 36500 days".to_owned());
    }
    let paths =
        [("data_dir", &file.data_dir), ("config_file", &file.config_file), ("tls.directory", &file.tls.directory)];
    let backups = file.backup.as_ref().map(|backup| ("backup.directory", &backup.directory));
    for (key, path) in paths.into_iter().chain(backups) {
        // They stand in units of systemd as they are.
        if !path.starts_with('/')
            || path
                .chars()
                .any(|letter| letter.is_whitespace() || letter.is_control() || matches!(letter, '%' | '"' | '\''))
        {
            return Err(format!("{key}: {path:?} is not an absolute path without blanks, quotes and percent signs"));
        }
    }
    if file.backup.as_ref().is_some_and(|backup| backup.calendar.trim().is_empty() || backup.calendar.contains('\n')) {
        return Err("backup.calendar: write a time as systemd does, such as *-*-* 00,12:00:00".to_owned());
    }
    let settings = std::iter::once(("settings", &file.settings));
    let more = file.members.iter().map(|member| ("members.settings", &member.settings));
    for (place, mapping) in settings.chain(more) {
        for key in mapping.keys() {
            let key = key.as_str().ok_or_else(|| format!("{place}: a key is not a string"))?;
            if OWN.contains(&key) {
                return Err(format!("{place}: {key} follows from other settings; set those"));
            }
        }
    }
    Ok(())
}

fn member(member: &MemberEntry) -> Result<(), String> {
    arg("members.name", &member.name)?;
    if member.host.contains("://") || Name::parse(&member.host).is_err() {
        return Err(format!(
            "members.host: {:?} is neither a name nor an address; ports have keys of their own",
            member.host
        ));
    }
    if member.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        return Err(format!(
            "members.host: {} is not reachable from other hosts; use `listen` for such an address",
            member.host
        ));
    }
    for name in &member.names {
        Name::parse(name).map_err(|error| format!("members.names: {error}"))?;
    }
    Ok(())
}

/// Checks a text that stands in flags, URLs and file names as it is.
fn arg(key: &str, text: &str) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(plain) || text.starts_with(['.', '-']) {
        return Err(format!("{key}: {text:?} has to be letters, digits, dots and dashes"));
    }
    Ok(())
}

fn distinct(what: &str, all: impl Iterator<Item = String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for one in all {
        if !seen.insert(one.clone()) {
            return Err(format!("members: {one} is the {what} of two"));
        }
    }
    Ok(())
}
