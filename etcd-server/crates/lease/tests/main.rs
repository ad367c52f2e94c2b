//! Leases from outside: scripts that tell a story, and a foolish twin that recomputes everything.

mod model;
mod script;
mod store;
