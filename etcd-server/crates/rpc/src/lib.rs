//! gRPC service traits and client stubs for the messages of `proto`.
//!
//! Apart from `proto` so that the pure crates know the messages without knowing tonic.

pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}
pub mod healthpb {
    tonic::include_proto!("grpc.health.v1");
}
