//! One member of a document, with all that follows from it.

use super::document::{ClusterFile, MemberEntry};
use admin_ui::error::CliError;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// A host, seen through its document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host<'a> {
    pub(crate) file: &'a ClusterFile,
    pub(crate) entry: &'a MemberEntry,
}

impl ClusterFile {
    pub(crate) fn client_port_of(&self, member: &MemberEntry) -> u16 {
        member.client_port.unwrap_or(self.client_port)
    }

    pub(crate) fn peer_port_of(&self, member: &MemberEntry) -> u16 {
        member.peer_port.unwrap_or(self.peer_port)
    }

    fn scheme(&self) -> &'static str {
        if self.tls.enabled { "https" } else { "http" }
    }

    /// Returns all members with their peer URLs, as for `--initial-cluster`.
    pub(crate) fn initial_cluster(&self) -> String {
        self.hosts().map(|host| format!("{}={}", host.entry.name, host.peer_url())).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        self.members.iter().map(|entry| Host { file: self, entry })
    }

    /// The member that is meant: the one named, or the one that has this machine's name.
    pub(crate) fn host(&self, name: Option<&str>) -> Result<Host<'_>, CliError> {
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let own = own.trim();
        let known = || self.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>().join(", ");
        match name {
            Some(name) => self
                .hosts()
                .find(|host| host.entry.name == name)
                .ok_or_else(|| CliError::usage(format!("no member is called {name}; there are {}", known()))),
            None => self.hosts().find(|host| host.entry.name == own || host.entry.host == own).ok_or_else(|| {
                CliError::usage(format!(
                    "cannot determine which member this host ({own}) is; give --member with one of {}",
                    known()
                ))
            }),
        }
    }
}

impl Host<'_> {
    fn url(&self, host: &str, port: u16) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}://{host}:{port}", self.file.scheme())
    }

    /// Returns its URL for clients.
    pub(crate) fn client_url(&self) -> String {
        self.url(&self.entry.host, self.file.client_port_of(self.entry))
    }

    /// Returns its URL for members.
    pub(crate) fn peer_url(&self) -> String {
        self.url(&self.entry.host, self.file.peer_port_of(self.entry))
    }

    pub(crate) fn listen_address(&self) -> IpAddr {
        let own = || self.entry.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        self.entry.listen.unwrap_or_else(own)
    }

    pub(crate) fn listen_client_url(&self) -> String {
        self.url(&self.listen_address().to_string(), self.file.client_port_of(self.entry))
    }

    pub(crate) fn listen_peer_url(&self) -> String {
        self.url(&self.listen_address().to_string(), self.file.peer_port_of(self.entry))
    }

    /// Returns the names that its certificates are valid for.
    pub(crate) fn certificate_names(&self) -> Vec<String> {
        let listens = self.listen_address();
        let mut names = vec![self.entry.host.clone()];
        if !listens.is_unspecified() && listens.to_string() != self.entry.host {
            names.push(listens.to_string());
        }
        names.extend(self.entry.names.iter().filter(|name| **name != self.entry.host).cloned());
        names
    }

    /// Returns `true` if only this machine is meant to reach it, as in a cluster on one machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = &self.entry.host;
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// A path of the document; `{name}` in it is the member's name.
    fn path(&self, text: &str) -> PathBuf {
        PathBuf::from(text.replace("{name}", &self.entry.name))
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path(&self.file.data_dir)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path(&self.file.config_file)
    }

    /// Returns the directory of its certificates.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.path(&self.file.tls.directory)
    }

    pub(crate) fn backups(&self) -> Option<PathBuf> {
        self.file.backup.as_ref().map(|backup| self.path(&backup.directory))
    }
}
