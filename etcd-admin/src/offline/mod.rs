//! Data of members that do not run: the only modules that link the store.

pub(crate) mod aside;
pub(crate) mod data_dir;
pub(crate) mod temp_member;
