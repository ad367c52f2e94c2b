//! The daemon as a process, and one gRPC client of it.

use proto::etcdserverpb::{
    CompactionRequest, HashKvRequest, HashKvResponse, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest,
    RangeRequest, RangeResponse,
};
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testbed::{Server, Settings};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd-server");
/// Time limit of every wait; reached only when a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Answers of these tests may be larger than tonic's limit of 4 MiB.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// One client over one connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    pub(crate) maintenance: MaintenanceClient<Channel>,
}

impl Client {
    pub(crate) async fn connect(endpoint: &str) -> Self {
        let channel = Endpoint::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap();
        Self {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel),
        }
    }

    pub(crate) async fn try_range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.kv.clone().range(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn range(&self, request: RangeRequest) -> RangeResponse {
        self.try_range(request).await.unwrap()
    }

    pub(crate) async fn put(&self, key: impl Into<String>, value: impl Into<String>) -> Result<i64, Status> {
        let request = PutRequest { key: key.into().into(), value: value.into().into(), ..PutRequest::default() };
        let response = self.kv.clone().put(request).await?.into_inner();
        Ok(response.header.unwrap().revision)
    }

    pub(crate) async fn revision(&self) -> i64 {
        self.range(RangeRequest { key: "\0".into(), ..RangeRequest::default() }).await.header.unwrap().revision
    }

    pub(crate) async fn compact(&self, revision: i64) -> Result<(), Status> {
        self.kv.clone().compact(CompactionRequest { revision, physical: false }).await.map(drop)
    }

    /// The hash of the history up to `revision`; zero for all of it.
    pub(crate) async fn hash(&self, revision: i64) -> HashKvResponse {
        let response = self.maintenance.clone().hash_kv(HashKvRequest { revision }).await.unwrap().into_inner();
        HashKvResponse { header: None, ..response }
    }

    /// A lease that outlives every test.
    pub(crate) async fn grant_lease(&self) -> i64 {
        let request = LeaseGrantRequest { ttl: 1_000_000, id: 0 };
        self.lease.clone().lease_grant(request).await.unwrap().into_inner().id
    }

    pub(crate) async fn lease_keys(&self, id: i64) -> Vec<bytes::Bytes> {
        let request = LeaseTimeToLiveRequest { id, keys: true };
        let response = self.lease.clone().lease_time_to_live(request).await.unwrap().into_inner();
        assert!(response.ttl > 0, "lease {id:x} is gone");
        response.keys
    }
}

/// Starts a member with a fresh data directory below `parent`.
pub(crate) async fn start(parent: Option<&Path>, flags: &[&str]) -> Server {
    Server::start(Settings {
        parent: parent.map(Path::to_path_buf),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ..Settings::new(PROGRAM)
    })
    .await
    .unwrap()
}

/// The number in an environment variable, or `default`.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Choices of this run, and the line that repeats them.
pub(crate) fn seeded(test: &str) -> fastrand::Rng {
    let seed = number("E2E_SEED", fastrand::u64(..));
    println!("{test}: E2E_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// The end of a start.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

/// A member's data directory without a running member, for starts that are to fail.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) data_dir: PathBuf,
    pub(crate) flags: Vec<String>,
    /// Started as systemd does.
    as_service: bool,
}

impl Start {
    pub(crate) fn on(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), flags: Vec::new(), as_service: false }
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub(crate) fn by_a_service_manager(mut self) -> Self {
        self.as_service = true;
        self
    }

    /// Runs the daemon until it ends, which it must do soon.
    pub(crate) fn until_it_ends(&self) -> Ended {
        let log = tempfile::NamedTempFile::new().unwrap();
        let ports: [u16; 2] = testbed::free_ports().unwrap();
        let [client, peer] = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let notify_socket = self.as_service.then_some(("NOTIFY_SOCKET", "/nonexistent/notify"));
        let mut child = std::process::Command::new(PROGRAM)
            .env_remove("NOTIFY_SOCKET")
            .envs(notify_socket)
            .args(["--name", "node", "--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--data-dir"])
            .arg(&self.data_dir)
            .args(["--initial-cluster", &format!("node={peer}")])
            .args(&self.flags)
            .stdin(std::process::Stdio::null())
            .stdout(log.reopen().unwrap())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        let code = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if begun.elapsed() < SOON => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    panic!("still running: {}", std::fs::read_to_string(log.path()).unwrap());
                }
            }
        };
        Ended { code, output: std::fs::read_to_string(log.path()).unwrap() }
    }
}
