//! Discovery of the initial members of a cluster: in SRV records of a DNS domain, or by registering
//! at another cluster.

mod channel;
mod dns;
mod sign_up;

use crate::start_error::StartError;
use config::{Bootstrap, ClusterState, InitialCluster, Settings};

/// The members to begin with, and the token that goes into their ids.
pub(crate) async fn initial_cluster(settings: &Settings) -> Result<(InitialCluster, String), StartError> {
    let token = settings.cluster.token.clone();
    match &settings.cluster.bootstrap {
        Bootstrap::InitialCluster(initial) => Ok((initial.clone(), token)),
        Bootstrap::DnsSrv { domain, service_suffix } => {
            let initial = dns::initial_cluster(settings, domain, service_suffix).await.map_err(StartError::Setting)?;
            let name = &settings.member.name;
            if initial.members().all(|(member, _)| member != name) {
                return Err(StartError::Setting(format!("cannot find local etcd member {name:?} in SRV records")));
            }
            Ok((initial, token))
        }
        Bootstrap::Discovery(_) if settings.cluster.state == ClusterState::Existing => {
            Err(StartError::Setting("discovery URL should not be set when joining existing initial cluster".to_owned()))
        }
        Bootstrap::Discovery(discovery) => {
            let initial = sign_up::initial_cluster(settings, discovery).await.map_err(|error| {
                if error.is_final() {
                    tracing::warn!("failed to bootstrap; discovery token was already used");
                    tracing::warn!("do not reuse discovery token; generate a new one to bootstrap a cluster");
                }
                StartError::Setting(format!("failed to join discovery cluster ({error})"))
            })?;
            Ok((initial, discovery.token.clone()))
        }
    }
}
