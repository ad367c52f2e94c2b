//! Members of the cluster, their ids and the rules of changing them.
//!
//! Holds what a member is and how it is written: ids, records, contexts, versions. The state and its rules are not here yet.
#![forbid(unsafe_code)]

mod conf_change;
mod downgrade;
mod ids;
mod json;
mod member;
mod peer_urls;
mod refusal;
mod version;

pub use conf_change::ConfChange;
pub use downgrade::Downgrade;
pub use ids::{cluster_id, member_id};
pub use member::Member;
pub use peer_urls::{BadUrls, normalise};
pub use refusal::Refusal;
pub use version::{MalformedVersion, Version};
