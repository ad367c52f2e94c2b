//! A snapshot on disk: its digest, its pages, its content. A data directory of a real etcd is read
//! by the same way.

use admin_ui::error::{CliError, INTEGRITY, REFUSED};
use admin_ui::progress::note;
use backend_file::backend::{self, KeepRule, MemberRecord, Version};
use backend_file::bolt::{BoltFile, Digest, Items, Walk, verify_trailer};
use backend_file::{Status, StatusStyle};
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use types::{Fault, MainRevision};

/// The newest storage version that we read.
const NEWEST: Version = Version { major: 3, minor: 7 };
/// Path of a real etcd's file below its data directory.
const INSIDE: &str = "member/snap/db";
/// The path of its log, relative to it.
const LOG: &str = "member/wal";

/// The treatment of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digested {
    /// It has to be there and to be right.
    Required,
    /// Not checked: a file that was copied out of a data directory has none.
    Ignored,
}

/// An open file that looks like a snapshot.
#[derive(Debug)]
pub struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub bolt: BoltFile<File>,
    pub bytes: u64,
}

/// The cluster in the file.
#[derive(Clone, Debug)]
pub struct Content {
    pub members: Vec<MemberRecord>,
    pub(crate) cluster_version: Option<String>,
    pub(crate) storage_version: Option<Version>,
    pub(crate) consistent_index: u64,
    pub compacted: Option<MainRevision>,
}

impl SnapshotFile {
    /// Opens a snapshot, or the data directory of a real etcd that does not run.
    pub fn open(path: &Path, digested: Digested) -> Result<Self, CliError> {
        let inside = path.join(INSIDE);
        if path.is_dir() {
            if !inside.is_file() {
                return Err(CliError::refused(format!(
                    "{} is neither a snapshot nor the data directory of an etcd",
                    path.display()
                )));
            }
            return Self::of_data_dir(path, &inside);
        }
        let path = path.to_owned();
        let failed = |error: std::io::Error| CliError::at(&path, error);
        let file = File::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if digested == Digested::Required {
            must_be_snapshot(&path, &file)?;
            check_digest(&path, &file)?;
        }
        let bolt = BoltFile::open(file).map_err(|error| damaged(&path, &error))?;
        let opened = Self { path: path.clone(), bolt, bytes };
        if let Some(version) = opened.content()?.storage_version.filter(|version| *version > NEWEST) {
            let text =
                format!("{}: it is of etcd {version}, and nothing newer than {NEWEST} is known here", path.display());
            return Err(CliError::new(REFUSED, text));
        }
        Ok(opened)
    }

    /// Opens the backend file of a data directory, if the log beside it holds no writes that the
    /// file does not.
    fn of_data_dir(data_dir: &Path, inside: &Path) -> Result<Self, CliError> {
        let opened = Self::open(inside, Digested::Ignored)?;
        let log = data_dir.join(LOG);
        let behind = match crate::etcd_log::writes_behind(&log, opened.content()?.consistent_index) {
            Ok(behind) => behind,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!(
                    "{} is missing, so nothing shows that the database is complete: stop its etcd cleanly before",
                    log.display()
                );
                note(&text);
                None
            }
            Err(error) => return Err(CliError::at(&log, error)),
        };
        let Some(behind) = behind else { return Ok(opened) };
        let text = format!(
            "{}: its log holds {} writes that its database does not (entries {} to {}): this etcd was killed; start it once and stop it \
             cleanly, or take etcdctl snapshot save from it while it runs",
            data_dir.display(),
            behind.writes,
            behind.first_index,
            behind.last_index
        );
        Err(CliError::new(REFUSED, text))
    }

    /// Reads every page and returns etcd's figures.
    pub fn status(&self, style: StatusStyle) -> Result<Status, CliError> {
        backend_file::status(&self.bolt, style).map_err(|error| damaged(&self.path, &error))
    }

    /// Returns the HashKV at the newest revision.
    pub fn hash_kv(&self, at: MainRevision, compacted: Option<MainRevision>) -> Result<u32, CliError> {
        let failed = |fault: Fault| CliError::new(INTEGRITY, format!("{}: {fault}", self.path.display()));
        let entries = || -> Result<Items<'_>, Fault> {
            let odd = |error: backend_file::bolt::BoltError| Fault::corrupt("snapshot", error);
            match self.bolt.bucket(backend::KEY).map_err(odd)? {
                None => Ok(Box::new(std::iter::empty())),
                Some(bucket) => {
                    let walk: Walk<'_, File> = self.bolt.items(&bucket).map_err(odd)?;
                    Ok(Box::new(walk.map(move |item| item.map_err(odd))))
                }
            }
        };
        backend::hash_kv(entries, at, compacted, KeepRule::Request).map_err(failed)
    }

    /// Members, versions, places in the log.
    pub fn content(&self) -> Result<Content, CliError> {
        let odd = |error: backend::RecordError| CliError::new(INTEGRITY, format!("{}: {error}", self.path.display()));
        let mut content = Content {
            members: Vec::new(),
            cluster_version: None,
            storage_version: None,
            consistent_index: 0,
            compacted: None,
        };
        for (_, value) in self.small(backend::MEMBERS)? {
            content.members.push(MemberRecord::decode(&value).map_err(odd)?);
        }
        for (key, value) in self.small(backend::CLUSTER)? {
            if key == backend::CLUSTER_VERSION_KEY {
                content.cluster_version = Some(String::from_utf8_lossy(&value).into_owned());
            }
        }
        for (key, value) in self.small(backend::META)? {
            match &key[..] {
                backend::STORAGE_VERSION_KEY => content.storage_version = Some(Version::decode(&value).map_err(odd)?),
                backend::CONSISTENT_INDEX_KEY => content.consistent_index = backend::u64_from(&value).map_err(odd)?,
                backend::SCHEDULED_COMPACT_KEY | backend::FINISHED_COMPACT_KEY => {
                    let revision = backend::HistoryKey::decode(&value).map_err(odd)?.revision.main;
                    content.compacted = content.compacted.max(Some(revision));
                }
                _ => {}
            }
        }
        Ok(content)
    }

    fn small(&self, name: &[u8]) -> Result<Vec<(Bytes, Bytes)>, CliError> {
        let odd = |error| damaged(&self.path, &error);
        let Some(bucket) = self.bolt.bucket(name).map_err(odd)? else { return Ok(Vec::new()) };
        self.bolt.items(&bucket).map_err(odd)?.collect::<Result<_, _>>().map_err(odd)
    }
}

fn damaged(path: &Path, error: &backend_file::bolt::BoltError) -> CliError {
    CliError::new(INTEGRITY, format!("{}: {error}", path.display()))
}

/// Offset and bytes of the mark that every backend file of etcd has in its first or second page.
const MAGIC_OFFSET: u64 = 16;
const MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();
const META_OFFSETS: [u64; 5] = [0, 4096, 8192, 16_384, 65_536];

/// Refuses a file that is no snapshot at all, before its digest is looked for.
fn must_be_snapshot(path: &Path, file: &File) -> Result<(), CliError> {
    let has_magic = META_OFFSETS.iter().any(|page| {
        let mut found = [0; MAGIC.len()];
        file.read_exact_at(&mut found, page + MAGIC_OFFSET).is_ok() && found == MAGIC
    });
    if has_magic {
        return Ok(());
    }
    let text = format!(
        "{}: it is not a snapshot of etcd; etcd-admin snapshot save and etcdctl snapshot save make one",
        path.display()
    );
    Err(CliError::new(INTEGRITY, text))
}

fn check_digest(path: &Path, file: &File) -> Result<(), CliError> {
    let text = match verify_trailer(file).map_err(|error| damaged(path, &error))? {
        Digest::Right => return Ok(()),
        Digest::Absent => {
            "snapshot missing hash but --skip-hash-check=false (it was cut off, or copied out of a data directory)"
                .to_owned()
        }
        Digest::Wrong { expected, got } => {
            format!(
                "expected sha256 {}, got {}: it was changed after it was taken",
                certs::hex(&expected),
                certs::hex(&got)
            )
        }
    };
    Err(CliError::new(INTEGRITY, format!("{}: {text}", path.display())))
}
