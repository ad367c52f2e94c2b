//! Compiles `proto/*.proto` to messages and one descriptor set, without a protoc on the machine.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "proto/kv.proto",
        "proto/auth.proto",
        "proto/rpc.proto",
        "proto/membership.proto",
        "proto/raft_internal.proto",
        "proto/lease.proto",
        "proto/v3lock.proto",
        "proto/v3election.proto",
        "proto/health.proto",
        "proto/raft.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
