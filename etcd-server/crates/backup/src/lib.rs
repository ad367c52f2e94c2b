//! Etcd's backend file (bbolt), written in sequential passes and read back.
