//! Generates the service traits and stubs; the messages themselves come from `proto`.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS)?;
    let mut builder = tonic_prost_build::configure();
    for (package, module) in [
        (".etcdserverpb", "::proto::etcdserverpb"),
        (".mvccpb", "::proto::mvccpb"),
        (".authpb", "::proto::authpb"),
        (".membershippb", "::proto::membershippb"),
        (".leasepb", "::proto::leasepb"),
        (".v3lockpb", "::proto::v3lockpb"),
        (".v3electionpb", "::proto::v3electionpb"),
        (".raftpb", "::proto::raftpb"),
        (".grpc.health.v1", "::proto::healthpb"),
    ] {
        builder = builder.extern_path(package, module);
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
