//! Finds where one JSON value ends, byte by byte, so that values can be cut from a body that
//! arrives in pieces.
//!
//! Checks the grammar as it goes and words its complaints as Go's encoding/json does, because
//! gateway clients see those texts. Holds one byte per open bracket, at most `DEPTH_MAX`; never the
//! text itself. Does not look at UTF-8 or at `\u` surrogates.

/// Go's encoding/json gives up beyond this many open brackets.
const DEPTH_MAX: usize = 10_000;

/// The meaning of a byte for the value being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// White space before the value.
    Before,
    /// Part of the value, which goes on.
    Inside,
    /// The last byte of the value.
    Last,
    /// The value had ended before this byte (numbers only end this way).
    After,
}

/// A byte that the grammar does not allow, with its place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid character {} {context}", quote(*.byte))]
pub(crate) struct SyntaxError {
    byte: u8,
    context: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Key,
    Value,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeginValue,
    BeginElementOrClose,
    BeginKey,
    BeginKeyOrClose,
    Text,
    Escape,
    Hex(u8),
    Minus,
    Zero,
    Digits,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    Literal { word: &'static str, seen: usize },
    EndValue,
}

/// The reader of one value.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    levels: Vec<Level>,
}

impl Scanner {
    pub(crate) fn new() -> Scanner {
        Scanner { state: State::BeginValue, levels: Vec::new() }
    }

    /// Returns `true` if the bytes so far are a whole value if nothing follows, as a number at the
    /// end of the input is.
    pub(crate) fn complete_at_end(&self) -> bool {
        self.levels.is_empty()
            && matches!(self.state, State::Zero | State::Digits | State::Fraction | State::ExponentDigits)
    }

    /// Takes the next byte. After `Last`, `After` or an error the scanner is spent.
    pub(crate) fn feed(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        match self.state {
            State::BeginValue if is_space(byte) => Ok(if self.levels.is_empty() { Step::Before } else { Step::Inside }),
            State::BeginValue => self.begin_value(byte),
            State::BeginElementOrClose | State::BeginKey | State::BeginKeyOrClose | State::EndValue
                if is_space(byte) =>
            {
                Ok(Step::Inside)
            }
            State::BeginElementOrClose if byte == b']' => self.close(),
            State::BeginElementOrClose => self.begin_value(byte),
            State::BeginKeyOrClose if byte == b'}' => self.close(),
            State::BeginKey | State::BeginKeyOrClose if byte == b'"' => self.go(State::Text),
            State::BeginKey | State::BeginKeyOrClose => fail(byte, "looking for beginning of object key string"),
            State::Text | State::Escape | State::Hex(_) => self.in_text(byte),
            State::Literal { word, seen } => self.in_literal(byte, word, seen),
            State::EndValue => self.after_value(byte),
            State::Minus
            | State::Zero
            | State::Digits
            | State::Dot
            | State::Fraction
            | State::Exponent
            | State::ExponentSign
            | State::ExponentDigits => self.in_number(byte),
        }
    }

    fn go(&mut self, state: State) -> Result<Step, SyntaxError> {
        self.state = state;
        Ok(Step::Inside)
    }

    fn begin_value(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        match byte {
            b'{' => self.open(byte, Level::Key, State::BeginKeyOrClose),
            b'[' => self.open(byte, Level::Array, State::BeginElementOrClose),
            b'"' => self.go(State::Text),
            b'-' => self.go(State::Minus),
            b'0' => self.go(State::Zero),
            b'1'..=b'9' => self.go(State::Digits),
            b't' => self.go(State::Literal { word: "true", seen: 1 }),
            b'f' => self.go(State::Literal { word: "false", seen: 1 }),
            b'n' => self.go(State::Literal { word: "null", seen: 1 }),
            _ => fail(byte, "looking for beginning of value"),
        }
    }

    fn open(&mut self, byte: u8, level: Level, state: State) -> Result<Step, SyntaxError> {
        if self.levels.len() == DEPTH_MAX {
            return fail(byte, "exceeded max depth");
        }
        self.levels.push(level);
        self.go(state)
    }

    fn close(&mut self) -> Result<Step, SyntaxError> {
        self.levels.pop();
        self.value_ended()
    }

    fn value_ended(&mut self) -> Result<Step, SyntaxError> {
        self.state = State::EndValue;
        Ok(if self.levels.is_empty() { Step::Last } else { Step::Inside })
    }

    fn after_value(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        match (self.levels.last().copied(), byte) {
            (None, _) => Ok(Step::After),
            (Some(Level::Key), b':') => {
                self.set_level(Level::Value);
                self.go(State::BeginValue)
            }
            (Some(Level::Key), _) => fail(byte, "after object key"),
            (Some(Level::Value), b',') => {
                self.set_level(Level::Key);
                self.go(State::BeginKey)
            }
            (Some(Level::Value), b'}') | (Some(Level::Array), b']') => self.close(),
            (Some(Level::Value), _) => fail(byte, "after object key:value pair"),
            (Some(Level::Array), b',') => self.go(State::BeginValue),
            (Some(Level::Array), _) => fail(byte, "after array element"),
        }
    }

    fn set_level(&mut self, level: Level) {
        if let Some(last) = self.levels.last_mut() {
            *last = level;
        }
    }

    fn in_text(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        match (self.state, byte) {
            (State::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.go(State::Text),
            (State::Escape, b'u') => self.go(State::Hex(4)),
            (State::Escape, _) => fail(byte, "in string escape code"),
            (State::Hex(left), _) if byte.is_ascii_hexdigit() => {
                self.go(if left == 1 { State::Text } else { State::Hex(left - 1) })
            }
            (State::Hex(_), _) => fail(byte, "in \\u hexadecimal character escape"),
            (_, b'\\') => self.go(State::Escape),
            (_, b'"') => self.value_ended(),
            (_, 0..=0x1f) => fail(byte, "in string literal"),
            _ => Ok(Step::Inside),
        }
    }

    fn in_literal(&mut self, byte: u8, word: &'static str, seen: usize) -> Result<Step, SyntaxError> {
        let expected = word.as_bytes()[seen];
        if byte != expected {
            return fail(byte, &format!("in literal {word} (expecting {})", quote(expected)));
        }
        if seen + 1 == word.len() { self.value_ended() } else { self.go(State::Literal { word, seen: seen + 1 }) }
    }

    fn in_number(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        match (self.state, byte) {
            (State::Minus, b'0') => self.go(State::Zero),
            (State::Minus | State::Digits, b'0'..=b'9') => self.go(State::Digits),
            (State::Zero | State::Digits, b'.') => self.go(State::Dot),
            (State::Dot | State::Fraction, b'0'..=b'9') => self.go(State::Fraction),
            (State::Zero | State::Digits | State::Fraction, b'e' | b'E') => self.go(State::Exponent),
            (State::Exponent, b'+' | b'-') => self.go(State::ExponentSign),
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                self.go(State::ExponentDigits)
            }
            (State::Minus, _) => fail(byte, "in numeric literal"),
            (State::Dot, _) => fail(byte, "after decimal point in numeric literal"),
            (State::Exponent | State::ExponentSign, _) => fail(byte, "in exponent of numeric literal"),
            _ => self.number_ended(byte),
        }
    }

    fn number_ended(&mut self, byte: u8) -> Result<Step, SyntaxError> {
        self.state = State::EndValue;
        if !self.levels.is_empty() && is_space(byte) {
            return Ok(Step::Inside);
        }
        self.after_value(byte)
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn fail(byte: u8, context: &str) -> Result<Step, SyntaxError> {
    Err(SyntaxError { byte, context: context.to_owned() })
}

/// A byte as Go quotes it: taken for a Latin-1 character, in single quotes.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        0x07 => "'\\a'".to_owned(),
        0x08 => "'\\b'".to_owned(),
        0x0c => "'\\f'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        0x0b => "'\\v'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the first value, or the complaint; `None` when more input is needed.
    fn scan(text: &str) -> Option<Result<usize, String>> {
        let mut scanner = Scanner::new();
        for (at, byte) in text.bytes().enumerate() {
            match scanner.feed(byte) {
                Ok(Step::Before | Step::Inside) => {}
                Ok(Step::Last) => return Some(Ok(at + 1)),
                Ok(Step::After) => return Some(Ok(at)),
                Err(error) => return Some(Err(error.to_string())),
            }
        }
        scanner.complete_at_end().then_some(Ok(text.len()))
    }

    #[test]
    fn values_end_where_they_end() {
        for (text, end) in [
            (r#"{"a":[1,2,{"b":null}]} garbage"#, 22),
            (r#"  "x\"y" "#, 8),
            ("12 ", 2),
            ("01", 1),
            ("-1.5e+7", 7),
            ("true1", 4),
            ("[ ]", 3),
            ("{ }", 3),
            (r#"[{"a" : 1 , "b":-0.0 } ]"#, 24),
            (r#""\u00e4""#, 8),
        ] {
            assert_eq!(scan(text), Some(Ok(end)), "{text}");
        }
    }

    #[test]
    fn unfinished_values_ask_for_more() {
        for text in ["", " \n", "{", r#"{"a":"#, "-", "1.", "1e", "tr", r#""\u12"#, "[1,"] {
            assert_eq!(scan(text), None, "{text}");
        }
    }

    /// Texts recorded from etcd 3.5.30.
    #[test]
    fn complaints_are_worded_as_etcd_words_them() {
        for (text, complaint) in [
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("{key:1}", "invalid character 'k' looking for beginning of object key string"),
            ("{'key':1}", r"invalid character '\'' looking for beginning of object key string"),
            (r#"{"key":"YQ==",}"#, "invalid character '}' looking for beginning of object key string"),
            ("{\"key\":\"Y\nQ==\"}", r"invalid character '\n' in string literal"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
            (r#"{"a":NaN}"#, "invalid character 'N' looking for beginning of value"),
            (r#"{"a":05}"#, "invalid character '5' after object key:value pair"),
            (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            ("[1 2]", "invalid character '2' after array element"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
            (r#"{"a":"\u12g4"}"#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("{\"a\":\"\u{1}\"}", r"invalid character '\x01' in string literal"),
        ] {
            assert_eq!(scan(text), Some(Err(complaint.to_owned())), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let complaint = "invalid character '{' exceeded max depth".to_owned();
        assert_eq!(scan(&r#"{"a":"#.repeat(10_001)), Some(Err(complaint)));
        assert_eq!(scan(&r#"{"a":"#.repeat(10_000)), None);
    }
}
