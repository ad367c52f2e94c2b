//! YAML as etcd reads it: by the rules of Go's yaml.v2 behind sigs.k8s.io/yaml.
//!
//! Existing files rely on YAML 1.1 (`yes`, `on`, octal numbers) and on input that this library
//! accepts: a byte order mark, further documents behind the first one, a key given twice. So the
//! crate behind this file only scans; the meaning of a scalar is decided here.

#![expect(clippy::wildcard_enum_match_arm, reason = "events of a scanner are many, and one ends what is read")]

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::collections::BTreeMap;

const DEPTH_MAX: usize = 100;
/// Aliases can make a small file large; no configuration comes near this.
const NODES_MAX: usize = 100_000;
const CORE: &str = "tag:yaml.org,2002:";

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    /// Finite.
    Float(f64),
    Text(String),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// A mapping with each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapping {
    /// In the order of bytes, in which etcd looks at them: of keys that differ in case alone the
    /// last one counts.
    pub(crate) entries: BTreeMap<String, Node>,
    /// Keys that were given more than once; the last value is kept.
    pub(crate) repeated: Vec<String>,
}

impl Node {
    /// The value as an integer. A number with a fraction or an exponent is one if nothing is lost,
    /// as in etcd.
    pub(crate) fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(*number),
            // Go writes larger ones with an exponent, and takes no exponent for an integer.
            Self::Float(number) if number.abs() < 1e21 => number.to_string().parse().ok(),
            Self::Null | Self::Bool(_) | Self::Float(_) | Self::Text(_) | Self::Sequence(_) | Self::Mapping(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(on) = self { Some(*on) } else { None }
    }

    pub(crate) fn as_sequence(&self) -> Option<&[Node]> {
        if let Self::Sequence(nodes) = self { Some(nodes) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) => 1,
            Self::Sequence(nodes) => 1 + nodes.iter().map(Self::size).sum::<usize>(),
            Self::Mapping(mapping) => 1 + mapping.entries.values().map(Self::size).sum::<usize>(),
        }
    }
}

/// Reads the first document of a text; the rest is ignored. `Null` if there is none.
///
/// # Errors
/// An error, with its line.
pub(crate) fn load(text: &str) -> Result<Node, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first =
        text.lines().enumerate().find(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    if let Some((place, _)) = first.filter(|(_, line)| line.starts_with('\t')) {
        // The scanner takes a tab here, Go's does not.
        return Err(format!("yaml: line {}: found character that cannot start any token", place + 1));
    }
    let mut loading = Loading { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    loop {
        let event = loading.next()?;
        match event {
            Event::StreamEnd | Event::DocumentEnd => return Ok(Node::Null),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => return loading.node(event, 0),
        }
    }
}

struct Loading<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Loading<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        let told = |error: &ScanError| format!("yaml: line {}: {}", error.marker().line(), error.info());
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(told(&error)),
            None => Ok(Event::StreamEnd),
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err(format!("yaml: nested deeper than {DEPTH_MAX}"));
        }
        self.nodes += 1;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref())?, anchor),
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => (self.anchors.get(&anchor).cloned().ok_or("yaml: an anchor contains itself")?, 0),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err("yaml: unexpected end of the file".to_owned()),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Node::Sequence(nodes)),
                event => {
                    let node = self.node(event, depth + 1)?;
                    self.count(&node)?;
                    nodes.push(node);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, String> {
        let mut mapping = Mapping::default();
        let mut own: Vec<String> = Vec::new();
        loop {
            let event = self.next()?;
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = match event {
                Event::MappingEnd => return Ok(Node::Mapping(mapping)),
                event => self.node(event, depth + 1)?,
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            self.count(&value)?;
            if is_merge {
                merge(&mut mapping, value)?;
                continue;
            }
            let key = key_text(key)?;
            if own.contains(&key) {
                mapping.repeated.push(key.clone());
            }
            own.push(key.clone());
            mapping.entries.insert(key, value);
        }
    }

    /// Bounds the expansion of a document's aliases.
    fn count(&mut self, node: &Node) -> Result<(), String> {
        self.nodes += node.size();
        if self.nodes > NODES_MAX { Err("yaml: document contains excessive aliasing".to_owned()) } else { Ok(()) }
    }
}

/// Takes in the mapping, or the mappings, behind `<<`; the first of several counts most.
fn merge(into: &mut Mapping, value: Node) -> Result<(), String> {
    let wrong = || Err("yaml: map merge requires map or sequence of maps as the value".to_owned());
    match value {
        Node::Mapping(mapping) => into.entries.extend(mapping.entries),
        Node::Sequence(nodes) => {
            for node in nodes.into_iter().rev() {
                let Node::Mapping(mapping) = node else { return wrong() };
                into.entries.extend(mapping.entries);
            }
        }
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) => return wrong(),
    }
    Ok(())
}

fn key_text(key: Node) -> Result<String, String> {
    match key {
        Node::Text(text) => Ok(text),
        Node::Bool(on) => Ok(on.to_string()),
        Node::Integer(number) => Ok(number.to_string()),
        Node::Float(number) => Ok(number.to_string()),
        Node::Null | Node::Sequence(_) | Node::Mapping(_) => Err("yaml: invalid map key".to_owned()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, String> {
    let kind = tag.filter(|tag| tag.handle == CORE).map(|tag| tag.suffix.as_str());
    let node = match kind {
        None if tag.is_some() || style != ScalarStyle::Plain => return Ok(Node::Text(text.to_owned())),
        Some("str") => return Ok(Node::Text(text.to_owned())),
        None | Some("bool" | "int" | "float" | "null" | "timestamp") => plain(text),
        Some(other) => return Err(format!("yaml: a value of type !!{other} is not supported")),
    };
    let fits = match (kind, &node) {
        (None, Node::Float(number)) if !number.is_finite() => return Err(format!("json: unsupported value: {text}")),
        (None, _)
        | (Some("bool"), Node::Bool(_))
        | (Some("int"), Node::Integer(_))
        | (Some("float"), Node::Float(_) | Node::Integer(_))
        | (Some("null"), Node::Null)
        | (Some("timestamp"), Node::Text(_)) => true,
        (Some(_), _) => false,
    };
    if fits { Ok(node) } else { Err(format!("yaml: cannot decode {text:?} as a !!{}", kind.unwrap_or_default())) }
}

/// The meaning of a scalar without quotes.
fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Node::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Node::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Node::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Node::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Node::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Node::Text(text.to_owned());
    }
    let number = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    let read = if text.starts_with('.') { None } else { integer(&number).map(Node::Integer) };
    let read = read.or_else(|| is_float(&number).then(|| number.parse().ok()).flatten().map(Node::Float));
    read.unwrap_or_else(|| Node::Text(text.to_owned()))
}

/// Go's `ParseInt` and `ParseUint` with base 0: decimal, `0x`, `0b`, and octal with `0o` or a bare
/// zero.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if negative { -number } else { number };
    let has_sign = text.starts_with(['+', '-']);
    let fits = number >= i128::from(i64::MIN) && (number <= i128::from(i64::MAX) || !has_sign);
    fits.then_some(number)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    is_exponent && is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Node, load, plain};

    #[test]
    fn reads_scalars_as_yaml_1_1() {
        for (text, node) in [
            ("yes", Node::Bool(true)),
            ("Off", Node::Bool(false)),
            ("y", Node::Bool(true)),
            ("yEs", Node::Text("yEs".to_owned())),
            ("~", Node::Null),
            ("010", Node::Integer(8)),
            ("0o10", Node::Integer(8)),
            ("0x1F", Node::Integer(31)),
            ("0b11", Node::Integer(3)),
            ("1_000", Node::Integer(1000)),
            ("-5", Node::Integer(-5)),
            ("+5", Node::Integer(5)),
            ("18446744073709551615", Node::Integer(18_446_744_073_709_551_615)),
            ("8e9", Node::Float(8e9)),
            ("1.", Node::Float(1.0)),
            (".5", Node::Float(0.5)),
            ("09", Node::Float(9.0)),
            ("1h", Node::Text("1h".to_owned())),
            ("2026-01-02", Node::Text("2026-01-02".to_owned())),
            ("1.2.3", Node::Text("1.2.3".to_owned())),
            ("-", Node::Text("-".to_owned())),
        ] {
            assert_eq!(plain(text), node, "{text}");
        }
        assert_eq!(Node::Float(8e9).as_integer(), Some(8_000_000_000));
        assert_eq!(Node::Float(1.5).as_integer(), None);
        assert_eq!(Node::Float(1e22).as_integer(), None);
    }

    #[test]
    fn bounds_what_aliases_make() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let above = level - 1;
            text += &format!(
                "a{level}: &a{level} [*a{above}, *a{above}, *a{above}, *a{above}, *a{above}, *a{above}, *a{above}, *a{above}]\n"
            );
        }
        assert!(load(&text).unwrap_err().contains("aliasing"));
        assert!(load(&"[".repeat(5_000)).is_err());
    }
}
