//! The stories in `tests/scripts`.
//!
//! Every change goes through its form in the log, and after each command the state that a restart
//! would load is compared.

use membership::{ConfChange, Connected, Downgrade, Member, Membership, Version};
use proto::membershippb::DowngradeInfoSetRequest;
use schema::MemoryStore;
use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use types::MemberId;

const OWN: Version = Version::new(3, 7, 1);

#[derive(Default)]
struct Stage {
    store: MemoryStore,
    membership: Membership,
    connected: Connected,
    max_learners: usize,
}

fn id(word: &str) -> MemberId {
    MemberId(u64::from_str_radix(word, 16).unwrap())
}

fn ids(words: &[&str]) -> BTreeSet<MemberId> {
    words.iter().map(|word| id(word)).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn member(words: &[&str], is_learner: bool) -> Member {
    Member { id: id(words[0]), peer_urls: owned(&words[1..]), is_learner, ..Member::default() }
}

fn response<T, E: std::fmt::Display + Debug>(result: Result<T, E>) -> String {
    result.map_or_else(|error| format!("{error:?}: {error}"), |_| "done".to_owned())
}

impl Stage {
    fn run(&mut self, line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().collect();
        let (command, words) = (words[0], &words[1..]);
        match command {
            "add" => self.change(&ConfChange::Add(member(words, false))),
            "add-learner" => self.change(&ConfChange::Add(member(words, true))),
            "promote" => self.change(&ConfChange::Promote(id(words[0]))),
            "update" => self.change(&ConfChange::Update { id: id(words[0]), peer_urls: owned(&words[1..]) }),
            "remove" => self.change(&ConfChange::Remove(id(words[0]))),
            "attributes" => {
                response(self.membership.set_attributes(id(words[0]), words[1], &owned(&words[2..]), &mut self.store))
            }
            "version" => response(self.membership.set_cluster_version(words[0], OWN, &mut self.store)),
            "downgrade" => {
                let request = DowngradeInfoSetRequest { enabled: words[0] != "cancel", ver: words[0].to_owned() };
                self.membership.set_downgrade(Downgrade::from_request(&request), &mut self.store);
                "done".to_owned()
            }
            "validate-downgrade" => {
                let membership = &self.membership;
                let (version, downgrade) = (membership.cluster_version(), membership.downgrade());
                let target = membership::validate_downgrade(words[0], OWN, version, downgrade);
                target.map_or_else(|error| response::<(), _>(Err(error)), |version| format!("to {version}"))
            }
            "held" => self.membership.held_version().map_or_else(|| "no".to_owned(), |held| format!("at {held}")),
            "connected" => {
                self.connected = Connected { now: ids(words), steadily: ids(words) };
                "done".to_owned()
            }
            "just-connected" => {
                self.connected.now.extend(ids(words));
                "done".to_owned()
            }
            "may-add" => response(membership::may_add(&self.membership, &member(words, false), &self.connected)),
            "may-add-learner" => response(membership::may_add(&self.membership, &member(words, true), &self.connected)),
            "may-remove" => response(membership::may_remove(&self.membership, id(words[0]), &self.connected)),
            "may-promote" => response(membership::may_promote(&self.membership)),
            "max-learners" => {
                self.max_learners = words[0].parse().unwrap();
                "done".to_owned()
            }
            "list" => self.list(),
            "dump" => self.dump(),
            unknown => panic!("unknown command {unknown}"),
        }
    }

    fn change(&mut self, change: &ConfChange) -> String {
        let change = ConfChange::from_raft(&change.to_raft(1)).unwrap();
        response(self.membership.apply_conf_change(&change, self.max_learners, &mut self.store))
    }

    fn list(&self) -> String {
        let mut text = String::new();
        for member in self.membership.members() {
            let kind = if member.is_learner { "learner" } else { "voter" };
            let started = if member.is_started() { &member.name } else { "not started" };
            write!(
                text,
                "\n  {} {kind}, {started}, peers {:?}, clients {:?}",
                member.id, member.peer_urls, member.client_urls
            )
            .unwrap();
        }
        write!(text, "\n  removed {:?}", self.membership.removed().map(|id| id.to_string()).collect::<Vec<_>>())
            .unwrap();
        text
    }

    fn dump(&self) -> String {
        let rows = self
            .store
            .dump()
            .map(|(table, key, value)| format!("\n  {table:?} {} {}", key.escape_ascii(), value.escape_ascii()));
        rows.collect()
    }
}

#[test]
fn scripts_answer_as_recorded() {
    let stage = || Stage { max_learners: 1, ..Stage::default() };
    script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), stage, |stage, line| {
        let response = stage.run(line);
        assert_eq!(Membership::load(&stage.store).unwrap(), stage.membership, "{line}");
        response
    });
}
