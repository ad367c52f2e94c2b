//! The metrics page against the list of etcd's families and against a real etcd.

mod bounded;
mod exercise;
mod families;
mod listed;
mod page;
mod real_etcd;
