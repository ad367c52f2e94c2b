//! The cluster on one screen that refreshes.

mod screen;
mod words;

pub(crate) use screen::top;
pub(crate) use words::TopWords;
