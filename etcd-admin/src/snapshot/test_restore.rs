//! `snapshot verify --test-restore`: a restore to a temporary directory, with a member started on it.

use admin_client::Repeat;
use admin_offline::data_dir;
use admin_offline::new_cluster::NewMember;
use admin_offline::snapshot_file::SnapshotFile;
use admin_offline::temp_member::TempMember;
use admin_ui::error::{CliError, FAILED, INTEGRITY};
use proto::etcdserverpb::HashKvRequest;

/// Returns `true` if a member that is started on the file returns its hash.
pub(super) async fn test_restore(file: &SnapshotFile, revision: i64, expected: u32) -> Result<bool, CliError> {
    let dir =
        tempfile::tempdir().map_err(|error| CliError::new(FAILED, format!("create a temporary directory: {error}")))?;
    let data_dir = dir.path().join("data");
    let urls = TempMember::urls()?;
    let member = NewMember::founding("test", vec![urls[1].clone()], "test");
    data_dir::make_data_dir(&data_dir, &member, std::slice::from_ref(&member), None, &file.bolt, &mut |_| {})?;
    let entry = format!("test={}", urls[1]);
    let flags = ["--name", "test", "--initial-cluster", &entry, "--initial-cluster-token", "test"];
    let mut running = TempMember::start(&data_dir, &urls, &flags)?;
    running.serves().await?;
    let request = HashKvRequest { revision };
    let got =
        running.client.call(Repeat::Safe, async |session| session.maintenance().hash_kv(request).await).await?.hash;
    if got == expected {
        return Ok(true);
    }
    Err(CliError::new(
        INTEGRITY,
        format!("the member that was started on it has hash {got} at revision {revision}, and the file {expected}"),
    ))
}
