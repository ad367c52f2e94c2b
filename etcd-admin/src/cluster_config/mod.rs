//! `cluster.yaml`: the configuration of a whole cluster, from which the configuration of every host
//! follows.
//!
//! Its keys are documented in `etcd-admin/cluster-yaml.md`, which is printed by `etcd-admin init
//! schema`; the Ansible collection reads the same file. Unknown keys are refused, because a
//! misspelt one would silently be a default. All of it is checked when it is read: every
//! [`ClusterFile`] can be written to a host.

mod args;
mod check;
mod document;
mod host;
mod read;
mod settings;

pub(crate) use args::DocumentArgs;
pub(crate) use document::{ClusterFile, MemberEntry, Size};
pub(crate) use host::Host;
pub(crate) use settings::{FOUNDING, yaml_text};

/// The format of `cluster.yaml`, for operators.
pub(crate) const SCHEMA: &str = include_str!("../../cluster-yaml.md");
