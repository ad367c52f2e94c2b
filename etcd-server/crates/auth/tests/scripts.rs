//! Runs every story in `tests/scripts`: commands, a line `---`, and each command again with its
//! recorded output.
//!
//! `RECORD=1 cargo test -p auth` rewrites the output; review the difference. After each command the
//! state is read back from the tables and compared with the one in memory.

use crate::script::Script;
use std::fs;
use std::path::Path;

#[test]
fn stories_end_as_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let commands = text.split("---\n").next().unwrap();
        let told = format!("{commands}---\n{}", tell(commands));
        if std::env::var_os("RECORD").is_some() {
            fs::write(&path, told).unwrap();
        } else {
            assert_eq!(told, text, "{} ended otherwise", path.display());
        }
    }
}

fn tell(commands: &str) -> String {
    let mut script = Script::new();
    let lines = commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| format!("{line} → {}\n", script.run(line))).collect()
}
