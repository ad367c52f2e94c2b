//! The identity of this member, on its first start: an initial member of a new cluster, or one that
//! joins others.

pub(crate) mod discovery;
pub(crate) mod first_election;

use crate::start_error::StartError;
use config::{Bootstrap, ClusterState, InitialCluster, Settings};
use futures::future::join_all;
use http::Uri;
use membership::{Member, Version};
use peer::{Connect, ask};
use std::net::ToSocketAddrs as _;
use std::time::Duration;
use types::{ClusterId, MemberId};

/// For the members of a cluster that is being joined (etcd: 10 s).
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// For members that may know this one already (etcd: 1 s).
const FOUND_TIMEOUT: Duration = Duration::from_secs(1);

/// The inputs of a first start; empty on later ones, when the data has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) member: MemberId,
    pub(crate) cluster: ClusterId,
    /// All initial members with this one; none when it joins others.
    pub(crate) initial_members: Vec<Member>,
    /// The members of the cluster that is joined, with this one.
    pub(crate) joined: Vec<Member>,
}

/// Works out the first start's plan, asking other members where that is needed.
pub(crate) async fn plan(settings: &Settings, own_version: Version, connect: &dyn Connect) -> Result<Plan, StartError> {
    let (initial, token) = discovery::initial_cluster(settings).await?;
    if !matches!(settings.cluster.bootstrap, Bootstrap::InitialCluster(_)) {
        settings.check_members(&initial, &crate::startup::resolve)?;
    }
    let configured = configured(&initial, &token);
    match settings.cluster.state {
        ClusterState::New => found(settings, configured, connect).await,
        ClusterState::Existing => join(settings, &configured, own_version, connect).await,
    }
}

async fn found(settings: &Settings, initial_members: Vec<Member>, connect: &dyn Connect) -> Result<Plan, StartError> {
    let own = own_of(settings, &initial_members)?.clone();
    let asked = others_urls(&initial_members, own.id)
        .into_iter()
        .map(|url| async move { ask::members(connect, &url, FOUND_TIMEOUT).await });
    let known: Vec<Member> = join_all(asked).await.into_iter().flatten().flat_map(|known| known.members).collect();
    refuse_wiped(&known, own.id)?;
    let cluster = membership::cluster_id(initial_members.iter().map(|founder| founder.id));
    Ok(Plan { member: own.id, cluster, initial_members, joined: Vec::new() })
}

/// Refuses a member without data under its old id, which would vote a second time in terms it has
/// voted in. A learner has no vote. Initial members have names before they run for the first time,
/// but no client URLs.
fn refuse_wiped(known: &[Member], own: MemberId) -> Result<(), StartError> {
    let started = |member: &Member| member.id == own && !member.client_urls.is_empty() && !member.is_learner;
    if !known.iter().any(started) {
        return Ok(());
    }
    Err(StartError::Setting(format!(
        "member {own} has already been bootstrapped: its data directory was lost or moved. Bring the directory back, or rebuild the member: \
         `etcdctl member remove {own}`, `etcdctl member add` with its name and peer URLs, and start it with --initial-cluster-state=existing",
    )))
}

async fn join(
    settings: &Settings,
    configured: &[Member],
    own_version: Version,
    connect: &dyn Connect,
) -> Result<Plan, StartError> {
    let own = own_of(settings, configured)?;
    let urls = others_urls(configured, own.id);
    let mut failures = Vec::new();
    let mut known = None;
    for url in &urls {
        match ask::members(connect, url, JOIN_TIMEOUT).await {
            Ok(found) => {
                known = Some(found);
                break;
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    let Some(known) = known else {
        return Err(StartError::Setting(format!(
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs ({})",
            failures.join("; ")
        )));
    };
    let joined = matched(configured, &known.members).map_err(|why| {
        let members: Vec<String> =
            known.members.iter().map(|member| format!("{}={:?}", member.id, member.peer_urls)).collect();
        StartError::Setting(format!(
            "error validating peerURLs {{ClusterID:{} Members:{members:?}}}: {why}",
            known.cluster
        ))
    })?;
    check_versions(&joined, &own.name, own_version, connect).await?;
    let member = joined.iter().find(|member| member.name == own.name).map(|member| member.id).unwrap_or_default();
    refuse_wiped(&known.members, member)?;
    Ok(Plan { member, cluster: known.cluster, initial_members: Vec::new(), joined })
}

/// Returns the configured members with the ids that follow from an initial configuration.
fn configured(initial: &InitialCluster, token: &str) -> Vec<Member> {
    let member = |(name, urls): (&str, &[config::Url])| {
        let peer_urls: Vec<String> = urls.iter().map(|url| url.as_str().to_owned()).collect();
        let id = membership::member_id(&peer_urls, token, None);
        Member { id, name: name.to_owned(), peer_urls, ..Member::default() }
    };
    initial.members().map(member).collect()
}

fn own_of<'a>(settings: &Settings, members: &'a [Member]) -> Result<&'a Member, StartError> {
    let name = &settings.member.name;
    let missing =
        || StartError::Setting(format!("couldn't find local name {name:?} in the initial cluster configuration"));
    members.iter().find(|member| member.name == *name).ok_or_else(missing)
}

fn others_urls(members: &[Member], own: MemberId) -> Vec<Uri> {
    let others = members.iter().filter(|member| member.id != own);
    let mut urls: Vec<&String> = others.flat_map(|member| &member.peer_urls).collect();
    urls.sort();
    urls.into_iter().filter_map(|url| peer::uri(url)).collect()
}

/// The members of the cluster under the names that are configured for their addresses.
fn matched(configured: &[Member], known: &[Member]) -> Result<Vec<Member>, String> {
    if configured.len() != known.len() {
        return Err(format!(
            "member count is unequal: --initial-cluster names {}, the cluster has {}; add this member with `member add` first, and list all",
            configured.len(),
            known.len()
        ));
    }
    let mut matched = Vec::new();
    for member in known {
        let same = |other: &&Member| same_addresses(&other.peer_urls, &member.peer_urls);
        let found = configured.iter().find(same).ok_or_else(|| {
            format!("PeerURLs: no match found for existing member ({}, {:?})", member.id, member.peer_urls)
        })?;
        matched.push(Member { name: found.name.clone(), ..member.clone() });
    }
    Ok(matched)
}

fn same_addresses(left: &[String], right: &[String]) -> bool {
    let sorted = |urls: &[String], resolve: fn(&str) -> String| {
        let mut urls: Vec<String> = urls.iter().map(|url| resolve(url)).collect();
        urls.sort();
        urls
    };
    sorted(left, str::to_owned) == sorted(right, str::to_owned) || sorted(left, resolved) == sorted(right, resolved)
}

/// A URL with its host as an address, if that can be found out.
fn resolved(url: &str) -> String {
    let Ok(parsed) = url.parse::<Uri>() else { return url.to_owned() };
    let (Some(host), Some(port)) = (parsed.host(), parsed.port_u16()) else { return url.to_owned() };
    let found = (host, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.map_or_else(|| url.to_owned(), |address| format!("{}://{address}", parsed.scheme_str().unwrap_or("http")))
}

/// A server older than the cluster, or more than a minor version newer than it knows, must stay
/// away.
async fn check_versions(
    joined: &[Member],
    own_name: &str,
    own: Version,
    connect: &dyn Connect,
) -> Result<(), StartError> {
    let mut parsed = 0;
    for member in joined.iter().filter(|member| member.name != own_name) {
        for url in member.peer_urls.iter().filter_map(|url| peer::uri(url)) {
            let Ok(cluster) = ask::cluster_version(connect, &url, JOIN_TIMEOUT).await else { continue };
            parsed += 1;
            let Some(cluster) = cluster else { break };
            if cluster < Version::new(3, 0, 0) || cluster.cluster() > own.cluster() {
                return Err(StartError::Setting(format!(
                    "incompatible with current running cluster: it is at version {cluster}, this server at {own}"
                )));
            }
            break;
        }
    }
    if parsed == 0 {
        return Err(StartError::Setting(
            "incompatible with current running cluster: no member tells its version".to_owned(),
        ));
    }
    Ok(())
}
