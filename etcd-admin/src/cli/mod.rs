//! The command line of `etcd-admin`: its arguments, its help, and the command that they name.

pub(crate) mod admin;
pub(crate) mod args;
pub(crate) mod context;
pub(crate) mod dispatch;
#[cfg(test)]
mod hints;
pub(crate) mod manual;
