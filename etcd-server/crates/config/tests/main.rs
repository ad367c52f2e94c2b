//! The crate from outside: the results of a command line, variables or a file.

mod accepted;
mod bounds;
mod compared;
mod golden;
mod refused;
mod robust;
mod support;
mod table;
mod used;
