//! The messages with an id that the daemon writes to the journal, as `journalctl -x` explains them.

use super::topics::Topic;
use std::borrow::Cow;

/// systemd's message catalog; a test of `telemetry` compares it with the daemon's messages.
const CATALOG: &str = include_str!("../../../systemd/usr/lib/systemd/catalog/etcd-server.catalog");

/// A topic for each message.
pub(super) fn messages() -> impl Iterator<Item = Topic> {
    CATALOG.split("\n-- ").skip(1).filter_map(message)
}

/// The id, a header of fields, an empty line, and the explanation: <https://systemd.io/CATALOG/>.
fn message(entry: &'static str) -> Option<Topic> {
    let (head, body) = entry.split_once("\n\n")?;
    let (id, fields) = head.split_once('\n')?;
    let subject = fields.lines().find_map(|line| line.strip_prefix("Subject: "))?;
    Some(Topic { kind: "message", name: Cow::Borrowed(id), meaning: plain(subject), remedy: plain(body.trim()) })
}

/// On one line; a field of the message, which stands between at signs, is named.
fn plain(text: &'static str) -> Cow<'static, str> {
    text.lines().collect::<Vec<_>>().join(" ").replace('@', "").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_catalog_is_a_topic() {
        let topics: Vec<_> = messages().collect();
        assert_eq!(topics.len(), CATALOG.lines().filter(|line| line.starts_with("-- ")).count());
        assert!(
            topics.iter().all(|topic| topic.name.len() == 32 && !topic.meaning.is_empty() && !topic.remedy.is_empty())
        );
        let role = topics.iter().find(|topic| topic.name.starts_with("e6dbdfa9")).unwrap();
        assert_eq!(role.meaning, "This member is now ETCD_ROLE in term ETCD_TERM");
    }
}
