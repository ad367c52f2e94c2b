//! Real servers for the tools that compare them: started in a temporary directory on free loopback
//! ports, watched, measured, stopped.
//!
//! Knows a server only from outside: its command line, its gRPC port, and the kernel's data about
//! its process.

mod cluster;
mod downgrade;
mod loop_disk;
mod ports;
mod raw_codec;
mod server;
mod usage;

pub use cluster::{Cluster, ClusterError};
pub use loop_disk::LoopDisk;
pub use ports::free_ports;
pub use raw_codec::RawCodec;
pub use server::{Place, Server, Settings, StartError};
pub use usage::{Usage, memory_peak_reset};
