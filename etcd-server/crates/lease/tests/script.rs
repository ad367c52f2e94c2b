//! The stories in `tests/scripts`.

use bytes::Bytes;
use lease::{Expiry, ExpirySettings, Lessor, Persist};
use schema::MemoryStore;
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

struct Stage {
    store: MemoryStore,
    lessor: Lessor,
    expiry: Expiry,
    now: MonotonicTime,
}

fn settings() -> ExpirySettings {
    ExpirySettings { checkpoint_interval: Some(Duration::from_secs(300)), ..ExpirySettings::default() }
}

impl Stage {
    fn new(store: MemoryStore, now: MonotonicTime) -> Self {
        let lessor = Lessor::load(&store, 2).unwrap();
        let expiry = Expiry::follow(lessor.leases(), settings());
        Self { store, lessor, expiry, now }
    }

    fn run(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let mut numbers = words.clone().filter_map(|word| word.parse::<i64>().ok());
        let mut number = || numbers.next().unwrap();
        let text = match command {
            "grant" => format!("{:?}", self.lessor.grant(&mut self.store, LeaseId(number()), number())),
            "revoke" => {
                format!("{:?}", self.lessor.revoke(&self.store.clone(), &mut self.store, LeaseId(number())).unwrap())
            }
            "checkpoint" => {
                self.lessor.checkpoint(&mut self.store, LeaseId(number()), number(), Persist::Yes);
                "done".to_owned()
            }
            "put" => {
                let key = Bytes::copy_from_slice(words.next().unwrap().as_bytes());
                self.lessor.detach(LeaseId(number()), &key, &mut self.store);
                self.lessor.attach(LeaseId(number()), &key, &mut self.store);
                "done".to_owned()
            }
            "keys" => format!("{:?}", self.lessor.keys(&self.store, LeaseId(number())).unwrap()),
            "renew" => format!("{:?}", self.expiry.renew(LeaseId(number()), self.now)),
            "ttl" => format!("{:?}", self.expiry.time_to_live(LeaseId(number()), self.now)),
            "list" => format!("{:?}", self.expiry.leases_by_deadline()),
            "after" => {
                self.now = self.now.after(Duration::from_millis(number().unsigned_abs()));
                let (revoke, record) =
                    (self.expiry.expired(self.now, 100).items, self.expiry.due_checkpoints(self.now).items);
                format!("revoke {revoke:?}, checkpoint {record:?}")
            }
            "promote" => {
                self.expiry.promote(self.now, Duration::from_secs(1));
                "done".to_owned()
            }
            "demote" => {
                self.expiry.demote();
                "done".to_owned()
            }
            "restart" => {
                *self = Self::new(std::mem::take(&mut self.store), self.now);
                "done".to_owned()
            }
            unknown => panic!("unknown command {unknown}"),
        };
        for change in self.lessor.take_changes() {
            self.expiry.follow_change(change, self.now);
        }
        text
    }
}

#[test]
fn scripts_answer_as_recorded() {
    script::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"),
        || Stage::new(MemoryStore::new(), MonotonicTime(0)),
        Stage::run,
    );
}
