//! Tests of the file format, of its contents, and against etcd's own tools.

mod corrupt;
mod etcd_tools;
mod golden;
mod hashes;
mod round_trip;
mod support;
