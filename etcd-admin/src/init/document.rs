//! `init new` and `init render`: from words to a document, from a document to files.

use super::args::NewArgs;
use super::files::{Change, files_of};
use crate::cli::context::Context;
use crate::cluster_config::{ClusterFile, MemberEntry};
use admin_ui::error::{CliError, FAILED};
use admin_ui::output::{print_result, say};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn new(args: &NewArgs) -> Result<ExitCode, CliError> {
    let members = args.members.iter().map(|arg| entry(arg)).collect::<Result<Vec<_>, _>>()?;
    let mut file = ClusterFile::new(&args.name, members, format!("{}-{}", args.name, random()?));
    if let Some(directory) = &args.dir {
        place_below(&mut file, directory)?;
    }
    say(&text_of(&file)?).map(|()| ExitCode::SUCCESS)
}

/// Returns the document as text, which is read again before it is given out.
pub(super) fn text_of(file: &ClusterFile) -> Result<String, CliError> {
    let text = serde_norway::to_string(file).map_err(|error| CliError::new(FAILED, format!("write YAML: {error}")))?;
    ClusterFile::parse(&text).map_err(CliError::usage)?;
    Ok(format!("# An etcd cluster; etcd-admin init schema lists all settings.\n{text}"))
}

/// Reads `NAME=HOST`, `NAME=HOST:CLIENT-PORT:PEER-PORT`, with an IPv6 address in brackets where
/// ports follow.
pub(super) fn entry(arg: &str) -> Result<MemberEntry, CliError> {
    let wrong = || {
        CliError::usage(format!("{arg}: write NAME=HOST or NAME=HOST:CLIENT-PORT:PEER-PORT, such as etcd1=10.0.0.11"))
    };
    let (name, place) = arg.split_once('=').ok_or_else(wrong)?;
    let (host, ports) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, ports)) => (host, Some(ports.strip_prefix(':').ok_or_else(wrong)?)),
        None if place.matches(':').count() == 2 => {
            place.split_once(':').map_or((place, None), |(host, ports)| (host, Some(ports)))
        }
        None => (place, None),
    };
    // An IPv6 address without brackets and ports has colons too.
    let (host, ports) = if place.parse::<std::net::Ipv6Addr>().is_ok() { (place, None) } else { (host, ports) };
    let mut entry = MemberEntry::new(name, host);
    if let Some(ports) = ports {
        let (client, peer) = ports.split_once(':').ok_or_else(wrong)?;
        entry.client_port = Some(client.parse().map_err(|_| wrong())?);
        entry.peer_port = Some(peer.parse().map_err(|_| wrong())?);
    }
    Ok(entry)
}

/// Places all that belongs to the members below one directory, each under its name, so that several
/// fit on one host.
pub(super) fn place_below(file: &mut ClusterFile, directory: &Path) -> Result<(), CliError> {
    let absolute = std::path::absolute(directory).map_err(|error| CliError::at(directory, error))?;
    let below = |rest: &str| format!("{}/{{name}}/{rest}", absolute.display());
    file.data_dir = below("data");
    file.config_file = below("etcd.yaml");
    file.tls.directory = below("pki");
    // The schedule of the packages is one of a host with one member.
    file.backup = None;
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    if let Some(user) = own {
        file.user = user.name;
    }
    Ok(())
}

/// Sixteen digits that no other cluster has.
pub(super) fn random() -> Result<String, CliError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| CliError::new(FAILED, format!("draw a token: {error}")))?;
    Ok(certs::hex(&bytes))
}

#[derive(Debug, Serialize)]
struct Rendered {
    /// `true` if anything was written; in a dry run, whether it would be.
    changed: bool,
    dry_run: bool,
    files: Vec<PathBuf>,
    diff: Vec<Change>,
}

pub(super) fn render(context: &Context, cluster: Option<&Path>, out: &Path) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(cluster)?;
    let (mut files, mut diff) = (Vec::new(), Vec::new());
    for host in file.hosts() {
        for rendered in files_of(&host, &host.settings())? {
            let path = out.join(&host.entry.name).join(rendered.path.strip_prefix("/").unwrap_or(&rendered.path));
            if let Some(change) = Change::of_file(&path, &rendered.content)? {
                if !context.dry_run {
                    let above = path.parent().unwrap_or(out);
                    std::fs::create_dir_all(above).map_err(|error| CliError::at(above, error))?;
                    certs::files::replace(&path, rendered.content.as_bytes(), rendered.mode)?;
                }
                diff.push(change);
            }
            files.push(path);
        }
    }
    let report = Rendered { changed: !diff.is_empty(), dry_run: context.dry_run, files, diff };
    print_result(context.format, &report, || {
        let row = |path: &PathBuf| {
            let mark = if report.diff.iter().any(|change| change.path == *path) { "written" } else { "as it was" };
            let mark = if context.dry_run && mark == "written" { "would be written" } else { mark };
            format!("{}: {mark}\n", path.display())
        };
        report.files.iter().map(row).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_with_and_without_ports() {
        for (arg, host, ports) in [
            ("m1=10.0.0.1", "10.0.0.1", None),
            ("m1=etcd1.example.org", "etcd1.example.org", None),
            ("m1=127.0.0.1:12379:12380", "127.0.0.1", Some((12379, 12380))),
            ("m1=::1", "::1", None),
            ("m1=fd00::1:2:3", "fd00::1:2:3", None),
            ("m1=[::1]", "::1", None),
            ("m1=[::1]:2379:2380", "::1", Some((2379, 2380))),
        ] {
            let entry = entry(arg).unwrap();
            assert_eq!((entry.host.as_str(), entry.client_port.zip(entry.peer_port)), (host, ports), "{arg}");
        }
        for arg in ["m1", "m1=127.0.0.1:x:y", "m1=127.0.0.1:1:99999", "m1=[::1]2379:2380"] {
            assert!(entry(arg).is_err(), "{arg}");
        }
    }
}
