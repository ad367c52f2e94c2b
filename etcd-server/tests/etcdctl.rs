//! The real etcdctl against this daemon and against a real etcd: its output must be the same, but
//! for ids, times and versions.
//!
//! Needs etcd, etcdctl and etcdutl in the directory named by `ETCD_BIN_DIR`; without it the test
//! prints one line and passes.
#![allow(clippy::print_stderr, reason = "a skipped test must say why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use testbed::{Server, Settings};

/// Command lines, in order; the file says how they are written.
const SCRIPT: &str = include_str!("etcdctl/script.txt");

fn binaries() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("ETCD_BIN_DIR")?);
    ["etcd", "etcdctl", "etcdutl"].iter().all(|name| dir.join(name).is_file()).then_some(dir)
}

/// One server, and the parts of its responses that are its alone.
struct Side {
    server: Server,
    own_words: Vec<(String, &'static str)>,
}

impl Side {
    async fn start(command: &str) -> Self {
        let mut settings = Settings::new(command);
        settings.flags = ["--log-level", "error", "--bcrypt-cost", "4"].map(str::to_owned).to_vec();
        let server = Server::start(settings).await.expect("the server starts");
        let header = server.status().header.unwrap_or_default();
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let mut own_words = vec![
            (address(&server.endpoint()), "CLIENT-ADDRESS"),
            (address(&server.peer_url()), "PEER-ADDRESS"),
            (server.status().version.clone(), "VERSION"),
        ];
        for (id, name) in [(header.cluster_id, "CLUSTER"), (header.member_id, "MEMBER")] {
            own_words.push((id.to_string(), name));
            own_words.push((format!("{id:x}"), name));
        }
        Self { server, own_words }
    }

    fn run(&self, etcdctl: &Path, line: &str) -> String {
        let (words, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let mut command = Command::new(etcdctl);
        let word = |word: &str| {
            if word == "EMPTY" { String::new() } else { word.replace("\\s", " ").replace("MEMBER", &self.member()) }
        };
        command.args(words.split_whitespace().map(word));
        command.args(["--endpoints", &self.server.endpoint()]).env_clear();
        let printed = output(&mut command, &input.replace("\\n", "\n"));
        let text =
            format!("{}{}{}", printed.status, String::from_utf8_lossy(&printed.stdout), last_line(&printed.stderr));
        let text = text.split(" took = ").next().unwrap_or_default().to_owned();
        self.own_words.iter().fold(text, |text, (own, name)| text.replace(own, name))
    }

    fn member(&self) -> String {
        let header = self.server.status().header.unwrap_or_default();
        format!("{:x}", header.member_id)
    }
}

/// The last line that is not the client library's log.
fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().rfind(|line| !line.starts_with('{')).unwrap_or_default().to_owned()
}

fn output(command: &mut Command, input: &str) -> Output {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("etcdctl can be run");
    // A command that wants no input may have ended already.
    drop(child.stdin.take().expect("its input is a pipe").write_all(input.as_bytes()));
    child.wait_with_output().expect("etcdctl ends")
}

/// Blanks and rules of a table follow the widest cell, which may be an id.
fn without_layout(text: &str) -> String {
    let ruled = |letter: char| letter.is_whitespace() || "-+|─│┌┐└┘├┤┬┴┼".contains(letter);
    text.chars().filter(|letter| !ruled(*letter)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_prints_what_it_prints_for_etcd() {
    let Some(dir) = binaries() else {
        skip::report("set ETCD_BIN_DIR to a directory with etcd, etcdctl and etcdutl");
        return;
    };
    let ours = Side::start(env!("CARGO_BIN_EXE_etcd-server")).await;
    let real = Side::start(dir.join("etcd").to_str().unwrap()).await;
    let etcdctl = dir.join("etcdctl");
    let mut differences = String::new();
    for line in SCRIPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (of_ours, of_real) = (ours.run(&etcdctl, line), real.run(&etcdctl, line));
        if without_layout(&of_ours) != without_layout(&of_real) {
            differences += &format!("etcdctl {line}\n--- ours\n{of_ours}\n--- etcd\n{of_real}\n\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
