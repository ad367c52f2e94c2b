//! RocksDB as the state store.
