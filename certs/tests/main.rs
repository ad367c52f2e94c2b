//! Certificates as others see them: chains by the rules of a handshake, files as openssl reads
//! them.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failure is a failed test, and a skipped test says why")]

mod ca;
mod dirs;
mod keys;
mod openssl;
mod robust;
mod support;
