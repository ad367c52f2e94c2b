//! Active alarms, and their effect on permissions on etcd 3.5.
//!
//! The first alarm of a kind makes 3.5 put another executor in place, which it builds without the
//! one that checks permissions (server/etcdserver/apply.go, `newApplierV3Capped(a)`); the whole row
//! of executors is built again when the last alarm of a kind ends, regardless of other kinds.

use std::collections::BTreeSet;

/// The alarms of a server, by its responses.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    /// Kind and member.
    raised: BTreeSet<(String, String)>,
    /// `true` if etcd 3.5 executes ordered requests without a check of their user.
    pub(crate) pass_by_authentication: bool,
}

impl Alarms {
    /// A request that succeeded.
    pub(crate) fn follow(&mut self, action: &str, kind: &str, member: String) {
        if kind.is_empty() || kind == "NONE" {
            return;
        }
        let before = self.of(kind);
        match action {
            "ACTIVATE" => {
                self.raised.insert((kind.to_owned(), member));
                self.pass_by_authentication |= before == 0;
            }
            "DEACTIVATE" => {
                self.raised.remove(&(kind.to_owned(), member));
                self.pass_by_authentication &= before == 0 || self.of(kind) > 0;
            }
            _ => {}
        }
    }

    pub(crate) fn no_space(&self) -> bool {
        self.of("NOSPACE") > 0
    }

    fn of(&self, kind: &str) -> usize {
        self.raised.iter().filter(|(raised, _)| raised == kind).count()
    }
}

/// Returns `true` if etcd looks at the permission for a method when it executes it, and not before
/// it orders it.
pub(crate) fn is_permitted_when_applied(method: &str) -> bool {
    const METHODS: [&str; 5] = ["KV/Put", "KV/DeleteRange", "KV/Txn", "Lease/LeaseRevoke", "Lock/Unlock"];
    let about_users = method.starts_with("Auth/") && method != "Auth/Authenticate" && method != "Auth/AuthStatus";
    METHODS.contains(&method) || about_users || method.starts_with("Election/") || method == "Lock/Lock"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_alarm_of_a_kind_brings_permissions_back() {
        let mut alarms = Alarms::default();
        let mut told = Vec::new();
        for (action, kind, member) in [
            ("ACTIVATE", "NONE", "1"),
            ("ACTIVATE", "NOSPACE", "1"),
            ("ACTIVATE", "NOSPACE", "2"),
            ("DEACTIVATE", "NOSPACE", "1"),
            ("DEACTIVATE", "CORRUPT", "1"),
            ("ACTIVATE", "CORRUPT", "1"),
            ("DEACTIVATE", "NOSPACE", "2"),
        ] {
            alarms.follow(action, kind, member.to_owned());
            told.push((alarms.pass_by_authentication, alarms.no_space()));
        }
        let (neither, both) = ((false, false), (true, true));
        assert_eq!(told, [neither, both, both, both, both, both, neither]);
    }
}
