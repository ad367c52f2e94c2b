//! The gateway's decoding of a JSON body before any call, for tools that test it.

use crate::bindings::Routes;
use crate::json_decode;
use crate::json_scanner::{Scanner, Step};
use prost::Message as _;

/// Reads JSON bodies by the path that they are posted to.
#[derive(Debug)]
pub struct JsonRequests(Routes);

impl Default for JsonRequests {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonRequests {
    /// For all paths.
    pub fn new() -> Self {
        Self(Routes::load())
    }

    /// Returns the encoded request of the first value in `body`, or the error for the client;
    /// `None` for an unknown path.
    pub fn decode(&self, path: &str, body: &[u8]) -> Option<Result<Vec<u8>, String>> {
        let method = self.0.get(path)?;
        Some(first_value(body).and_then(|value| {
            let message = json_decode::decode(&method.input(), value).map_err(|error| error.to_string())?;
            Ok(message.encode_to_vec())
        }))
    }
}

fn first_value(body: &[u8]) -> Result<&[u8], String> {
    let (mut scanner, mut start) = (Scanner::new(), 0);
    for (at, byte) in body.iter().enumerate() {
        match scanner.feed(*byte).map_err(|error| error.to_string())? {
            Step::Before => start = at + 1,
            Step::Inside => {}
            Step::Last => return Ok(&body[start..=at]),
            Step::After => return Ok(&body[start..at]),
        }
    }
    if scanner.complete_at_end() { Ok(&body[start..]) } else { Err("unexpected EOF".to_owned()) }
}
