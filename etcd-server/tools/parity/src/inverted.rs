//! Ranges whose end lies at or before their beginning.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

/// Returns `true` if a request names such a range, in any operation of it. `00` as an end means
/// that there is none.
pub(crate) fn has_inverted_range(request: &Value) -> bool {
    match request {
        Value::Object(fields) => is_inverted(request) || fields.values().any(has_inverted_range),
        Value::Array(items) => items.iter().any(has_inverted_range),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_inverted(request: &Value) -> bool {
    let bytes = |field: &str| {
        BASE64_STANDARD.decode(request.get(field).and_then(Value::as_str).unwrap_or_default()).unwrap_or_default()
    };
    let (begin, end) = (bytes("key"), bytes("range_end"));
    !end.is_empty() && end != [0] && end <= begin
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_ends_before_it_begins_is_inverted() {
        let nested = |end: &str| json!({"success": [{"request_range": {"key": "Yg==", "range_end": end}}]});
        assert!(has_inverted_range(&nested("YQ==")) && has_inverted_range(&nested("Yg==")));
        assert!(
            !has_inverted_range(&nested("Yw=="))
                && !has_inverted_range(&nested("AA=="))
                && !has_inverted_range(&nested(""))
        );
    }
}
