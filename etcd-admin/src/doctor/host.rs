//! `doctor host`: this host, whether its member runs or not.

use super::disk::{DEFAULT_QUOTA, room, sync_time};
use super::environment::{clock, unit, user_of_unit};
use super::finding::{Finding, tell};
use super::lists::lists;
use super::ownership::owner;
use super::packages::packages;
use super::snapshots::snapshots;
use crate::cli::context::Context;
use admin_client::settings_of_file;
use admin_offline::data_dir::must_be_idle;
use admin_ui::error::CliError;
use certs::{HostCheck, Name, PrivateKey, Profile};
use config::{Endpoint, Url};
use std::path::Path;
use std::process::ExitCode;
use time::Duration;

/// When a certificate's end is near.
const WARN: Duration = Duration::days(30);

pub(super) fn doctor(context: &Context, config: &Path, no_probe: bool) -> Result<ExitCode, CliError> {
    let mut findings = vec![clock()];
    findings.extend(unit());
    findings.extend(packages());
    findings.extend(snapshots());
    match settings_of_file(config) {
        Err(reason) => findings.push(Finding::bad(
            "configuration",
            config.display(),
            reason,
            "mend the file: the daemon would not start",
        )),
        Ok(config::Loaded { settings, warnings, .. }) => {
            findings.push(Finding::good("configuration", config.display(), "the daemon would take it"));
            findings.extend(
                // etcd warns so of every file without a second listener, which is not needed here.
                warnings.iter().filter(|warning| warning.setting != "--listen-client-http-urls").map(|warning| {
                    Finding::warning(
                        "configuration",
                        config.display(),
                        warning.to_string(),
                        "correct or remove the setting",
                    )
                }),
            );
            findings.extend(of_settings(context, &settings, no_probe));
        }
    }
    tell(context, findings)
}

fn of_settings(context: &Context, settings: &config::Settings, no_probe: bool) -> Vec<Finding> {
    let data = &settings.member.data_dir;
    let quota = match settings.quota {
        config::Quota::Bytes(bytes) => bytes,
        config::Quota::Off => DEFAULT_QUOTA,
    };
    let mut findings = room(data, quota);
    findings.extend(owner(data, user_of_unit().as_deref()));
    findings.push(match must_be_idle(data) {
        Err(_) => Finding::good("process", data.display(), "a daemon uses the data"),
        Ok(()) => Finding::warning(
            "process",
            data.display(),
            "no daemon uses the data",
            "start it: systemctl start etcd-server; check the data with etcd-admin doctor offline",
        ),
    });
    if !no_probe {
        findings.push(sync_time(data));
    }
    let hosts = |urls: &[Url]| -> Vec<Name> {
        let host = |url: &Url| match url.endpoint() {
            Endpoint::Tcp { host, .. } => Name::parse(host).ok(),
            Endpoint::Unix(_) => None,
        };
        urls.iter().filter_map(host).collect()
    };
    let client = &settings.tls.client;
    if let (Some(cert), Some(key), Some(ca)) = (&client.cert_file, &client.key_file, &client.trusted_ca_file) {
        findings.extend(pair(context, Profile::Server, cert, key, ca, &hosts(&settings.listen.advertise_client)));
    }
    if let (Some(list), Some(ca)) = (&client.crl_file, &client.trusted_ca_file) {
        findings.extend(lists(context.now, list, ca));
    }
    let peer = &settings.tls.peer.listener;
    if let (Some(cert), Some(key), Some(ca)) = (&peer.cert_file, &peer.key_file, &peer.trusted_ca_file) {
        findings.extend(pair(context, Profile::Peer, cert, key, ca, &hosts(&settings.listen.advertise_peer)));
    }
    if let (Some(list), Some(ca)) = (&peer.crl_file, &peer.trusted_ca_file) {
        findings.extend(lists(context.now, list, ca));
    }
    findings
}

/// Checks a certificate with its key and its CA.
pub(super) fn pair(
    context: &Context,
    profile: Profile,
    cert: &Path,
    key: &Path,
    ca: &Path,
    wanted: &[Name],
) -> Vec<Finding> {
    let checked = || -> Result<Vec<certs::Finding>, CliError> {
        let (shown, cas) = (crate::host::certificates(cert)?, crate::host::certificates(ca)?);
        certs::files::check_private(key)?;
        let text = certs::files::read_text(key)?;
        let key = PrivateKey::from_pem(&text, None).map_err(|error| CliError::of_file(key, &error))?;
        let lists = [];
        let check = HostCheck {
            profile,
            shown: &shown,
            cas: &cas,
            revocation_lists: &lists,
            key: Some(&key),
            wanted,
            warn: WARN,
        };
        Ok(check.run(context.now))
    };
    match checked() {
        Err(failure) => {
            vec![Finding::bad(
                "certificate",
                cert.display(),
                failure.to_string(),
                "run etcd-admin cert verify for details",
            )]
        }
        Ok(found) => found
            .into_iter()
            .map(|found| Finding {
                check: "certificate",
                severity: found.severity,
                subject: cert.display().to_string(),
                text: found.text,
                remedy: found.remedy,
            })
            .collect(),
    }
}
