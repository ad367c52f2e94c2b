//! Wire messages, generated from our `.proto` files.
//!
//! Holds no behaviour. Field numbers, names and packages are those of etcd v3.7.1, so that bytes
//! and JSON names are equal.

pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}
pub mod authpb {
    include!(concat!(env!("OUT_DIR"), "/authpb.rs"));
}
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}
pub mod membershippb {
    include!(concat!(env!("OUT_DIR"), "/membershippb.rs"));
}
pub mod leasepb {
    include!(concat!(env!("OUT_DIR"), "/leasepb.rs"));
}
pub mod v3lockpb {
    include!(concat!(env!("OUT_DIR"), "/v3lockpb.rs"));
}
pub mod v3electionpb {
    include!(concat!(env!("OUT_DIR"), "/v3electionpb.rs"));
}
pub mod raftpb {
    include!(concat!(env!("OUT_DIR"), "/raftpb.rs"));
}
pub mod healthpb {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

/// The `FileDescriptorSet` of every message and service in `proto/`, encoded: what the JSON gateway
/// is driven by.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
