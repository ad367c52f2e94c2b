//! A stopped member's data directory, to be copied, damaged and compared.

use crate::daemon::{Client, SOON, start};
use proto::etcdserverpb::{HashKvResponse, RangeRequest, RangeResponse};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The way in which the member that left the directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its state is in tables.
    Stopped,
    /// Its state is in the log alone.
    Killed,
}

/// The responses of a member before it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Answers {
    hash: HashKvResponse,
    newest: RangeResponse,
    earlier: RangeResponse,
}

impl Answers {
    /// Everything there is to read; an error when the member ends over it.
    pub(crate) async fn of(client: &Client) -> Result<Self, tonic::Status> {
        let all =
            |revision| RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..RangeRequest::default() };
        let without_header = |response| RangeResponse { header: None, ..response };
        let newest = without_header(client.try_range(all(0)).await?);
        let earlier = without_header(client.try_range(all(KEYS)).await?);
        let hash =
            client.maintenance.clone().hash_kv(proto::etcdserverpb::HashKvRequest { revision: 0 }).await?.into_inner();
        Ok(Self { hash: HashKvResponse { header: None, ..hash }, newest, earlier })
    }
}

const KEYS: i64 = 300;

/// The directory as it was left. Copies of it are damaged, never itself.
#[derive(Debug)]
pub(crate) struct Left {
    home: TempDir,
    pub(crate) responses: Answers,
}

/// A copy to be damaged.
#[derive(Debug)]
pub(crate) struct Copy {
    home: TempDir,
}

impl Left {
    /// A member that wrote some hundred keys and rewrote half of them.
    pub(crate) async fn by_a_member_that(end: End) -> Self {
        let mut server = start(None, &[]).await;
        let client = Client::connect(&server.endpoint()).await;
        for number in 0..KEYS + KEYS / 2 {
            client
                .put(format!("key-{:03}", number % KEYS), format!("value-{number}-{}", "x".repeat(400)))
                .await
                .unwrap();
        }
        let responses = Answers::of(&client).await.unwrap();
        match end {
            End::Stopped => assert!(server.terminate(SOON).is_some_and(|status| status.success())),
            End::Killed => server.kill(),
        }
        let home = tempfile::tempdir().unwrap();
        copy(&server.data_dir(), &home.path().join("data"));
        Self { home, responses }
    }

    pub(crate) fn copy(&self) -> Copy {
        let home = tempfile::tempdir().unwrap();
        copy(&self.home.path().join("data"), &home.path().join("data"));
        Copy { home }
    }
}

impl Copy {
    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// For a server of the testbed, which keeps its data in this place.
    pub(crate) fn member(&self) -> PathBuf {
        self.path().join("member")
    }

    /// Returns every file with its length, mode and content; except for the lock's process id, and
    /// RocksDB's log.
    pub(crate) fn fingerprint(&self) -> BTreeMap<PathBuf, (u64, u32, u64)> {
        let mut found = BTreeMap::new();
        look(&self.path(), &mut found);
        found
    }

    /// Returns the one file in `dir` (below `member`) whose name ends so; the largest of them.
    pub(crate) fn file(&self, dir: &str, matches: impl Fn(&str) -> bool) -> PathBuf {
        let mut found: Vec<_> =
            std::fs::read_dir(self.member().join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| matches(path.file_name().unwrap().to_str().unwrap()));
        found.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
        found.pop().unwrap()
    }
}

/// Copies a directory with its modes, keeping holes.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]).status().unwrap().success());
}

/// Flips bit `bit` of the file.
pub(crate) fn flip(path: &Path, bit: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn truncate(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn look(dir: &Path, found: &mut BTreeMap<PathBuf, (u64, u32, u64)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            look(&path, found);
        } else if name != "lock" && !name.starts_with("LOG") {
            let mut hasher = DefaultHasher::new();
            std::fs::read(&path).unwrap().hash(&mut hasher);
            found.insert(path, (metadata.len(), metadata.permissions().mode(), hasher.finish()));
        }
    }
}
