//! Samples of the metrics page that are taken in the daemon, and the page `/debug/member`.

pub(crate) mod member_page;
pub(crate) mod own_metrics;
pub(crate) mod pipeline_observer;
pub(crate) mod state_metrics;
pub(crate) mod tls_metrics;
