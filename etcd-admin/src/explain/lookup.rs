//! `explain`: the meaning of an error, an exit code, an alarm, a finding or a message of the
//! journal, and the remedy.

use super::args::ExplainArgs;
use super::catalog::messages;
use super::topics::{TOPICS, Topic, exit_statuses};
use crate::cli::context::Context;
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::{print_result, table};
use std::process::ExitCode;

pub(crate) fn explain(context: &Context, words: &ExplainArgs) -> Result<ExitCode, CliError> {
    let what = words.what.join(" ");
    let found = search(what.trim());
    if found.is_empty() {
        let text = format!("nothing is known of {what:?}; etcd-admin explain lists everything that is");
        return Err(CliError::new(CHECK_FAILED, text));
    }
    print_result(context.format, &found, || {
        if found.len() > 3 {
            let rows: Vec<_> = found
                .iter()
                .map(|topic| {
                    vec![topic.kind.to_owned(), topic.name.clone().into_owned(), topic.meaning.clone().into_owned()]
                })
                .collect();
            return table(&["KIND", "NAME", "MEANING"], &rows);
        }
        found
            .iter()
            .map(|topic| format!("{} {}\n  {}\n  {}\n", topic.kind, topic.name, topic.meaning, topic.remedy))
            .collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Those with that very name; else those that have it in their name, or whose name is in it, as
/// when a whole line of a log is given.
fn search(what: &str) -> Vec<Topic> {
    let topics: Vec<Topic> = TOPICS.iter().cloned().chain(exit_statuses()).chain(messages()).collect();
    if what.is_empty() {
        return topics;
    }
    let what = what.to_ascii_lowercase();
    let name = |topic: &Topic| topic.name.to_ascii_lowercase();
    let same: Vec<_> = topics.iter().filter(|topic| name(topic) == what).cloned().collect();
    if !same.is_empty() {
        return same;
    }
    // A number is a code and nothing else.
    if what.parse::<u8>().is_ok() {
        return Vec::new();
    }
    let within: Vec<_> =
        topics.iter().filter(|topic| topic.kind != "exit code" && what.contains(&name(topic))).collect();
    // The longest name says most.
    if let Some(best) = within.iter().max_by_key(|topic| topic.name.len()) {
        return vec![(*best).clone()];
    }
    topics.into_iter().filter(|topic| name(topic).contains(&what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_topic_is_found_by_its_name_and_tells_a_cure() {
        for topic in TOPICS {
            assert!(search(&topic.name).iter().any(|found| found.name == topic.name), "{}", topic.name);
            assert!(!topic.meaning.is_empty() && !topic.remedy.is_empty(), "{}", topic.name);
        }
        let names: BTreeSet<_> = TOPICS.iter().map(|topic| (topic.kind, &*topic.name)).collect();
        assert_eq!(names.len(), TOPICS.len());
    }

    /// Every word that a finding of `doctor`, `preflight`, `status` or `migrate` begins with, by
    /// their sources.
    #[test]
    fn every_finding_and_exit_status_is_explained() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut checks = BTreeSet::new();
        let files = ["doctor", "migrate"].map(|directory| std::fs::read_dir(sources.join(directory)).unwrap());
        for entry in files.into_iter().flatten() {
            let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let source: String = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
            for constructor in ["Finding::good(\"", "Finding::warning(\"", "Finding::bad(\"", "check: \"", "kind(\""] {
                checks.extend(source.split(constructor).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
        assert!(checks.len() > 20, "{checks:?}");
        for check in checks {
            assert!(
                TOPICS.iter().any(|topic| topic.kind == "finding" && topic.name == check),
                "{check} is not explained"
            );
        }
        for (status, ..) in admin_ui::error::EXIT_STATUSES {
            assert_eq!(search(&status.to_string()).len(), 1, "{status}");
        }
        assert!(search("78")[0].remedy.contains("journalctl"));
    }

    #[test]
    fn a_line_of_a_log_is_explained() {
        let found = search("rpc error: code = ResourceExhausted desc = etcdserver: mvcc: database space exceeded");
        assert_eq!(
            found.iter().map(|topic| &*topic.name).collect::<Vec<_>>(),
            ["etcdserver: mvcc: database space exceeded"]
        );
        let found = search("MESSAGE_ID=67a9d381d05343b5b34a16c3f891ac7f");
        assert!(found.len() == 1 && found[0].kind == "message" && found[0].remedy.contains("quota"), "{found:?}");
        assert_eq!(search("5").len(), 1);
        assert!(search("77").is_empty() && search("frobnicate").is_empty());
    }
}
