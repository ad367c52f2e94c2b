//! Forbidden dependencies of crates, and their origin: checked against Cargo's own view of the
//! workspace.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates that decide: no runtime, no socket, no store.
const PURE: [&str; 20] = [
    "types",
    "go_text",
    "http2",
    "schema",
    "proto",
    "mvcc",
    "lease",
    "auth",
    "membership",
    "admission",
    "consensus",
    "apply",
    "watch",
    "pipeline",
    "backend_file",
    "snapshot_restore",
    "sim",
    "model",
    "judge",
    "script",
];
/// Libraries of shell crates.
const SHELL_STUFF: [&str; 7] = ["tokio", "tonic", "hyper", "h2", "rocksdb", "axum", "rustls"];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Returns each name with the names of its dependencies outside of tests.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeMap<&str, &str> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let edges = nodes.iter().map(|node| {
        let deps = node["deps"].as_array().expect("deps").iter();
        let wanted =
            deps.filter(|dep| dep["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null()));
        (names[text(&node["id"])].to_owned(), wanted.map(|dep| names[text(&dep["pkg"])].to_owned()).collect())
    });
    edges.collect()
}

fn reachable(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    assert!(graph.contains_key(from), "there is no crate {from}");
    let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(next) = todo.pop() {
        for dependency in graph.get(&next).into_iter().flatten() {
            if seen.insert(dependency.clone()) {
                todo.push(dependency.clone());
            }
        }
    }
    seen
}

#[test]
fn pure_crates_know_no_shell() {
    let graph = dependencies(&metadata());
    for pure in PURE {
        let known = reachable(&graph, pure);
        for shell in SHELL_STUFF {
            assert!(!known.contains(shell), "{pure} depends on {shell}, if only through others");
        }
    }
}

#[test]
fn daemon_and_simulator_drive_one_pipeline() {
    let graph = dependencies(&metadata());
    for driver in ["replica", "api", "etcd-server", "sim"] {
        assert!(graph[driver].contains("pipeline"), "{driver} does not depend on pipeline");
    }
}

#[test]
fn model_shares_no_code_with_what_it_judges() {
    let graph = dependencies(&metadata());
    let known = reachable(&graph, "model");
    for judged in ["types", "schema", "mvcc", "lease", "auth", "membership", "admission", "apply", "watch", "pipeline"]
    {
        assert!(graph.contains_key(judged) && !known.contains(judged), "model depends on {judged}");
    }
}

#[test]
fn one_crate_each_knows_the_store_and_the_consensus_library() {
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata["workspace_members"].as_array().expect("members").iter().map(text).collect();
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages
        .iter()
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| text(&package["name"]))
        .collect();
    let graph = dependencies(&metadata);
    for (library, owner) in [("rocksdb", "storage"), ("raft", "consensus")] {
        let users: Vec<_> =
            graph.iter().filter(|(user, known)| ours.contains(user.as_str()) && known.contains(library)).collect();
        let users: Vec<_> = users.into_iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(users, [owner], "{library}");
    }
}

#[test]
fn one_crate_of_the_tools_links_the_store() {
    let graph = dependencies(&metadata());
    for (tool, links) in [("admin_ui", false), ("admin_client", false), ("etcdctl", false), ("admin_offline", true)] {
        assert_eq!(reachable(&graph, tool).contains("rocksdb"), links, "{tool}");
    }
    let known = &graph["etcd-admin"];
    assert!(["replica", "storage", "rocksdb"].iter().all(|store| !known.contains(*store)), "{known:?}");
}

#[test]
fn everything_comes_from_the_public_registry_under_a_known_licence() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = text(&package["name"]);
        let source = package["source"].as_str();
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{name} comes from {source:?}");
        let licence = package["license"].as_str().unwrap_or_default();
        let known =
            ["Apache-2.0", "MIT", "BSD", "ISC", "Zlib", "Unicode-3.0", "MPL-2.0", "CC0-1.0", "BSL-1.0", "Unlicense"];
        let file_only = package["license_file"].is_string();
        assert!(known.iter().any(|known| licence.contains(known)) || file_only, "{name} is under {licence:?}");
    }
}
