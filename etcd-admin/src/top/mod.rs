//! The cluster on one screen that refreshes.

mod args;
mod screen;

pub(crate) use args::TopArgs;
pub(crate) use screen::top;
