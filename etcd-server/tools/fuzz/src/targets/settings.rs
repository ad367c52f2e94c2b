//! Configuration files in YAML, words of the command line, and variables.

use crate::{Dice, Target};
use config::{Environment, Row, Start, Yaml};
use std::net::IpAddr;
use std::path::Path;

pub(super) struct SettingsFiles {
    sample: String,
    rows: Vec<&'static Row>,
}

struct Machine(String);

impl Environment for Machine {
    fn read_file(&self, _: &Path) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn default_host(&self) -> Option<IpAddr> {
        Some([10, 0, 0, 1].into())
    }
}

impl SettingsFiles {
    pub(super) fn new() -> Self {
        let sample = config::sample_file().replace("\n# ", "\n").replace("  # ", "  ");
        Self { sample, rows: config::rows().map(|(_, row)| row).collect() }
    }

    /// A few settings with odd values, or a piece of the sample, spoilt.
    fn file(&self, dice: &mut Dice) -> String {
        let mut text = String::new();
        if dice.once_in(3) {
            let lines: Vec<&str> = self.sample.lines().collect();
            let from = dice.below(lines.len());
            text = lines[from..(from + 20).min(lines.len())].join("\n");
        } else {
            for _ in 0..=dice.below(3) {
                let row = *dice.pick(&self.rows);
                if row.yaml != Yaml::Absent {
                    let path = row.yaml_path();
                    text += &format!("{}: {}{}\n", path.join(": {"), value(dice), "}".repeat(path.len() - 1));
                }
            }
        }
        if dice.once_in(2) {
            let mut bytes = text.into_bytes();
            dice.spoil(&mut bytes);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        text
    }
}

fn value(dice: &mut Dice) -> String {
    let text = dice.text().replace(['\n', '\r'], " ");
    match dice.below(8) {
        0 => format!("[{text}, {text}]"),
        1 => format!("{{a: {text}}}"),
        2 => format!("&a [*a, {text}]"),
        3 => format!("!!binary {text}"),
        4 => format!("'{text}'"),
        5 => dice.number().to_string(),
        _ => text,
    }
}

impl Target for SettingsFiles {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let machine = Machine(self.file(dice));
        let (mut words, mut variables) = (vec!["--config-file=f".to_owned()], Vec::new());
        if dice.once_in(4) {
            words = (0..dice.below(4)).map(|_| format!("--{}={}", dice.pick(&self.rows).name, dice.text())).collect();
            variables.push((dice.pick(&self.rows).variable(), dice.text()));
        }
        let response = config::load(&words, &variables, &machine);
        matches!(response, Ok(Start::Serve(_) | Start::Check(_)))
    }
}
