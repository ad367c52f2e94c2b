//! Settings of single features, the unsafe ones, and those that steer the program itself.

use crate::row::{Kind, Row};

pub(super) const ROWS: &[Row] = &[
    Row::new("feature-gates", Kind::Gates, "", "Features to turn on or off: Gate=true,Other=false."),
    Row::new(
        "corrupt-check-time",
        Kind::Duration,
        "0s",
        "Time between two comparisons of the members' data. 0 turns them off.",
    ),
    Row::new(
        "compact-hash-check-time",
        Kind::Duration,
        "1m0s",
        "Time between two comparisons of hashes taken at compactions; needs the gate CompactHashCheck.",
    ),
    Row::new(
        "compaction-batch-limit",
        Kind::Signed,
        "0",
        "Most revisions dropped in one step of a compaction. 0 stands for 1000.",
    ),
    Row::new("compaction-sleep-interval", Kind::Duration, "0s", "Pause between two such steps. 0 stands for 10ms."),
    Row::new(
        "watch-progress-notify-interval",
        Kind::Duration,
        "0s",
        "Time between progress notices of an idle watch. 0 stands for 10m, and 100ms is the least.",
    ),
    Row::new(
        "downgrade-check-time",
        Kind::Duration,
        "5s",
        "Interval between checks of whether a downgrade has finished. 0 turns them off.",
    ),
];

pub(super) const UNSAFE: &[Row] = &[
    Row::new(
        "force-new-cluster",
        Kind::Bool,
        "false",
        "Make a cluster of this member alone out of its data. For recovery only.",
    ),
    Row::new("unsafe-no-fsync", Kind::Bool, "false", "Do not wait for the disk. A crash of the machine loses data.")
        .no_effect("every acknowledged write is on disk; many writes share one sync"),
];

pub(super) const CONTROL: &[Row] = &[
    Row::new(
        "config-file",
        Kind::Text,
        "",
        "File with the settings. With it, all other flags and variables are ignored.",
    )
    .flag_only(),
    Row::new(
        "check-config",
        Kind::Bool,
        "false",
        "Check the settings and the files that they name, then exit. Not in etcd.",
    )
    .flag_only(),
    Row::new("version", Kind::Bool, "false", "Print the version and exit.").flag_only(),
];
