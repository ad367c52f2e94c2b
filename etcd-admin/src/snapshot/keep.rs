//! snapshot prune and copy.

use super::args::PruneArgs;
use super::look::{Listed, snapshots};
use super::manifest::Manifest;
use crate::cli::context::Context;
use admin_client::download::{abandoned_parts, part_of, put_in_place};
use admin_offline::snapshot_file::{Digested, SnapshotFile};
use admin_ui::error::{CliError, FAILED};
use admin_ui::output::print_result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Pruned {
    changed: bool,
    dry_run: bool,
    kept: Vec<PathBuf>,
    removed: Vec<PathBuf>,
}

const DAY: i64 = 86_400;

/// Files that a rule keeps. `newest_first` is in that order.
fn kept_by_rules(newest_first: &[Listed], args: &PruneArgs) -> BTreeSet<PathBuf> {
    let mut kept: BTreeSet<PathBuf> =
        newest_first.iter().take(args.keep_last).map(|listed| listed.file.clone()).collect();
    let month = |seconds: i64| {
        let at = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        i64::from(at.year()) * 12 + i64::from(u8::from(at.month()))
    };
    let rules: [(usize, &dyn Fn(i64) -> i64); 4] = [
        (args.keep_hourly, &|seconds| seconds.div_euclid(3600)),
        (args.keep_daily, &|seconds| seconds.div_euclid(DAY)),
        // 1970 began on a Thursday; weeks begin on Mondays.
        (args.keep_weekly, &|seconds| (seconds.div_euclid(DAY) + 3).div_euclid(7)),
        (args.keep_monthly, &month),
    ];
    for (count, slot) in rules {
        let mut slots = BTreeSet::new();
        for listed in newest_first {
            let slot = slot(listed.unix_seconds);
            if slots.len() < count || slots.contains(&slot) {
                // The newest of each slot.
                if slots.insert(slot) {
                    kept.insert(listed.file.clone());
                }
            }
        }
    }
    kept
}

/// Returns `true` for a name that `snapshot save --dir` gives: `etcd-CLUSTER-REVISION-TIME.db`,
/// with a number where two fell into a second.
fn is_own_name(file: &Path) -> bool {
    let Some(stem) = file.file_stem().and_then(|stem| stem.to_str()) else { return false };
    let mut parts = stem.split('-');
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let is_time = |text: &str| text.len() == 16 && text.as_bytes()[8] == b'T' && text.ends_with('Z');
    parts.next() == Some("etcd")
        && parts.next().is_some_and(is_hex)
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_time)
        && parts.next().is_none_or(is_number)
        && parts.next().is_none()
}

pub(super) fn prune(context: &Context, args: &PruneArgs) -> Result<ExitCode, CliError> {
    let rules = args.keep_last + args.keep_hourly + args.keep_daily + args.keep_weekly + args.keep_monthly;
    if rules == 0 {
        return Err(CliError::usage(
            "no rule given: use --keep-last, --keep-hourly, --keep-daily, --keep-weekly or --keep-monthly",
        ));
    }
    // A file without a manifest, or with a name that an operator has given it, is neither counted
    // nor removed.
    let (known, others): (Vec<Listed>, Vec<Listed>) =
        snapshots(&args.dir)?.into_iter().partition(|listed| listed.manifest.is_some() && is_own_name(&listed.file));
    let parts = abandoned_parts(&args.dir).map_err(|error| CliError::at(&args.dir, error))?;
    let mut kept = kept_by_rules(&known, args);
    let good = known.iter().find(|listed| SnapshotFile::open(&listed.file, Digested::Required).is_ok());
    kept.extend(good.map(|listed| listed.file.clone()));
    kept.extend(others.into_iter().map(|listed| listed.file));
    let mut removed: Vec<PathBuf> =
        known.iter().map(|listed| listed.file.clone()).filter(|file| !kept.contains(file)).collect();
    if !context.dry_run {
        parts.iter().try_for_each(|part| std::fs::remove_file(part).map_err(|error| CliError::at(part, error)))?;
        for file in &removed {
            let failed = |error: std::io::Error| CliError::at(file, error);
            // The manifest last: a file without one would never be looked at again.
            std::fs::remove_file(file).map_err(failed)?;
            std::fs::remove_file(Manifest::path_of(file)).map_err(failed)?;
        }
    }
    removed.extend(parts);
    let report =
        Pruned { changed: !removed.is_empty(), dry_run: context.dry_run, kept: kept.into_iter().collect(), removed };
    print_result(context.format, &report, || {
        let lead = if report.dry_run { "would remove" } else { "removed" };
        let removed: String = report.removed.iter().map(|file| format!("{lead} {}\n", file.display())).collect();
        let kept: String = report.kept.iter().map(|file| format!("kept {}\n", file.display())).collect();
        if report.removed.is_empty() { format!("{kept}nothing to remove\n") } else { kept + &removed }
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Copied {
    changed: bool,
    file: PathBuf,
}

pub(super) fn copy(context: &Context, from: &Path, to: &Path) -> Result<ExitCode, CliError> {
    SnapshotFile::open(from, Digested::Required)?;
    let to = if to.is_dir() { to.join(from.file_name().unwrap_or_default()) } else { to.to_owned() };
    if to.exists() {
        return Err(CliError::refused(format!("{} is there already: nothing is overwritten", to.display())));
    }
    if context.dry_run {
        return admin_ui::output::say(&format!("would copy {} to {}\n", from.display(), to.display()))
            .map(|()| ExitCode::SUCCESS);
    }
    let part = part_of(&to);
    let failed = |error: std::io::Error| CliError::at(&part, error);
    // Read before anything is written; a file that is there already is left alone.
    let manifest = Manifest::read(from)?;
    let copied = || -> Result<(), CliError> {
        std::fs::copy(from, &part).map_err(failed)?;
        std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(failed)?;
        SnapshotFile::open(&part, Digested::Required)?;
        manifest.as_ref().map(|manifest| manifest.write(&to)).transpose()?;
        put_in_place(&part, &to).map_err(|error| CliError::new(FAILED, error.to_string()))
    };
    if let Err(failure) = copied() {
        // A full disk must not stay full because of it.
        drop(std::fs::remove_file(&part));
        return Err(failure);
    }
    let report = Copied { changed: true, file: to };
    print_result(context.format, &report, || format!("{}\n", report.file.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_tool_are_its_own() {
        for (name, own) in [
            ("etcd-a8c48912cf65ac2e-57-20261122T062001Z.db", true),
            ("etcd-a8c48912cf65ac2e-57-20261122T062001Z-2.db", true),
            ("before-upgrade.db", false),
            ("etcd-before-the-upgrade.db", false),
            ("etcd-a8c48912cf65ac2e-57-20261122T062001Z-keep.db", false),
            ("etcd-a8c48912cf65ac2e-57.db", false),
            ("etcd.db", false),
        ] {
            assert_eq!(is_own_name(Path::new(name)), own, "{name}");
        }
    }

    #[test]
    fn rules_keep_the_newest_of_each_slot() {
        let listed = |hours_ago: i64| Listed {
            file: format!("{hours_ago}.db").into(),
            bytes: 1,
            manifest: None,
            unix_seconds: 1_790_000_000 - hours_ago * 3600,
        };
        let all: Vec<Listed> = (0..24 * 70).map(listed).collect();
        let args = |last, hourly, daily, weekly, monthly| PruneArgs {
            dir: PathBuf::new(),
            keep_last: last,
            keep_hourly: hourly,
            keep_daily: daily,
            keep_weekly: weekly,
            keep_monthly: monthly,
        };
        let kept = |args: &PruneArgs| kept_by_rules(&all, args).len();
        assert_eq!(kept(&args(3, 0, 0, 0, 0)), 3);
        assert_eq!(kept(&args(3, 24, 0, 0, 0)), 24);
        assert_eq!(kept(&args(0, 0, 7, 0, 0)), 7);
        assert_eq!(kept(&args(0, 0, 0, 4, 0)), 4);
        assert_eq!(kept(&args(0, 0, 0, 0, 12)), 3, "from the 13th of July to the 21st of September");
        assert!(kept_by_rules(&all, &args(0, 1, 0, 0, 0)).contains(Path::new("0.db")));
        assert!(kept_by_rules(&[], &args(1, 1, 1, 1, 1)).is_empty());
    }
}
