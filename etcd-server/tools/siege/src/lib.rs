//! Hostile clients: frames that no library would send, floods of them, and their cost for the
//! server and an honest client.
//!
//! Every flood is bounded in count and in time, and is aimed at a server that this program has
//! started on loopback itself.
#![allow(clippy::missing_errors_doc, reason = "a tool: what fails is told as it is")]

pub mod bystander;
pub mod floods;
pub mod measure;
pub mod raw;
