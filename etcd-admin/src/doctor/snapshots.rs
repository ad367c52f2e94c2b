//! The timer and the last run of scheduled snapshots, as systemd reports them.

use super::finding::Finding;
use super::systemd::Properties;
use certs::Severity;

const TIMER: &str = "etcd-snapshot.timer";
const SERVICE: &str = "etcd-snapshot.service";

/// Checks the scheduled snapshots of this host. `None` where systemd or the units are missing.
pub(super) fn snapshots() -> Option<Finding> {
    let show = |unit| Properties::of(unit, "LoadState,ActiveState,Result,NRestarts");
    finding(&show(TIMER)?, &show(SERVICE)?)
}

/// Returns the failure of the last scheduled snapshot on this host, for the pages about the
/// cluster.
pub(crate) fn failed_snapshots() -> Option<Finding> {
    snapshots().filter(|finding| finding.severity == Severity::Bad)
}

fn finding(timer: &Properties, service: &Properties) -> Option<Finding> {
    if !timer.is_loaded() || !service.is_loaded() {
        return None;
    }
    let is_repeated = service.get("ActiveState") == "activating";
    let result = match service.get("Result") {
        // The result of a repetition that still runs; the run before it failed.
        "success" if is_repeated && !matches!(service.get("NRestarts"), "" | "0") => "running again",
        result => result,
    };
    Some(match timer.get("ActiveState") {
        _ if !matches!(result, "" | "success") => Finding::bad(
            "snapshot",
            SERVICE,
            format!(
                "the last run on this host failed ({result}){}",
                if is_repeated { ", and is repeated" } else { "" }
            ),
            format!("journalctl -u {SERVICE} names the reason; correct it, then: systemctl restart {SERVICE}"),
        ),
        "active" => Finding::good("snapshot", TIMER, "active, and the last run succeeded"),
        state => {
            let text = format!("{state}: no snapshots are saved on this host");
            Finding::warning("snapshot", TIMER, text, format!("systemctl enable --now {TIMER}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_units_has_its_finding() {
        let shown = |load: &str, active: &str, result: &str| {
            format!("Result={result}\nLoadState={load}\nActiveState={active}\n")
        };
        let good = shown("loaded", "inactive", "success");
        for (timer, service, expected) in [
            (shown("loaded", "active", "success"), good.clone(), Some((Severity::Good, "succeeded"))),
            (shown("loaded", "inactive", "success"), good.clone(), Some((Severity::Warning, "inactive: no snapshots"))),
            (shown("loaded", "failed", "resources"), good.clone(), Some((Severity::Warning, "failed: no snapshots"))),
            (
                shown("loaded", "active", "success"),
                shown("loaded", "failed", "exit-code"),
                Some((Severity::Bad, "failed (exit-code)")),
            ),
            (
                shown("loaded", "active", "success"),
                shown("loaded", "activating", "timeout"),
                Some((Severity::Bad, "failed (timeout), and is repeated")),
            ),
            (
                shown("loaded", "active", "success"),
                shown("loaded", "activating", "success") + "NRestarts=2\n",
                Some((Severity::Bad, "failed (running again), and is repeated")),
            ),
            (
                shown("loaded", "active", "success"),
                shown("loaded", "activating", "success") + "NRestarts=0\n",
                Some((Severity::Good, "succeeded")),
            ),
            (
                shown("loaded", "active", "success"),
                shown("loaded", "inactive", "success") + "NRestarts=3\n",
                Some((Severity::Good, "succeeded")),
            ),
            (shown("not-found", "inactive", "success"), good, None),
        ] {
            let found = finding(&Properties(timer.clone()), &Properties(service.clone()));
            let matches = match (&found, expected) {
                (Some(found), Some((severity, text))) => found.severity == severity && found.text.contains(text),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(matches, "{timer}{service}: {found:?}");
        }
    }
}
