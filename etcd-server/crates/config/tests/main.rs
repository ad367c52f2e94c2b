//! The crate from outside: what a command line, variables or a file lead to.

mod accepted;
mod compared;
mod golden;
mod refused;
mod robust;
mod support;
mod table;
mod used;
