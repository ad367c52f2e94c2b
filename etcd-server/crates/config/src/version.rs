//! The output of `--version`.

/// The etcd release whose behaviour this daemon has.
pub const ETCD_VERSION: &str = "3.7.1";

/// etcd's four lines, since scripts pick words out of them, and one about ourselves.
#[must_use]
pub fn version_text() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let commit = option_env!("ETCD_SERVER_GIT_SHA").unwrap_or("Not provided");
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: {commit}\nGo Version: none (written in Rust)\nGo OS/Arch: {}/{architecture}\netcd-server Version: {}\n",
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION"),
    )
}
