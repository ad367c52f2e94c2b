//! The guard around raft: one module owns the raft node and holds its rules.
