//! A line as bytes: zap's JSON, or zap's console form.

use std::time::SystemTime;

use config::LogFormat;
use serde_json::Value;

use crate::log::line::Line;
use crate::log::time::Calendar;

/// One line with its line break.
pub(crate) fn encode(line: &Line, time: SystemTime, format: LogFormat) -> Vec<u8> {
    let mut text = match format {
        LogFormat::Json => json(line, time),
        LogFormat::Console => console(line, time),
    };
    text.push('\n');
    text.into_bytes()
}

fn json(line: &Line, time: SystemTime) -> String {
    let mut text = format!(
        r#"{{"level":"{}","ts":"{}","caller":{},"msg":{}"#,
        line.level.word(),
        Calendar::of(time).rfc3339(),
        quoted(&caller(line)),
        quoted(&line.message)
    );
    for (name, value) in &line.fields {
        text.push_str(&format!(",{}:{value}", quoted(name)));
    }
    text.push('}');
    text
}

/// Columns are separated by tabs; the fields are one JSON object, left out when there are none.
fn console(line: &Line, time: SystemTime) -> String {
    // A line break in a message would look like the end of the line.
    let message = line.message.replace('\n', "\\n");
    let mut text = format!("{}\t{}\t{}\t{message}", Calendar::of(time).rfc3339(), line.level.word(), caller(line));
    if !line.fields.is_empty() {
        let fields: Vec<_> = line.fields.iter().map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
        text.push_str(&format!("\t{{{}}}", fields.join(", ")));
    }
    text
}

fn caller(line: &Line) -> String {
    format!("{}:{}", line.file, line.line)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::log::line::LineLevel;

    fn line() -> (Line, SystemTime) {
        let fields = vec![
            ("local-member-id".to_owned(), json!("8e9e")),
            ("took".to_owned(), json!(7)),
            ("ok".to_owned(), json!(true)),
        ];
        let line = Line {
            level: LineLevel::Warn,
            file: "apply/put.rs".to_owned(),
            line: 12,
            message: "say \"hi\"\n".to_owned(),
            fields,
        };
        (line, UNIX_EPOCH + Duration::from_micros(1_767_323_045_123_456))
    }

    #[test]
    fn json_has_zaps_shape_and_order() {
        let (line, time) = line();
        assert_eq!(
            String::from_utf8(encode(&line, time, LogFormat::Json)).unwrap(),
            r#"{"level":"warn","ts":"2026-01-02T03:04:05.123456Z","caller":"apply/put.rs:12","msg":"say \"hi\"\n","local-member-id":"8e9e","took":7,"ok":true}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn console_is_one_line_of_columns() {
        let (line, time) = line();
        assert_eq!(
            String::from_utf8(encode(&line, time, LogFormat::Console)).unwrap(),
            "2026-01-02T03:04:05.123456Z\twarn\tapply/put.rs:12\tsay \"hi\"\\n\t{\"local-member-id\": \"8e9e\", \"took\": 7, \"ok\": true}\n"
        );
    }
}
