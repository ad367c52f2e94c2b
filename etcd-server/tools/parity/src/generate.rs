//! Makes a program from a seed.
//!
//! A seed first draws the kind of program (the share of each kind of request, authentication or
//! not, leases with ids of our choice or the server's), since uniform mixtures hide faults that
//! only show when much of one kind happens. Steps refer to revisions relative to the present one,
//! so most of them stay meaningful when others are dropped.

mod auth;
mod cluster;
mod kv;
mod lease;
mod watch;
mod words;

use serde_json::Value;

use crate::program::{Program, Step};

/// A program of about `length` steps: the same for the same arguments on every machine.
#[must_use]
pub fn generate(seed: u64, length: usize) -> Program {
    let mut generator = Generator::new(seed);
    while generator.steps.len() < length {
        generator.step();
    }
    generator.steps.truncate(length);
    Program { steps: generator.steps }
}

/// The weight of each kind of request, drawn once per seed.
#[derive(Debug)]
struct Weights {
    entries: Vec<(u32, Make)>,
    total: u32,
}

/// Appends the steps of one kind of request.
type Make = fn(&mut Generator);

#[derive(Debug)]
struct Generator {
    rng: fastrand::Rng,
    steps: Vec<Step>,
    weights: Weights,
    /// The program turns authentication on and off.
    with_auth: bool,
    /// Leases with ids that the server chooses are attached to keys, which spoils the comparison of
    /// hashes.
    with_own_leases: bool,
    /// As far as the program intends.
    auth_on: bool,
    /// Alarms to switch off after so many steps.
    alarms: Vec<(usize, Value)>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (with_auth, with_own_leases) = (rng.u8(..3) == 0, rng.u8(..3) == 0);
        let weights = Weights::draw(&mut rng, with_auth);
        Self { rng, steps: Vec::new(), weights, with_auth, with_own_leases, auth_on: false, alarms: Vec::new() }
    }

    fn step(&mut self) {
        if let Some(due) = self.alarms.iter().position(|(step, _)| *step <= self.steps.len()) {
            let (_, request) = self.alarms.swap_remove(due);
            let identity = if self.auth_on { "root" } else { "" };
            return self.call_as(identity, "Maintenance/Alarm", request);
        }
        let mut ticket = self.rng.u32(..self.weights.total);
        let chosen = self.weights.entries.iter().find(|(weight, _)| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        if let Some((_, make)) = chosen {
            make(self);
        }
    }

    /// Pushes a call by a random user.
    fn call(&mut self, method: &str, request: Value) {
        let identity = self.identity();
        self.call_as(identity, method, request);
    }

    fn call_as(&mut self, identity: &str, method: &str, request: Value) {
        self.steps.push(Step::Call { method: method.to_owned(), identity: identity.to_owned(), request });
    }

    fn identity(&mut self) -> &'static str {
        if !self.auth_on {
            return "";
        }
        match self.rng.u8(..100) {
            0..35 => "root",
            35..60 => "ann",
            60..80 => "bob",
            80..88 => "eve",
            88..95 => "",
            _ => "?",
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    fn settle(&mut self) {
        self.steps.push(Step::Settle);
    }
}

impl Weights {
    fn draw(rng: &mut fastrand::Rng, with_auth: bool) -> Self {
        let kinds: [(u32, Make); 15] = [
            (220, Generator::put),
            (220, Generator::range),
            (70, Generator::delete_range),
            (140, Generator::txn),
            (8, Generator::compact),
            (60, Generator::lease),
            (60, Generator::watch_create),
            (25, Generator::watch_cancel),
            (6, Generator::watch_progress),
            (3, Generator::watch_close),
            (40, Generator::cluster),
            (12, Generator::lock),
            (2, Generator::large_values),
            (15, Generator::settle),
            (if with_auth { 90 } else { 8 }, Generator::auth),
        ];
        // Each kind between half and double its usual part, and now and then none at all.
        let entries: Vec<_> = kinds
            .map(|(weight, make)| (if rng.u8(..20) == 0 { 0 } else { rng.u32(weight / 2..=weight * 2) }, make))
            .to_vec();
        let total = entries.iter().map(|(weight, _)| weight).sum::<u32>();
        if total == 0 { Self { entries: vec![(1, Generator::put)], total: 1 } } else { Self { entries, total } }
    }
}

/// Returns the fields that are not null, so that absent ones are not sent.
fn request<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(
        fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{program::Scope, wire::Wire};

    #[test]
    fn one_seed_makes_one_program() {
        assert_eq!(generate(7, 500), generate(7, 500));
        assert_ne!(generate(7, 500), generate(8, 500));
    }

    #[test]
    fn every_step_can_be_sent() {
        let wire = Wire::new().unwrap();
        for seed in 0..40 {
            for step in generate(seed, 500).steps {
                let (method, request) = match &step {
                    Step::Call { method, request, .. } => (method.as_str(), request),
                    Step::Watch { request, .. } => ("Watch/Watch", request),
                    Step::Close { .. } | Step::Settle => continue,
                };
                wire.encode_request(method, &Scope::default().resolve(request))
                    .unwrap_or_else(|error| panic!("{step:?}: {error}"));
            }
        }
    }

    #[test]
    fn programs_reach_every_kind_of_request() {
        let text: String = (0..40).map(|seed| generate(seed, 500).to_text("")).collect();
        let wanted = [
            "KV/Put",
            "KV/Range\"",
            "KV/RangeStream",
            "KV/DeleteRange",
            "KV/Txn",
            "KV/Compact",
            "Lease/LeaseGrant",
            "Lease/LeaseRevoke",
        ]
        .into_iter()
        .chain([
            "LeaseKeepAlive",
            "LeaseTimeToLive",
            "LeaseLeases",
            "HashKV",
            "MemberList",
            "Alarm",
            "AuthEnable",
            "AuthDisable",
        ])
        .chain([
            "Lock/Lock",
            "Election/Campaign",
            "create_request",
            "cancel_request",
            "progress_request",
            "\"close\"",
        ]);
        for word in wanted {
            assert!(text.contains(word), "{word}");
        }
    }
}
