//! Metrics of the last run of `snapshot save`, for the textfile collector of the node exporter.
//!
//! A run that saved nothing keeps the samples of the last snapshot.

use super::manifest::Manifest;
use admin_ui::error::CliError;
use std::path::Path;

/// The result of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run<'a> {
    Saved { manifest: &'a Manifest, unix_seconds: i64 },
    Skipped,
    Failed,
}

/// Name, help text.
const OF_RUN: [(&str, &str); 3] = [
    ("etcd_snapshot_last_run_timestamp_seconds", "Time of the last run of etcd-admin snapshot save on this host."),
    ("etcd_snapshot_last_run_failed", "1 if the last run failed."),
    ("etcd_snapshot_last_run_skipped", "1 if the last run left the snapshot to another member."),
];
const OF_SNAPSHOT: [(&str, &str); 3] = [
    ("etcd_snapshot_timestamp_seconds", "Time of the last snapshot that was saved on this host."),
    ("etcd_snapshot_size_bytes", "Size of the last snapshot that was saved on this host."),
    ("etcd_snapshot_revision", "Revision of the last snapshot that was saved on this host."),
];

/// Replaces the file with the metrics of a run. All users may read it: the collector has one of its
/// own.
pub(super) fn write(path: &Path, run: Run<'_>, now: i64) -> Result<(), CliError> {
    let before = std::fs::read_to_string(path).unwrap_or_default();
    Ok(certs::files::replace(path, page(&before, run, now).as_bytes(), 0o644)?)
}

fn page(before: &str, run: Run<'_>, now: i64) -> String {
    let flag = |is_set: bool| i64::from(is_set);
    let values = [now, flag(matches!(run, Run::Failed)), flag(matches!(run, Run::Skipped))];
    let mut page = String::new();
    for ((name, help), value) in OF_RUN.iter().zip(values) {
        page += &family(name, help, &format!("{name} {value}"));
    }
    let samples: Vec<String> = match run {
        Run::Saved { manifest, unix_seconds } => {
            let values = [unix_seconds, i64::try_from(manifest.bytes).unwrap_or(i64::MAX), manifest.revision];
            let sample = |((name, _), value): (&(&str, &str), i64)| {
                format!("{name}{{cluster_id=\"{}\"}} {value}", manifest.cluster_id)
            };
            OF_SNAPSHOT.iter().zip(values).map(sample).collect()
        }
        Run::Skipped | Run::Failed => before.lines().map(str::to_owned).collect(),
    };
    for (name, help) in OF_SNAPSHOT {
        let sample = samples.iter().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        page += &sample.map_or_else(String::new, |sample| family(name, help, sample));
    }
    page
}

fn family(name: &str, help: &str, sample: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n{sample}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_run_keeps_the_samples_of_the_last_snapshot() {
        let manifest = Manifest {
            api_version: String::new(),
            taken_at: String::new(),
            cluster_id: "a1".to_owned(),
            member: String::new(),
            server_version: String::new(),
            storage_version: String::new(),
            bytes: 4096,
            sha256: String::new(),
            revision: 7,
            revision_high_water: 7,
            total_keys: 1,
            hash: 0,
            hash_kv: 0,
            members: Vec::new(),
        };
        let samples =
            |page: &str| page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        let first = page("", Run::Failed, 50);
        assert_eq!(samples(&first).len(), 3, "{first}");
        let saved = page(&first, Run::Saved { manifest: &manifest, unix_seconds: 99 }, 100);
        let of_snapshot = ["etcd_snapshot_timestamp_seconds", "etcd_snapshot_size_bytes", "etcd_snapshot_revision"];
        let of_snapshot =
            of_snapshot.iter().zip([99, 4096, 7]).map(|(name, value)| format!("{name}{{cluster_id=\"a1\"}} {value}"));
        let of_snapshot: Vec<String> = of_snapshot.collect();
        assert_eq!(samples(&saved)[3..], of_snapshot);
        let mut last = saved;
        for (run, failed, skipped) in [(Run::Failed, 1, 0), (Run::Skipped, 0, 1)] {
            last = page(&last, run, 200);
            assert_eq!(samples(&last)[3..], of_snapshot, "{last}");
            let of_run = [("timestamp_seconds", 200), ("failed", failed), ("skipped", skipped)];
            assert_eq!(
                samples(&last)[..3],
                of_run.map(|(name, value)| format!("etcd_snapshot_last_run_{name} {value}"))
            );
        }
    }
}
