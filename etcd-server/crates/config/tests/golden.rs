//! Texts made from the table, as files: a change of the table shows in them. Run with
//! UPDATE_GOLDEN=1 to rewrite them.

use std::path::Path;

use config::{help_text, sample_file};

use crate::support::from_file;

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the directory of golden files can be written");
    }
    assert_eq!(text, std::fs::read_to_string(&path).expect("the golden file exists"), "{name}");
}

#[test]
fn help_is_as_recorded() {
    check("help.txt", &help_text());
}

#[test]
fn sample_is_as_recorded() {
    check("etcd.conf.yml.sample", &sample_file());
}

#[test]
fn the_sample_is_a_valid_file_with_its_lines_in_or_out() {
    assert_eq!(from_file(&sample_file()).settings.member.name, "default");
    let mut live = String::new();
    for line in sample_file().lines() {
        let is_setting = line
            .trim_start()
            .strip_prefix("# ")
            .is_some_and(|text| text.split_once(": ").is_some_and(|(key, _)| !key.contains(' ')));
        live.push_str(&if is_setting { line.replacen("# ", "", 1) } else { line.to_owned() });
        live.push('\n');
    }
    let loaded = from_file(&live);
    assert!(loaded.warnings.iter().all(|warning| !warning.text.contains("unknown key")), "{:?}", loaded.warnings);
}
