//! Members of the cluster, their ids and the rules of changing them; cluster version and downgrade.
//!
//! [`Membership`] is replicated: only apply changes it. [`may_add`] and its neighbours,
//! [`normalise`] and [`validate_downgrade`] are called before a change is proposed. Connected
//! members, the progress of a learner and the time are arguments.
#![forbid(unsafe_code)]

mod cluster_version;
mod conf_change;
mod downgrade;
mod error;
mod ids;
mod json;
mod member;
mod membership;
mod peer_urls;
mod strict_reconfiguration;
mod v2_store;
mod version;

pub use cluster_version::{InvalidDowngradeTarget, decide_cluster_version, downgrade_is_complete};
pub use conf_change::ConfChange;
pub use downgrade::{Downgrade, DowngradeRejection, validate_downgrade};
pub use error::MembershipError;
pub use ids::{cluster_id, member_id};
pub use member::{Member, attributes_from_json};
pub use membership::{CLUSTER_VERSION, DOWNGRADE, Membership, check_own_version};
pub use peer_urls::{BadUrls, normalise};
pub use strict_reconfiguration::{
    Connected, HEALTH_INTERVAL, ReconfigurationRejection, is_ready, may_add, may_promote, may_remove,
};
pub use v2_store::v2_store;
pub use version::{MalformedVersion, Version};
