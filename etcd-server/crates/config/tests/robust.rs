//! Any value of any setting gives settings or one line that names the mistake.

use config::{Start, Yaml, rows};

use crate::support::{Machine, run_words};

const NASTY: &[&str] = &[
    "",
    " ",
    ",",
    ",,",
    "=",
    "a=b",
    "a=b,a=c",
    "-1",
    "0",
    "1",
    "1.5",
    "0x",
    "0b2",
    "1__0",
    "9223372036854775807",
    "18446744073709551616",
    "-9223372036854775808",
    "5s",
    "-5s",
    "9999999h",
    "2562047h47m16.854775807s",
    "1.99999999999999999999s",
    "µs",
    "1µs",
    "true",
    "ä",
    "http://",
    "http://[",
    "http://[]:1",
    "http://]:1",
    "http://a:1",
    "http://1.2.3.4:1",
    "http://0.0.0.0:1",
    "unix:",
    "unix:x",
    "unix:/x",
    "unixs://ä",
    "://",
    ":",
    "http://ä:1",
    "http://a@b@1.2.3.4:1",
    "http://1.2.3.4:1#x",
    "http://%",
    "default",
    "default,default",
    "stderr,stdout",
    "/dev/null",
    "*",
    "*,a",
    "jwt",
    "jwt,",
    "simple,=",
    "TLS1.3",
    "revision",
    "existing",
    "LeaseCheckpoint=true",
    "AllAlpha=true",
    "AllBeta=x",
    "{}",
    "[]",
    "{\"maxsize\":18446744073709551615}",
];

/// `false` when the answer is more than a line.
fn is_fine(response: Result<Start, config::ConfigError>) -> bool {
    response.map_or_else(|problem| !problem.to_string().contains('\n') && !problem.to_string().is_empty(), |_| true)
}

#[test]
fn every_flag_and_variable_survives_every_value() {
    for (_, row) in rows() {
        for text in NASTY {
            let words = [format!("--{}={text}", row.name), "--enable-log-rotation=true".to_owned()];
            assert!(is_fine(run_words(&words, &[], &Machine::default())), "{words:?}");
            let variable = format!("{}={text}", row.variable());
            assert!(is_fine(run_words(&[], &[&variable], &Machine::default())), "{variable}");
        }
    }
}

#[test]
fn every_key_of_a_file_survives_every_value() {
    for (_, row) in rows().filter(|(_, row)| row.yaml != Yaml::Absent) {
        for text in NASTY.iter().copied().chain(["~", "[a, 1]", "{a: b}", "!x y", "[[]]", ".inf", "-0.0"]) {
            for value in [text.to_owned(), format!("'{text}'"), format!("['{text}']")] {
                let (before, after) = (row.yaml_path().join(": {"), "}".repeat(row.yaml_path().len() - 1));
                let machine =
                    Machine { file: Some(format!("{before}: {value}{after}\n")), host: Some([10, 0, 0, 1].into()) };
                let response = run_words(&["--config-file=f".to_owned()], &[], &machine);
                assert!(is_fine(response), "{:?}", machine.file);
            }
        }
    }
}

#[test]
fn cut_off_files_are_refused_or_read_but_never_more() {
    let sample = config::sample_file().replace("\n# ", "\n").replace("  # ", "  ");
    for end in (0..sample.len()).filter(|end| sample.is_char_boundary(*end)).step_by(7) {
        let machine = Machine { file: Some(sample[..end].to_owned()), host: None };
        assert!(is_fine(run_words(&["--config-file=f".to_owned()], &[], &machine)), "{end}");
    }
}
