//! Watching from outside: scripts that tell a story, messages byte by byte, and a foolish twin that scans the whole history.

mod encoding;
mod model;
mod script;
mod store;
