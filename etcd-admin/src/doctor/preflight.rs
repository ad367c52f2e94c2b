//! `preflight`: whether this host is fit to be the member that the document says, before anything
//! is changed.

use super::args::PreflightArgs;
use super::disk::{DEFAULT_QUOTA, room, sync_time};
use super::environment::{clock, name, port};
use super::finding::{Finding, tell};
use super::host::pair;
use super::ownership::owner;
use super::packages::packages;
use crate::cli::context::Context;
use crate::cluster_config::{ClusterFile, Host};
use admin_client::{Client, PageError, Settings, TlsFiles};
use admin_offline::data_dir::must_be_idle;
use admin_offline::data_dir::{has_member, is_real_etcds};
use admin_ui::error::CliError;
use certs::{Name, Profile};
use std::net::SocketAddr;
use std::process::ExitCode;

pub(super) fn preflight(context: &Context, args: &PreflightArgs) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(args.document.cluster.as_deref())?;
    let host = file.host(args.member.as_deref())?;
    let data = host.data_dir();
    let running = must_be_idle(&data).is_err();
    let mut findings = vec![members(&file), existing(&host, running), clock()];
    if data.is_dir() {
        findings.extend(owner(&data, Some(&file.user)));
    }
    findings.extend(packages());
    let quota = file.quota.as_ref().and_then(crate::cluster_config::Size::bytes).unwrap_or(DEFAULT_QUOTA);
    findings.extend(room(&data, quota));
    if !args.no_probe {
        findings.push(sync_time(&data));
    }
    let address = host.listen_address();
    for (what, number) in [("clients", file.client_port_of(host.entry)), ("members", file.peer_port_of(host.entry))] {
        findings.push(port(what, SocketAddr::new(address, number), running));
    }
    findings
        .extend(file.hosts().map(|other| name(&other.entry.name, &other.entry.host, file.peer_port_of(other.entry))));
    findings.extend(certificates(context, &host));
    findings.extend(peers(&host)?);
    tell(context, findings)
}

fn members(file: &ClusterFile) -> Finding {
    let count = file.members.len();
    match count {
        1 => Finding::warning(
            "members",
            &file.name,
            "one member: nothing may fail",
            "three members bear the loss of one",
        ),
        count if count % 2 == 0 => {
            let text = format!("{count} members bear no more failures than {}", count - 1);
            Finding::warning("members", &file.name, text, "take one more or one less")
        }
        count => Finding::good("members", &file.name, format!("{count} members, {} may fail", (count - 1) / 2)),
    }
}

fn existing(host: &Host<'_>, running: bool) -> Finding {
    let data = host.data_dir();
    if is_real_etcds(&data) {
        let remedy = "move it with etcd-admin adopt; the new member needs another data_dir";
        return Finding::bad("data", data.display(), "it holds the data of a real etcd", remedy);
    }
    match (has_member(&data), running) {
        (false, _) => Finding::good("data", data.display(), "it is empty"),
        (true, true) => Finding::good("data", data.display(), "the member runs"),
        (true, false) => {
            let remedy = "to start from scratch, move the directory away: a new cluster refuses an old member";
            Finding::warning("data", data.display(), "a member has been here", remedy)
        }
    }
}

fn certificates(context: &Context, host: &Host<'_>) -> Vec<Finding> {
    let wanted: Vec<Name> = host.certificate_names().iter().filter_map(|name| Name::parse(name).ok()).collect();
    if !host.file.tls.enabled {
        let remedy = "set tls.enabled, unless the network is all yours";
        return vec![Finding::warning("tls", &host.file.name, "connections are not encrypted", remedy)];
    }
    let dir = host.certificates();
    if !dir.join("current").exists() {
        return vec![Finding::warning(
            "certificate",
            dir.display(),
            "there are none yet",
            "etcd-admin init apply makes them, or requests for them",
        )];
    }
    let current = dir.join("current");
    [(Profile::Server, "client-ca.crt"), (Profile::Peer, "peer-ca.crt")]
        .into_iter()
        .flat_map(|(profile, bundle)| {
            let file = |end: &str| current.join(format!("{}.{end}", profile.name()));
            pair(context, profile, &file("crt"), &file("key"), &current.join(bundle), &wanted)
        })
        .collect()
}

/// Tries the peer URL of every other member with the certificate of this host: what a member that
/// starts here would meet.
fn peers(host: &Host<'_>) -> Result<Vec<Finding>, CliError> {
    let dir = host.certificates().join("current");
    let file = |name: &str| Some(dir.join(name));
    let has_files = host.file.tls.enabled && dir.exists();
    if host.file.tls.enabled && !has_files {
        return Ok(Vec::new());
    }
    let tls = if has_files {
        TlsFiles { cacert: file("peer-ca.crt"), cert: file("peer.crt"), key: file("peer.key"), ..TlsFiles::default() }
    } else {
        TlsFiles::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(admin_ui::error::FAILED, format!("start: {error}")))?;
    let others = host.file.hosts().filter(|other| other.entry.name != host.entry.name);
    let found = others.map(|other| {
        let url = other.peer_url();
        let client = match Client::new(Settings::plain(&url, tls.clone())) {
            Ok(client) => client,
            Err(error) => return Finding::bad("peer", url, error.to_string(), "etcd-admin cert verify"),
        };
        match runtime.block_on(client.page("/raft/probing")) {
            Ok(_) | Err(PageError::Status(_)) => Finding::good("peer", url, format!("{} answers", other.entry.name)),
            Err(PageError::Broken(broken)) if broken.is_unreachable() => {
                let text = format!("{} does not respond: {}", other.entry.name, broken.without_endpoint());
                Finding::warning(
                    "peer",
                    url,
                    text,
                    "expected before that member is started; else open the port in the firewall",
                )
            }
            Err(error) => {
                let remedy = "compare peer-ca.crt, peer.crt and the names in it on both hosts: etcd-admin doctor host";
                Finding::bad("peer", url, format!("{}: {error}", other.entry.name), remedy)
            }
        }
    });
    Ok(found.collect())
}
