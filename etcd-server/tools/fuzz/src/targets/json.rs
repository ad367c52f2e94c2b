//! Bodies of JSON requests.

use crate::messages::{DESCRIPTORS, random};
use crate::{Dice, Target};
use gateway::{BINDINGS, JsonRequests};

/// Brackets in brackets.
const DEPTH: usize = 20_000;

pub(super) struct Json {
    requests: JsonRequests,
}

impl Json {
    pub(super) fn new() -> Self {
        Self { requests: JsonRequests::new() }
    }
}

impl Target for Json {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let binding = dice.pick(&BINDINGS);
        let service =
            DESCRIPTORS.get_service_by_name(binding.service).expect("bindings name services that are described");
        let method = service
            .methods()
            .find(|method| method.name() == binding.method)
            .expect("bindings name methods that are described");
        let mut body = serde_json::to_vec(&random(&method.input(), dice)).unwrap_or_default();
        match dice.below(200) {
            0 => body = [b"{\"a\":".repeat(DEPTH), b"}".repeat(DEPTH)].concat(),
            1 => body = b"[".repeat(DEPTH),
            2..60 => {}
            _ => dice.spoil(&mut body),
        }
        self.requests.decode(binding.path, &body).is_some_and(|decoded| decoded.is_ok())
    }
}
