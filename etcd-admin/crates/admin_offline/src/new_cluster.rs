//! A cluster that is to be made: its members, and the ids that follow from their URLs.

use admin_ui::error::CliError;
use config::Url;
use membership::Member;
use std::collections::BTreeMap;
use types::MemberId;

/// A new cluster: names, peer URLs and the ids that follow from them.
#[derive(Clone, Debug)]
pub struct NewCluster {
    pub members: Vec<NewMember>,
    pub cluster_id: u64,
}

impl NewCluster {
    /// Reads `NAME=URL,…`; a name may have several URLs.
    pub fn parse(text: &str, token: &str) -> Result<Self, CliError> {
        let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
            let (name, url) =
                entry.trim().split_once('=').ok_or_else(|| CliError::usage(format!("{entry:?} is not NAME=URL")))?;
            let url = Url::parse(url).map_err(|error| CliError::usage(format!("{entry:?}: {error}")))?;
            by_name.entry(name).or_default().push(url.as_str().to_owned());
        }
        let mut urls: Vec<&String> = by_name.values().flatten().collect();
        urls.sort();
        if let Some(twice) = urls.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CliError::usage(format!("{} is given twice", twice[0])));
        }
        if by_name.is_empty() {
            return Err(CliError::usage("a cluster has members: give --initial-cluster"));
        }
        let members: Vec<NewMember> =
            by_name.into_iter().map(|(name, urls)| NewMember::founding(name, urls, token)).collect();
        let cluster_id = membership::cluster_id(members.iter().map(|member| member.id)).0;
        Ok(Self { members, cluster_id })
    }

    pub fn member(&self, name: &str) -> Result<&NewMember, CliError> {
        let names = || self.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
        let missing = || {
            CliError::usage(format!(
                "couldn't find local name {name:?} in the initial cluster configuration (it names {})",
                names()
            ))
        };
        self.members.iter().find(|member| member.name == name).ok_or_else(missing)
    }
}

/// A member of a cluster that is being founded.
#[derive(Clone, Debug)]
pub struct NewMember {
    pub name: String,
    pub(super) id: MemberId,
    peer_urls: Vec<String>,
}

impl NewMember {
    /// With the id that follows from its URLs and the cluster's token.
    pub fn founding(name: &str, peer_urls: Vec<String>, token: &str) -> Self {
        Self { name: name.to_owned(), id: membership::member_id(&peer_urls, token, None), peer_urls }
    }

    pub fn id_text(&self) -> String {
        self.id.to_string()
    }

    pub(crate) fn peer_urls(&self) -> &[String] {
        &self.peer_urls
    }

    pub(super) fn record(&self) -> Member {
        Member { id: self.id, name: self.name.clone(), peer_urls: self.peer_urls.clone(), ..Member::default() }
    }
}
