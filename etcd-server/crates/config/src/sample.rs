//! A configuration file with every setting, commented out at its default, from the table.

use crate::go_duration;
use crate::row::{Kind, Row, Section};
use crate::table::rows;

const HEADER: &str = "# Configuration of etcd-server. Lines that are commented out show the defaults.
# With --config-file, other flags and ETCD_* variables are ignored.
# Durations are integer counts of nanoseconds here.
";

/// The whole text.
#[must_use]
pub fn sample_file() -> String {
    let mut text = HEADER.to_owned();
    let mut heading: Option<Section> = None;
    let mut written: Vec<&str> = Vec::new();
    for (section, row) in rows() {
        let path = row.yaml_path();
        let Some(last) = path.len().checked_sub(1) else { continue };
        if heading != Some(section) {
            text.push_str(&format!("\n# {}\n", section.title()));
            heading = Some(section);
        }
        let shared = path[..last].iter().zip(&written).take_while(|(key, above)| key == above).count();
        text.push('\n');
        for (depth, key) in path[..last].iter().enumerate().skip(shared) {
            text.push_str(&format!("{}{key}:\n", "  ".repeat(depth)));
        }
        text.push_str(&format!("{}# {}\n", "  ".repeat(last), row.help));
        text.push_str(&format!("{}# {}: {}\n", "  ".repeat(last), path[last], default_of(row)));
        written = path[..last].to_vec();
    }
    text
}

/// The default as the file spells it.
fn default_of(row: &Row) -> String {
    match row.kind {
        Kind::Bool | Kind::Unsigned(_) | Kind::Signed => row.default.to_owned(),
        Kind::Duration => {
            let nanos = go_duration::parse(row.default).expect("the table's defaults can be read");
            format!("{nanos} # {}", row.default)
        }
        Kind::List => format!("[{}]", row.default),
        Kind::Text | Kind::Urls | Kind::Origins | Kind::CommaList | Kind::Choice(_) | Kind::Gates => {
            format!("'{}'", row.default)
        }
    }
}
