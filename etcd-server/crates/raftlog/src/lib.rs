//! The raft log on disk: preallocated, checksummed segments and the watermark beside them.
