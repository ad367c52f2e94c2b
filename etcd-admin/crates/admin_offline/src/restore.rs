//! A restore: the data directories of all members of a new cluster, from one snapshot.

use crate::data_dir::make_data_dir;
use crate::new_cluster::{NewCluster, NewMember};
use crate::snapshot_file::{Digested, SnapshotFile};
use admin_ui::error::{CliError, FAILED};
use admin_ui::progress::Progress;
use std::path::PathBuf;

/// Makes all directories at once, each by a thread of its own; one that fails leaves the others
/// complete, and nothing of its own.
pub fn make_data_dirs(
    file: &SnapshotFile,
    cluster: &NewCluster,
    wanted: &[(&NewMember, PathBuf)],
    raise: Option<i64>,
    keys: u64,
) -> Result<i64, CliError> {
    let progress = Progress::of_steps("restore");
    let total = keys.max(1);
    let made: Vec<Result<i64, CliError>> = std::thread::scope(|scope| {
        let threads = wanted.iter().skip(1).map(|(member, data_dir)| {
            let path = &file.path;
            scope.spawn(move || {
                let own = SnapshotFile::open(path, Digested::Ignored)?;
                make_data_dir(data_dir, member, &cluster.members, raise, &own.bolt, &mut |_| {})
            })
        });
        let threads: Vec<_> = threads.collect();
        let first = wanted.first().map(|(member, data_dir)| {
            make_data_dir(data_dir, member, &cluster.members, raise, &file.bolt, &mut |done| {
                progress.at(done.min(total), total)
            })
        });
        let rest = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(CliError::new(FAILED, "a restore stopped unexpectedly")))
        });
        first.into_iter().chain(rest).collect()
    });
    let mut revision = 0;
    for one in made {
        revision = one?;
    }
    Ok(revision)
}
