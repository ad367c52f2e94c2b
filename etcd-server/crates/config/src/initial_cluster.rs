//! The members of a new cluster, as `--initial-cluster` names them, and whether this member fits
//! in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::{ConfigError, quoted};
use crate::url::{Endpoint, Url, UrlError, canonical};

/// Members by name; each has at least one peer URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialCluster {
    members: BTreeMap<String, Vec<Url>>,
}

impl InitialCluster {
    /// Reads `name=url,name=url`. A name may repeat; empty items are skipped, as in etcd
    /// (client/pkg/types/urlsmap.go).
    ///
    /// # Errors
    /// When an item has no URL that etcd would take.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (name, url) = item.split_once('=').unwrap_or((item, ""));
            members.entry(name.to_owned()).or_default().push(Url::parse(url)?);
        }
        members.values_mut().for_each(|urls| urls.sort());
        Ok(Self { members })
    }

    /// Members by name, each with its peer URLs in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[Url])> {
        self.members.iter().map(|(name, urls)| (name.as_str(), urls.as_slice()))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Checks that member `name`, advertising `advertised`, is one of these, as etcd does before it
    /// starts a new cluster (server/config/config.go). A URL on one side only is compared again
    /// with its host resolved.
    pub(crate) fn check(
        &self,
        name: &str,
        advertised: &[Url],
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let own = self.members.get(name).ok_or_else(|| ConfigError::NameNotInCluster(name.to_owned()))?;
        check_advertised(name, own, advertised, resolve)?;
        let mut seen = BTreeSet::new();
        if self.members.values().flatten().all(|url| seen.insert(url.as_str())) {
            Ok(())
        } else {
            Err(ConfigError::DuplicateUrl(self.to_string()))
        }
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
        f.write_str(&items.collect::<Vec<_>>().join(","))
    }
}

fn check_advertised(
    name: &str,
    own: &[Url],
    advertised: &[Url],
    resolve: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let texts = |urls: &[Url]| urls.iter().map(Url::to_string).collect::<Vec<_>>();
    let reason = if own.len() == advertised.len() {
        let resolved = |urls: &[Url]| {
            let mut resolved: Vec<_> = urls.iter().map(|url| resolved(url, resolve)).collect();
            resolved.sort();
            resolved
        };
        let (left, right) = (resolved(advertised), resolved(own));
        match left.iter().zip(&right).find(|(left, right)| left != right) {
            None => return Ok(()),
            Some((left, right)) => format!("resolved urls: {left:?} != {right:?}"),
        }
    } else {
        format!("len({}) != len({})", quoted(advertised), quoted(own))
    };
    let missing: Vec<_> =
        own.iter().filter(|url| !advertised.contains(url)).map(|url| format!("{name}={url}")).collect();
    if !missing.is_empty() {
        return Err(ConfigError::NotAdvertised {
            missing: missing.join(","),
            advertised: texts(advertised).join(","),
            reason,
        });
    }
    let missing: Vec<_> = advertised.iter().filter(|url| !own.contains(url)).map(Url::to_string).collect();
    // etcd prints the advertised URLs here under the name of the cluster's list.
    let cluster: Vec<_> = advertised.iter().map(|url| format!("{name}={url}")).collect();
    Err(ConfigError::NotInCluster { missing: missing.join(","), cluster: cluster.join(",") })
}

/// The URL with its host as an address; `localhost` stays as it is, as in etcd (pkg/netutil).
fn resolved(url: &Url, resolve: &dyn Fn(&str) -> Option<String>) -> String {
    let Endpoint::Tcp { host, port } = url.endpoint() else { return url.to_string() };
    if host == "localhost" {
        return url.to_string();
    }
    let scheme = if url.scheme().is_secure() { "https" } else { "http" };
    // Two spellings of one address are one address.
    let address = if url.is_bindable() { Some(canonical(host)) } else { resolve(host) };
    address.map_or_else(|| url.to_string(), |address| format!("{scheme}://{address}:{port}"))
}
