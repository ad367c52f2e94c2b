//! The versioned key space: put, delete, range, transactions, compaction, hashes.
