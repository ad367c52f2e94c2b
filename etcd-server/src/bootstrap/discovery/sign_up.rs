//! Initial members from a discovery cluster: each registers under a token, and the first ones, up
//! to the size of the token, are the cluster.
//!
//! Rule: etcd server/etcdserver/api/v3discovery. `/_etcd/registry/TOKEN/_config/size` holds the
//! size of the cluster, `/_etcd/registry/TOKEN/members/ID` the entry of each, ordered by creation.

use config::{DiscoverySettings, InitialCluster, Settings};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    AuthenticateRequest, PutRequest, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest,
};
use rpc::etcdserverpb::{auth_client::AuthClient, kv_client::KvClient, watch_client::WatchClient};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// The delay between tries doubles up to this.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(256);

/// The reason why discovery failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignUpError {
    #[error("discovery: size key not found")]
    NoSize,
    #[error("discovery: size key is bad")]
    BadSize,
    #[error("discovery: cluster is full")]
    Full,
    #[error("discovery: invalid peer URL: {0}")]
    BadEntry(String),
    #[error("discovery: {0}")]
    Files(String),
    #[error("discovery: {}", .0.message())]
    Refused(Status),
}

impl SignUpError {
    /// Returns `true` if the token is spent: another one is needed.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Returns `true` if the same call may go through later.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Refused(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled))
    }
}

impl From<Status> for SignUpError {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// Signs this member up and waits until all are there.
pub(super) async fn initial_cluster(
    settings: &Settings,
    discovery: &DiscoverySettings,
) -> Result<InitialCluster, SignUpError> {
    let urls: Vec<String> = settings.listen.advertise_peer.iter().map(|url| url.as_str().to_owned()).collect();
    let own = Entry {
        key: format!("{}members/{}", prefix(discovery), membership::member_id(&urls, &discovery.token, None)),
        value: urls.iter().map(|url| format!("{}={url}", settings.member.name)).collect::<Vec<_>>().join(","),
    };
    let channel = connect(discovery)?;
    let mut delay = Duration::from_secs(1);
    loop {
        let tried = async { Registry::enter(&channel, discovery).await?.sign_up(&own).await }.await;
        match tried {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, delay_seconds = delay.as_secs(), "the discovery cluster does not respond; retrying");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
            done => return done,
        }
    }
}

fn prefix(discovery: &DiscoverySettings) -> String {
    format!("/_etcd/registry/{}/", discovery.token)
}

/// One that signed up: its key, and `name=url` pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
}

/// All of them, oldest first, as of a revision.
struct Entries {
    list: Vec<Entry>,
    revision: i64,
}

/// The token's corner of the discovery cluster.
struct Registry<'a> {
    kv: KvClient<Channel>,
    watch: WatchClient<Channel>,
    settings: &'a DiscoverySettings,
    token: Option<MetadataValue<Ascii>>,
}

impl<'a> Registry<'a> {
    async fn enter(channel: &Channel, settings: &'a DiscoverySettings) -> Result<Self, SignUpError> {
        let mut registry = Self {
            kv: KvClient::new(channel.clone()),
            watch: WatchClient::new(channel.clone()),
            settings,
            token: None,
        };
        if !settings.user.is_empty() {
            let request =
                AuthenticateRequest { name: settings.user.clone(), password: settings.password.expose().to_owned() };
            let response = AuthClient::new(channel.clone()).authenticate(registry.request(request)).await?.into_inner();
            let token = response
                .token
                .parse()
                .map_err(|_| SignUpError::Refused(Status::internal("the token cannot be sent")))?;
            registry.token = Some(token);
        }
        Ok(registry)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.settings.request_timeout);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    async fn sign_up(&mut self, own: &Entry) -> Result<InitialCluster, SignUpError> {
        let size = self.size().await?;
        find_place(&self.entries().await?.list, own, size)?;
        let put = PutRequest { key: own.key.clone().into(), value: own.value.clone().into(), ..PutRequest::default() };
        let put = self.request(put);
        self.kv.put(put).await?;
        let mut entries = self.entries().await?;
        find_place(&entries.list, own, size)?;
        self.wait_for(&mut entries, size).await?;
        let initial_members: Vec<&str> = entries.list.iter().take(size).map(|entry| entry.value.as_str()).collect();
        InitialCluster::parse(&initial_members.join(",")).map_err(|error| SignUpError::BadEntry(error.to_string()))
    }

    async fn range(&mut self, range: RangeRequest) -> Result<RangeResponse, SignUpError> {
        let request = self.request(range);
        Ok(self.kv.range(request).await?.into_inner())
    }

    async fn size(&mut self) -> Result<usize, SignUpError> {
        let key = format!("{}_config/size", prefix(self.settings)).into();
        let found = self.range(RangeRequest { key, ..RangeRequest::default() }).await?;
        let value = &found.kvs.first().ok_or(SignUpError::NoSize)?.value;
        let size = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        size.filter(|size| *size > 0).ok_or(SignUpError::BadSize)
    }

    async fn entries(&mut self) -> Result<Entries, SignUpError> {
        let members = format!("{}members/", prefix(self.settings));
        let found = self
            .range(RangeRequest {
                key: members.clone().into(),
                range_end: after(&members).into(),
                sort_target: SortTarget::Create.into(),
                sort_order: SortOrder::Ascend.into(),
                ..RangeRequest::default()
            })
            .await?;
        let list = found.kvs.iter().map(|kv| entry(&kv.key, &kv.value)).collect();
        Ok(Entries { list, revision: found.header.map_or(0, |header| header.revision) })
    }

    /// Waits until `size` have signed up.
    async fn wait_for(&mut self, entries: &mut Entries, size: usize) -> Result<(), SignUpError> {
        if entries.list.len() >= size {
            return Ok(());
        }
        let members = format!("{}members/", prefix(self.settings));
        let create = WatchCreateRequest {
            key: members.clone().into(),
            range_end: after(&members).into(),
            start_revision: entries.revision + 1,
            ..WatchCreateRequest::default()
        };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = tokio_stream::StreamExt::chain(tokio_stream::iter([create]), tokio_stream::pending());
        let mut request = Request::new(requests);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        let mut events = self.watch.watch(request).await?.into_inner();
        while entries.list.len() < size {
            tracing::info!(found = entries.list.len(), needed = size, "waiting for the other members to sign up");
            let Some(response) = events.message().await? else {
                return Err(Status::unavailable("the watch ended").into());
            };
            if response.canceled {
                return Err(Status::unavailable(response.cancel_reason).into());
            }
            for kv in response.events.iter().filter_map(|event| event.kv.as_ref()) {
                // A member that registers again keeps its first place.
                if kv.create_revision == kv.mod_revision && kv.version == 1 {
                    entries.list.push(entry(&kv.key, &kv.value));
                }
            }
        }
        Ok(())
    }
}

fn entry(key: &[u8], value: &[u8]) -> Entry {
    Entry { key: String::from_utf8_lossy(key).into_owned(), value: String::from_utf8_lossy(value).into_owned() }
}

/// Fails when `size` others were there before this member.
fn find_place(entries: &[Entry], own: &Entry, size: usize) -> Result<(), SignUpError> {
    let place = entries.iter().position(|entry| entry.key == own.key).unwrap_or(entries.len());
    if place < size { Ok(()) } else { Err(SignUpError::Full) }
}

/// The end of the range of all keys that begin with `prefix`, which ends in a slash.
fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Connects when something is asked, to whichever endpoint answers.
fn connect(settings: &DiscoverySettings) -> Result<Channel, SignUpError> {
    super::channel::connect(settings).map_err(SignUpError::Files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Entry {
        Entry { key: format!("k/{name}"), value: format!("{name}=http://{name}:2380") }
    }

    #[test]
    fn the_first_ones_are_the_cluster() {
        let signed_up = [named("a"), named("b"), named("c")];
        assert!(find_place(&signed_up, &named("c"), 3).is_ok());
        assert!(find_place(&signed_up[..2], &named("c"), 3).is_ok(), "there is a place left");
        assert!(matches!(find_place(&signed_up, &named("d"), 3), Err(SignUpError::Full)));
        assert!(matches!(find_place(&signed_up, &named("c"), 2), Err(SignUpError::Full)));
    }

    #[test]
    fn the_range_holds_everything_below_the_prefix() {
        assert_eq!(after("/members/"), b"/members0");
    }
}
