//! The configuration of a member on this machine, so that an operator there needs no flags.

use crate::trust::TlsFiles;
use config::{Endpoint, Environment, Start};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Path of a member's configuration.
pub(crate) const VARIABLE: &str = "ETCD_ADMIN_MEMBER_CONFIG";
const PLACES: [&str; 2] = ["/etc/etcd/etcd.yaml", "/etc/etcd/etcd.conf.yml"];

/// The addresses and certificates in a member's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalMember {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) tls: TlsFiles,
    /// A host of its advertised addresses, for which its certificate stands, when it is reached by
    /// another.
    pub(crate) server_name: Option<String>,
    /// Where it serves HTTP, if not where it serves gRPC.
    pub(crate) pages: Option<PageListener>,
}

/// A listener for HTTP beside that for gRPC (`--listen-client-http-urls`). Members of a cluster are
/// configured alike: the same scheme and port are tried at the hosts of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageListener {
    pub(crate) scheme: String,
    pub(crate) port: u16,
}

/// Files are read, the network is not asked.
struct Files;

impl Environment for Files {
    fn read_file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn default_host(&self) -> Option<IpAddr> {
        None
    }
}

/// The member of this machine, if its configuration is where packages put it. A file that cannot be
/// read by this user is as none.
pub(crate) fn look(variables: &BTreeMap<String, String>) -> Result<Option<LocalMember>, String> {
    let named = variables.get(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = match named {
        Some(path) => path,
        None => match PLACES.iter().map(PathBuf::from).find(|path| std::fs::File::open(path).is_ok()) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    of_file(&path).map(Some)
}

/// Returns the name of this machine's member. `None` if no configuration is there or it cannot be
/// read.
pub fn own_name() -> Option<String> {
    let variables = std::env::vars().filter(|(name, _)| name == VARIABLE).collect();
    look(&variables).ok().flatten().map(|member| member.name)
}

/// Reads one file.
pub fn settings(path: &Path) -> Result<config::Loaded, String> {
    let args = ["--config-file".to_owned(), path.display().to_string()];
    match config::load(&args, &[], &Files).map_err(|problem| problem.to_string())? {
        Start::Serve(loaded) | Start::Check(loaded) => Ok(*loaded),
        Start::Print(_) | Start::Version => Err(format!("{} is not a configuration", path.display())),
    }
}

fn of_file(path: &Path) -> Result<LocalMember, String> {
    let settings = settings(path)?.settings;
    let listener = &settings.tls.client;
    let pair = |cert: &Option<PathBuf>, key: &Option<PathBuf>| cert.clone().zip(key.clone());
    let shown = pair(&listener.client_cert_file, &listener.client_key_file)
        .or_else(|| pair(&listener.cert_file, &listener.key_file));
    let (cert, key) = shown.filter(|_| listener.client_cert_auth).unzip();
    let tls = TlsFiles { cacert: listener.trusted_ca_file.clone(), cert, key, skip_verify: false };
    let advertised = settings.listen.advertise_client.iter().find_map(host_of);
    let endpoints: Vec<String> = settings.listen.client.iter().map(reachable).collect();
    // A wildcard address is in no certificate; the advertised host is.
    let server_name = advertised
        .filter(|_| settings.listen.client.iter().all(|url| host_of(url).is_none_or(|host| is_wildcard(&host))));
    let pages = settings.listen.client_http.iter().find_map(|url| {
        let (scheme, rest) = url.as_str().split_once("://")?;
        let port = rest.rsplit_once(':')?.1.parse().ok()?;
        host_of(url).map(|_| PageListener { scheme: scheme.to_owned(), port })
    });
    Ok(LocalMember { path: path.to_owned(), name: settings.member.name.clone(), endpoints, tls, server_name, pages })
}

fn host_of(url: &config::Url) -> Option<String> {
    match url.endpoint() {
        Endpoint::Tcp { host, .. } => Some(host.clone()),
        Endpoint::Unix(_) => None,
    }
}

fn is_wildcard(host: &str) -> bool {
    host.is_empty() || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// Returns the URL by which this machine reaches a listener.
fn reachable(url: &config::Url) -> String {
    match host_of(url) {
        Some(host) if is_wildcard(&host) => {
            let text = url.as_str();
            let loopback = if host.contains(':') { "[::1]" } else { "127.0.0.1" };
            let port = text.rsplit_once(':').map_or("", |(_, port)| port);
            let scheme = text.split_once("://").map_or("http", |(scheme, _)| scheme);
            format!("{scheme}://{loopback}:{port}")
        }
        Some(_) | None => url.as_str().to_owned(),
    }
}

/// Returns the daemon's verdict on the text of a configuration.
pub fn settings_of_text(text: &str) -> Result<Vec<config::Warning>, String> {
    struct Text<'a>(&'a str);
    impl Environment for Text<'_> {
        fn read_file(&self, _path: &Path) -> Result<String, String> {
            Ok(self.0.to_owned())
        }

        fn default_host(&self) -> Option<IpAddr> {
            None
        }
    }
    let args = ["--config-file".to_owned(), "etcd.yaml".to_owned()];
    match config::load(&args, &[], &Text(text)).map_err(|problem| problem.to_string())? {
        Start::Serve(loaded) | Start::Check(loaded) => Ok(loaded.warnings),
        Start::Print(_) | Start::Version => Err("it is not a configuration".to_owned()),
    }
}
