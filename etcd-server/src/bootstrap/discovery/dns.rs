//! Initial members from SRV records: `_etcd-server-ssl._tcp.DOMAIN` for https,
//! `_etcd-server._tcp.DOMAIN` for http, both taken together.
//!
//! Rule: etcd client/pkg/srv. A record whose address is one that this member advertises is this
//! member, the others are named 0, 1, 2, …

use config::{Endpoint, InitialCluster, Settings, Url};
use hickory_resolver::proto::rr::{RData, Record, RecordType, rdata::SRV};
use hickory_resolver::{Resolver, TokioResolver};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A record in the words that matter here.
struct Target {
    host: String,
    port: u16,
}

/// The members that the records of `domain` name. An error is one line.
pub(super) async fn initial_cluster(settings: &Settings, domain: &str, suffix: &str) -> Result<InitialCluster, String> {
    let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
    let resolver = Resolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = resolver.map_err(|error| format!("the system's DNS settings cannot be used: {error}"))?;
    let own = own_addresses(settings).await?;
    let mut names = Names { own_name: &settings.member.name, own, given: 0 };
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (scheme, service) in [("https", format!("etcd-server-ssl{suffix}")), ("http", format!("etcd-server{suffix}"))] {
        match names.entries(&resolver, scheme, &service, domain).await {
            Ok(entries) => found.extend(entries),
            Err(error) => failed.push(format!("error querying DNS SRV records for _{service} {error}")),
        }
    }
    if found.is_empty() {
        return Err(failed.join("; "));
    }
    for error in failed {
        tracing::info!(error, "one of two SRV services has no usable records");
    }
    let cluster = found.join(",");
    tracing::info!(discovery_srv = domain, initial_cluster = cluster, "got bootstrap from DNS for etcd-server");
    InitialCluster::parse(&cluster).map_err(|error| error.to_string())
}

async fn own_addresses(settings: &Settings) -> Result<BTreeMap<SocketAddr, Url>, String> {
    let mut own = BTreeMap::new();
    for url in &settings.listen.advertise_peer {
        let Endpoint::Tcp { host, port } = url.endpoint() else { continue };
        own.insert(resolve(host, *port).await?, url.clone());
    }
    Ok(own)
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| format!("{host}: {error}"))?;
    found.into_iter().next().ok_or_else(|| format!("{host}: no address"))
}

/// The names of the members.
struct Names<'a> {
    own_name: &'a str,
    own: BTreeMap<SocketAddr, Url>,
    given: usize,
}

impl Names<'_> {
    /// The entries of one service as `--initial-cluster` has them; an error when there are none.
    async fn entries(
        &mut self,
        resolver: &TokioResolver,
        scheme: &str,
        service: &str,
        domain: &str,
    ) -> Result<Vec<String>, String> {
        let mut entries = Vec::new();
        let mut failed = "no records".to_owned();
        for target in targets(resolver, service, domain).await? {
            match self.entry(scheme, service, &target).await {
                Ok(entry) => entries.push(entry),
                Err(error) => failed = error,
            }
        }
        if entries.is_empty() { Err(failed) } else { Ok(entries) }
    }

    async fn entry(&mut self, scheme: &str, service: &str, Target { host, port }: &Target) -> Result<String, String> {
        let own = self.own.get(&resolve(host, *port).await?);
        let name = own.map(|_| self.own_name.to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| {
            self.given += 1;
            (self.given - 1).to_string()
        });
        let expected = own.filter(|url| !url.as_str().starts_with(&format!("{scheme}://")));
        match expected {
            Some(url) => Err(format!(
                "bootstrap at {scheme}://{host}:{port} from DNS for {service} has scheme mismatch with expected peer URL {url}"
            )),
            None => Ok(format!("{name}={scheme}://{host}:{port}")),
        }
    }
}

/// Returns the records by priority, then weight, then name, so that all members take them in the
/// same order.
async fn targets(resolver: &TokioResolver, service: &str, domain: &str) -> Result<Vec<Target>, String> {
    // With its final dot the name is a whole one: no search list is tried.
    let name = format!("_{service}._tcp.{}.", domain.trim_end_matches('.'));
    let found = resolver.lookup(name, RecordType::SRV).await.map_err(|error| error.to_string())?;
    let srv = |record: &'_ Record| if let RData::SRV(srv) = &record.data { Some(srv.clone()) } else { None };
    let mut records: Vec<SRV> = found.answers().iter().filter_map(srv).collect();
    records
        .sort_by_key(|record| (record.priority, std::cmp::Reverse(record.weight), record.target.clone(), record.port));
    let target =
        |record: SRV| Target { host: record.target.to_ascii().trim_end_matches('.').to_owned(), port: record.port };
    Ok(records.into_iter().map(target).collect())
}
