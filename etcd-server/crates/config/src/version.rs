//! The output of `--version`.

/// The etcd release whose behaviour this daemon has.
pub const ETCD_VERSION: &str = "3.7.1";

/// The source that a program was built from; empty where the build was not given it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildSource {
    /// The commit, abbreviated.
    pub commit: &'static str,
    /// Its date, `2026-01-31`.
    pub date: &'static str,
}

/// etcd's four lines, since scripts pick words out of them, and one about ourselves.
#[must_use]
pub fn version_text(source: BuildSource) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let commit = if source.commit.is_empty() { "Not provided" } else { source.commit };
    let date = if source.date.is_empty() { String::new() } else { format!(" ({})", source.date) };
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: {commit}\nGo Version: none (written in Rust)\nGo OS/Arch: {}/{architecture}\netcd-server Version: {}{date}\n",
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION"),
    )
}
