//! Families of the metrics page that etcd does not have, beside those about TLS.

use api::Server;
use otlp::Tracer;
use proto::etcdserverpb::AlarmType;
use replica::{LeaderChangeCause, LeaderChanges};
use std::fmt::{Display, Write as _};

const DROPPED_LINES: &str = "etcd_log_dropped_lines_total";
const ALARMS: &str = "etcd_server_alarms";
const BUILD: &str = "etcd_server_build_info";
const LEADERLESS: &str = "etcd_server_leaderless_seconds_total";
const LEADER_CHANGES: &str = "etcd_server_leader_changes_by_cause_total";
const HELD: &str = "etcd_server_proposals_held";
const HELD_TOTAL: &str = "etcd_server_proposals_held_total";
const PROPOSED_AGAIN: &str = "etcd_server_proposals_resumed_total";
const FORWARDED_AGAIN: &str = "etcd_server_proposals_forwarded_again_total";
const REPEATED: &str = "etcd_server_proposals_deduplicated_total";
const UNKNOWN: &str = "etcd_server_proposals_unknown_total";
const SPANS_MADE: &str = "etcd_tracing_spans_made_total";
const SPANS: &str = "etcd_tracing_spans_total";

/// Returns the families in the text format of Prometheus.
pub(crate) fn text(server: &Server, tracer: Option<&Tracer>) -> String {
    let mut page = String::new();
    head(
        &mut page,
        BUILD,
        "gauge",
        "1 for the release, and the commit and date that it was built from where they are known.",
    );
    let labels = format!(
        "version=\"{}\",commit=\"{}\",date=\"{}\"",
        env!("CARGO_PKG_VERSION"),
        crate::SOURCE.commit,
        crate::SOURCE.date
    );
    line(&mut page, BUILD, &labels, 1);
    head(&mut page, ALARMS, "gauge", "Members for which an alarm is active, by alarm.");
    for alarm in [AlarmType::Nospace, AlarmType::Corrupt] {
        let active = server.replica().published().alarms().of(alarm.into()).len();
        line(&mut page, ALARMS, &format!("alarm=\"{}\"", alarm.as_str_name()), active);
    }
    head(
        &mut page,
        DROPPED_LINES,
        "counter",
        "Log lines that were dropped because the queue was full or no output took them.",
    );
    line(&mut page, DROPPED_LINES, "", telemetry::log::dropped_lines());
    leader_changes(&mut page, server.replica().published().leader_changes());
    if let Some(counts) = tracer.map(Tracer::counts) {
        head(
            &mut page,
            SPANS_MADE,
            "counter",
            "Spans of traced calls that ended, or were left out because there were too many.",
        );
        line(&mut page, SPANS_MADE, "", counts.made());
        head(&mut page, SPANS, "counter", "Spans by what became of them.");
        line(&mut page, SPANS, "outcome=\"dropped\"", counts.dropped());
        line(&mut page, SPANS, "outcome=\"sent\"", counts.sent());
    }
    page
}

fn leader_changes(page: &mut String, changes: &LeaderChanges) {
    head(page, LEADER_CHANGES, "counter", "Changes of the leader by cause, as far as this member knows it.");
    for (cause, count) in LeaderChangeCause::ALL.into_iter().zip(changes.counts()) {
        line(page, LEADER_CHANGES, &format!("cause=\"{}\"", cause.label()), count);
    }
    head(page, LEADERLESS, "counter", "Seconds during which no leader was known, after the first one.");
    line(page, LEADERLESS, "", changes.leaderless().as_secs_f64());
    head(page, HELD, "gauge", "Proposals that wait until a leader takes them.");
    line(page, HELD, "", changes.held());
    let counters = [
        (HELD_TOTAL, "Proposals that waited until a leader took them.", changes.held_in_all()),
        (PROPOSED_AGAIN, "Proposals that were lost with a leader and proposed again.", changes.proposed_again()),
        (
            FORWARDED_AGAIN,
            "Messages with proposals that were sent to the leader again, because they had no response for a while.",
            changes.forwarded_again(),
        ),
        (REPEATED, "Forwarded proposals that were refused because they came twice or too late.", changes.repeated()),
        (UNKNOWN, "Proposals whose outcome is unknown because a leader was lost.", changes.unknown()),
    ];
    for (name, help, value) in counters {
        head(page, name, "counter", help);
        line(page, name, "", value);
    }
}

/// Adds the two lines before the samples of a family.
pub(crate) fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a text can always grow");
}

/// Adds a sample. `labels` is the text between the braces.
pub(crate) fn line(page: &mut String, name: &str, labels: &str, value: impl Display) {
    let written =
        if labels.is_empty() { writeln!(page, "{name} {value}") } else { writeln!(page, "{name}{{{labels}}} {value}") };
    written.expect("a text can always grow");
}
