//! A program: the steps that both servers get, as values and as text (one JSON object per line, `#`
//! starts a comment).
//!
//! Requests are protobuf's JSON. A string that starts with `$` stands for a value that is only
//! known while running, the same for both servers in meaning: `$cur`, `$cur-3` (revision of the
//! store), `$compacted+1` (revision last compacted), `$lease2` (third lease whose id the server
//! chose), `$member` (id of the member), `$bytes700000` (so many bytes, in base64). Base64 and the
//! names that we use never start with `$`.

use std::fmt::Write as _;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing done to both servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A call with one request and one answer; of a streaming method the first answer.
    Call {
        /// Service and method, as `KV/Range`.
        method: String,
        /// The owner of its token: a user's name, empty for an anonymous call, anything else for a
        /// token that no server gave.
        #[serde(default, rename = "as", skip_serializing_if = "String::is_empty")]
        identity: String,
        request: Value,
    },
    /// A `WatchRequest` on one of the watch streams. A stream is opened by its first create
    /// request, with that step's identity.
    Watch {
        stream: usize,
        #[serde(default, rename = "as", skip_serializing_if = "String::is_empty")]
        identity: String,
        request: Value,
    },
    /// Ends a watch stream.
    Close { stream: usize },
    /// Wait until every watcher has its events, and compare.
    Settle,
}

/// Steps in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    pub steps: Vec<Step>,
}

/// A text that is not a program.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct ProgramError {
    line: usize,
    source: serde_json::Error,
}

impl Program {
    /// Reads the text form.
    ///
    /// # Errors
    /// At the first line that is neither a step nor a comment.
    pub fn parse(text: &str) -> Result<Self, ProgramError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let steps = lines
            .map(|(index, line)| serde_json::from_str(line).map_err(|source| ProgramError { line: index + 1, source }))
            .collect::<Result<_, _>>()?;
        Ok(Self { steps })
    }

    /// Returns the steps that remain when no method may begin with one of `left_out`.
    #[must_use]
    pub fn without(mut self, left_out: &[String]) -> Self {
        self.steps.retain(|step| {
            let method = match step {
                Step::Call { method, .. } => method.as_str(),
                Step::Watch { .. } | Step::Close { .. } => "Watch/Watch",
                Step::Settle => return true,
            };
            !left_out.iter().any(|prefix| method.starts_with(prefix.as_str()))
        });
        self
    }

    /// The text form, under a comment of one line.
    #[must_use]
    pub fn to_text(&self, comment: &str) -> String {
        let mut text = format!("# {}\n", comment.replace('\n', " "));
        for step in &self.steps {
            writeln!(text, "{}", serde_json::to_string(step).expect("a step is plain JSON"))
                .expect("writing to a string cannot fail");
        }
        text
    }
}

/// The values of the `$` words at one moment, on one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Revision of the store.
    pub revision: i64,
    /// Revision last compacted.
    pub compacted: i64,
    /// Ids of leases that the server chose, in the order of granting.
    pub leases: Vec<i64>,
    /// Id of the member.
    pub member: u64,
}

/// An id that no server hands out, for `$lease9` when only three were granted.
const LEASE_NEVER_GRANTED: i64 = 77_777;

impl Scope {
    /// The request with its `$` words replaced.
    #[must_use]
    pub(crate) fn resolve(&self, request: &Value) -> Value {
        match request {
            Value::String(word) => match word.strip_prefix('$') {
                Some(word) => Value::String(self.word(word)),
                None => request.clone(),
            },
            Value::Array(items) => Value::Array(items.iter().map(|item| self.resolve(item)).collect()),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), self.resolve(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => request.clone(),
        }
    }

    /// An unknown word stays as it is and is then refused as a number, which names it.
    fn word(&self, word: &str) -> String {
        if word == "member" {
            return self.member.to_string();
        }
        if let Some(index) = word.strip_prefix("lease") {
            let lease = index.parse::<usize>().ok().and_then(|index| self.leases.get(index));
            return lease.copied().unwrap_or(LEASE_NEVER_GRANTED).to_string();
        }
        if let Some(count) = word.strip_prefix("bytes").and_then(|count| count.parse().ok()) {
            return base64::engine::general_purpose::STANDARD.encode(vec![b'x'; count]);
        }
        for (name, base) in [("cur", self.revision), ("compacted", self.compacted)] {
            if let Some(offset) = word.strip_prefix(name) {
                return (base + offset.parse::<i64>().unwrap_or(0)).to_string();
            }
        }
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_reads_back_as_the_same_program() {
        let call = Step::Call {
            method: "KV/Put".into(),
            identity: "ann".into(),
            request: json!({"key": "YQ==", "lease": "$lease0"}),
        };
        let program = Program { steps: vec![call, Step::Close { stream: 2 }, Step::Settle] };
        assert_eq!(Program::parse(&program.to_text("seed 1\nand more")).unwrap(), program);
    }

    #[test]
    fn methods_can_be_left_out() {
        let call = |method: &str| Step::Call { method: method.into(), identity: String::new(), request: json!({}) };
        let program = Program {
            steps: vec![call("KV/Put"), call("KV/Range"), call("Lock/Lock"), Step::Close { stream: 2 }, Step::Settle],
        };
        let kept = program.without(&["Watch".to_owned(), "KV/P".to_owned()]);
        assert_eq!(kept.steps, [call("KV/Range"), call("Lock/Lock"), Step::Settle]);
    }

    #[test]
    fn a_line_that_is_no_step_is_named_by_its_number() {
        assert!(Program::parse("# fine\n{\"dance\":{}}").unwrap_err().to_string().starts_with("line 2: "));
    }

    #[test]
    fn words_are_resolved_wherever_they_stand() {
        let scope = Scope { revision: 10, compacted: 4, leases: vec![99], member: 7 };
        let request = json!({"a": ["$cur-3", {"b": "$compacted+1"}], "c": "$lease0", "d": "$lease5", "e": "$member", "f": "$cur", "g": "$bytes3"});
        assert_eq!(
            scope.resolve(&request),
            json!({"a": ["7", {"b": "5"}], "c": "99", "d": "77777", "e": "7", "f": "10", "g": "eHh4"})
        );
    }
}
