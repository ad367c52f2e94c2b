//! `support bundle`: a directory for support. Its index lists missing parts.
//!
//! Never keys or values: of the log only fields go in that are known to hold none, secret settings
//! are cut, and of certificates only the public content is read.

use super::args::BundleArgs;
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use crate::doctor::probe;
use crate::members::MemberStatus;
use admin_client::{Client, settings_of_file};
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Number of metric samples, so that rates can be computed.
const LOOKS: usize = 3;
/// Lines of the log, the newest.
const LOG_LINES: usize = 20_000;
/// Fields of a log line whose text goes in. All others may hold data of clients.
const LOG_FIELDS: [&str; 24] = [
    "level",
    "ts",
    "caller",
    "msg",
    "logger",
    "error",
    "took",
    "expected-duration",
    "prefix",
    "member",
    "local-member-id",
    "remote-peer-id",
    "remote-peer-urls",
    "cluster-id",
    "name",
    "address",
    "endpoint",
    "etcd-version",
    "server-version",
    "cluster-version",
    "data-dir",
    "signal",
    "method",
    "alarm",
];
/// Of which the text may still quote a request.
const QUOTING: [&str; 2] = ["error", "prefix"];

#[derive(Debug, Serialize)]
struct Piece {
    file: &'static str,
    /// Member that it is of; empty for the host and the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    of: String,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Bundle {
    changed: bool,
    dry_run: bool,
    dir: PathBuf,
    pieces: Vec<Piece>,
}

pub(super) async fn bundle(context: &Context, client: &Client, args: &BundleArgs) -> Result<ExitCode, CliError> {
    let stamp = certs::rfc3339(context.now).replace([':', '-'], "");
    let dir = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("etcd-support-{stamp}")));
    if dir.exists() {
        return Err(CliError::refused(format!("{} is there already: name another directory", dir.display())));
    }
    let mut bundle = Bundle { changed: true, dry_run: context.dry_run, dir, pieces: Vec::new() };
    if !context.dry_run {
        certs::files::private_dir(&bundle.dir)?;
        bundle.host(args)?;
        bundle.cluster(client, args).await?;
        let index = json!({ "version": env!("CARGO_PKG_VERSION"), "taken_at": certs::rfc3339(context.now), "pieces": bundle.pieces });
        write(&bundle.dir.join("index.json"), &pretty(&index))?;
    }
    print_result(context.format, &bundle, || {
        let lead = if bundle.dry_run { "would write " } else { "" };
        let failed = bundle.pieces.iter().filter_map(|piece| {
            let error = piece.error.as_ref()?;
            Some(format!("not had: {} {}: {error}\n", piece.file, piece.of))
        });
        let failed: String = failed.collect();
        format!("{lead}{}\n{failed}It has no keys and no values; review it before you send it.\n", bundle.dir.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn pretty(value: &impl Serialize) -> String {
    // Made of plain values, which JSON can always say.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    Ok(certs::files::create(path, text.as_bytes(), 0o600)?)
}

impl Bundle {
    fn put(&mut self, file: &'static str, of: &str, content: Result<String, String>) -> Result<(), CliError> {
        let (text, error) = match content {
            Ok(text) => (text, None),
            Err(error) => (String::new(), Some(error)),
        };
        if error.is_none() {
            let name = if of.is_empty() { file.to_owned() } else { format!("{of}-{file}") };
            // A member's name is no path.
            write(&self.dir.join(name.replace('/', "_")), &text)?;
        }
        self.pieces.push(Piece { file, of: of.to_owned(), bytes: text.len(), error });
        Ok(())
    }

    fn host(&mut self, args: &BundleArgs) -> Result<(), CliError> {
        self.put("settings.yaml", "", settings(&args.config))?;
        let loaded = settings_of_file(&args.config).map(|loaded| loaded.settings);
        let loaded = loaded.as_ref().map_err(String::clone);
        self.put("certificates.json", "", loaded.clone().map(certificates))?;
        self.put("disk.json", "", loaded.and_then(|settings| disk(&settings.member.data_dir)))?;
        self.put("unit.txt", "", said("systemctl", &["show", "etcd-server.service", "--no-pager"]))?;
        let log = match &args.log {
            Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())),
            None => said("journalctl", &["-u", "etcd-server", "-o", "cat", "-n", &LOG_LINES.to_string(), "--no-pager"]),
        };
        self.put("log.jsonl", "", log.map(|log| without_requests(&log)))
    }

    async fn cluster(&mut self, client: &Client, args: &BundleArgs) -> Result<(), CliError> {
        let view = match ClusterView::survey(client).await {
            Ok(view) => view,
            Err(failure) => return self.put("members.json", "", Err(failure.to_string())),
        };
        let members: Vec<_> = view.members.iter().map(|seen| MemberStatus::of(&view, seen)).collect();
        self.put("members.json", "", Ok(pretty(&members)))?;
        self.put("alarms.json", "", Ok(pretty(&view.alarms)))?;
        let reached: Vec<&Seen> = view.members.iter().filter(|seen| seen.status.is_ok()).collect();
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(args.interval).await;
            }
            for seen in &reached {
                let page = match client.at(seen.endpoint.as_deref().unwrap_or_default()) {
                    Ok(own) => own.metrics_page().await,
                    Err(error) => Err(error.to_string()),
                };
                self.put(["metrics-1.txt", "metrics-2.txt", "metrics-3.txt"][look], &seen.name(), page)?;
            }
        }
        Ok(())
    }
}

fn said(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }
}

/// The file with every secret setting cut, and the cluster's token, which joins members.
fn settings(config: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(config).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut root: serde_norway::Mapping = serde_norway::from_str(&text).map_err(|error| error.to_string())?;
    cut(&mut root, &[]);
    serde_norway::to_string(&root).map_err(|error| error.to_string())
}

fn cut(mapping: &mut serde_norway::Mapping, above: &[String]) {
    for (key, value) in mapping.iter_mut() {
        let mut path = above.to_vec();
        path.push(key.as_str().unwrap_or_default().to_ascii_lowercase());
        let name = path.last().map(String::as_str).unwrap_or_default();
        let row = config::row_at(&path);
        let secret =
            row.is_some_and(|row| row.secret) || ["token", "password", "secret"].iter().any(|arg| name.contains(arg));
        if let (serde_norway::Value::Mapping(below), false) = (&mut *value, secret) {
            cut(below, &path);
        } else if secret || row.is_none() {
            // Settings outside of the table may be anything.
            *value = "***".into();
        }
    }
}

fn certificates(settings: &config::Settings) -> String {
    let listeners = [&settings.tls.client, &settings.tls.peer.listener];
    let files = listeners.into_iter().flat_map(|listener| [&listener.cert_file, &listener.trusted_ca_file]).flatten();
    let report = files.map(|path| match crate::host::facts(path) {
        Ok(facts) => json!({
            "file": path,
            "subject": facts.subject,
            "issuer": facts.issuer,
            "names": facts.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "not_before": certs::rfc3339(facts.not_before),
            "not_after": certs::rfc3339(facts.not_after),
            "fingerprint": facts.fingerprint_hex(),
        }),
        Err(error) => json!({ "file": path, "error": error.to_string() }),
    });
    pretty(&report.collect::<Vec<_>>())
}

fn disk(data: &Path) -> Result<String, String> {
    probe(data).map(|found| pretty(&found)).map_err(|error| error.to_string())
}

/// Every line of the log with the fields that are known to hold nothing of a client's; lines that
/// are no JSON are counted and left out.
fn without_requests(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let newest = &lines[lines.len().saturating_sub(LOG_LINES)..];
    let mut other = 0;
    let mut kept: String = newest
        .iter()
        .filter_map(|line| match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(fields) => Some(format!("{}\n", Value::Object(harmless(fields)))),
            Err(_) => {
                other += 1;
                None
            }
        })
        .collect();
    if other > 0 {
        kept += &format!(
            "{}\n",
            json!({ "msg": "lines left out, because they are not of the daemon's own form", "lines": other })
        );
    }
    kept
}

fn harmless(fields: Map<String, Value>) -> Map<String, Value> {
    let kept = fields.into_iter().map(|(name, value)| {
        let report = match &value {
            Value::Number(_) | Value::Bool(_) | Value::Null => true,
            Value::String(text) => {
                LOG_FIELDS.contains(&name.as_str())
                    && !(QUOTING.contains(&name.as_str()) && text.contains(['"', '\'', '`']))
            }
            Value::Array(_) | Value::Object(_) => false,
        };
        (name, if report { value } else { "***".into() })
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_clients_is_in_a_kept_line() {
        let log = "{\"level\":\"warn\",\"ts\":\"2026\",\"msg\":\"slow\",\"took\":\"1s\",\"request\":\"key:canary\",\"range_end\":\"canary\",\
                   \"error\":\"no key \\\"canary\\\"\",\"size\":5,\"more\":[\"canary\"]}\ncanary: not JSON\n";
        let kept = without_requests(log);
        assert!(!kept.contains("canary") && kept.contains("\"took\":\"1s\"") && kept.contains("\"size\":5"), "{kept}");
        assert!(kept.contains("\"lines\":1"), "{kept}");
    }

    #[test]
    fn secrets_are_cut_and_unknown_settings_too() {
        let text = "name: m1\ninitial-cluster-token: canary\nauth-token: jwt,priv-key=canary\nmystery: canary\nclient-transport-security:\n  cert-file: /a.crt\n";
        let mut root: serde_norway::Mapping = serde_norway::from_str(text).unwrap();
        cut(&mut root, &[]);
        let report = serde_norway::to_string(&root).unwrap();
        assert!(!report.contains("canary") && report.contains("name: m1") && report.contains("/a.crt"), "{report}");
    }
}
