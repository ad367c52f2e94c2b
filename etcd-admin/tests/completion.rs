//! Completion in real shells, under all three names: nested commands, and the values of flags.

use crate::tool::Tool;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Lines to complete, and the words that have to be offered; none other that begins the same may be
/// missing.
const LINES: &[(&str, &[&str])] = &[
    ("etcd-admin sta", &["status"]),
    ("etcd-admin member re", &["remove", "replace", "rebuild"]),
    ("etcd-admin snapshot ver", &["verify"]),
    ("etcd-admin -o json member re", &["remove", "replace", "rebuild"]),
    ("etcd-admin roll ", &["restart", "upgrade", "rotate"]),
    ("etcd-admin wait --for ", &["leader", "quorum", "healthy", "caught-up"]),
    ("etcd-admin cert issue --ke", &["--key"]),
    ("etcdctl endpoint ", &["health", "status", "hashkv"]),
    ("etcdctl user gr", &["grant-role"]),
    ("etcdutl snapshot re", &["restore"]),
];

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/completion").join(name)
}

fn is_installed(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skip::report(format_args!("{shell} is not installed"));
    }
    found
}

/// Returns the words that the shell offers for `line`, with the scripts of `directory`.
fn offered(shell: &str, directory: &Path, line: &str) -> Vec<String> {
    let name = line.split(' ').next().unwrap();
    let mut command = Command::new(shell);
    match shell {
        "bash" => command.arg("--norc").arg(driver("drive.bash")).arg(directory.join(format!("{name}.bash"))).arg(line),
        "zsh" => command.arg("-f").arg(driver("drive.zsh")).arg(directory).arg(line),
        _ => command.args([
            "--no-config",
            "-c",
            &format!("source {}/{name}.fish; complete -C '{line}'", directory.display()),
        ]),
    };
    let ended = command
        .env("HOME", directory)
        .env("XDG_CONFIG_HOME", directory)
        .env("XDG_DATA_HOME", directory)
        .output()
        .unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split('\t').next())
        .map(|arg| arg.trim().to_owned())
        .filter(|arg| !arg.is_empty())
        .collect()
}

#[test]
fn shells_complete_nested_commands_and_values() {
    let tool = Tool::new();
    for shell in SHELLS.into_iter().filter(|shell| is_installed(shell)) {
        for (name, args) in
            [("etcd-admin", "completion"), ("etcdctl", "etcdctl completion"), ("etcdutl", "etcdutl completion")]
        {
            let script = tool.run(&format!("{args} {shell}")).good();
            // zsh finds a script by the name of its function.
            let file = if shell == "zsh" { format!("_{name}") } else { format!("{name}.{shell}") };
            std::fs::write(tool.path(&file), script).unwrap();
        }
        for (line, expected) in LINES {
            let offered = offered(shell, tool.home(), line);
            let missing: Vec<_> =
                expected.iter().filter(|arg| !offered.iter().any(|offered| offered == *arg)).collect();
            assert!(missing.is_empty(), "{shell} {line:?} lacks {missing:?}: {offered:?}");
        }
    }
}

/// `completion | head -1` closes the pipe before everything is written.
#[test]
fn completion_ends_quietly_when_its_reader_does() {
    for args in ["completion bash", "etcdctl completion bash", "etcdutl completion bash"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
        let mut child = command.args(args.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && complaint.is_empty(), "{args}: {:?} {complaint}", ended.status);
    }
}
