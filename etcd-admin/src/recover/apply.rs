//! recover apply and verify.
//!
//! ```text
//! copied     the donor's data, beside the new directories; the donor itself is never written to
//! recovered  a member started alone on the copy has applied all of its log and given a snapshot of it
//! restored   every new data directory is there, made of that snapshot
//! aside      the directories that survived are renamed, each with a note, so that no old member is started by mistake
//! ```
//! Each is noted in `PLAN.journal` when it is durable. A step that was interrupted is done again
//! from its beginning.

use super::inspect::look;
use super::plan::Plan;
use crate::cli::context::Context;
use admin_client::{Client, Repeat};
use admin_offline::aside::{move_aside, place_of};
use admin_offline::data_dir;
use admin_offline::new_cluster::NewCluster;
use admin_offline::snapshot_file::{Digested, SnapshotFile};
use admin_offline::temp_member::TempMember;
use admin_ui::confirm::confirm;
use admin_ui::error::{CHECK_FAILED, CliError, FAILED};
use admin_ui::output::print_result;
use admin_ui::progress::note;
use backend_file::StatusStyle;
use proto::etcdserverpb::{MemberListRequest, RangeRequest};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Copied,
    Recovered,
    Restored,
    Aside,
}

/// The completed steps of a plan.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Journal {
    done: Vec<Step>,
    /// The newest revision of the snapshot.
    revision: i64,
    hash_kv: u32,
}

impl Journal {
    fn path(plan: &Path) -> PathBuf {
        plan.with_extension("journal")
    }

    fn read(plan: &Path) -> Result<Self, CliError> {
        let path = Self::path(plan);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| CliError::at(&path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(CliError::at(&path, error)),
        }
    }

    fn note(&mut self, plan: &Path, step: Step) -> Result<(), CliError> {
        self.done.push(step);
        let text =
            serde_json::to_string(self).map_err(|error| CliError::new(FAILED, format!("write JSON: {error}")))?;
        certs::files::replace(&Self::path(plan), text.as_bytes(), 0o600)?;
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Applied {
    changed: bool,
    dry_run: bool,
    revision: i64,
    snapshot: PathBuf,
    data_dirs: Vec<PathBuf>,
    /// The surviving directories, at their present paths.
    aside: Vec<PathBuf>,
}

pub(super) async fn apply(context: &Context, path: &Path, yes: bool) -> Result<ExitCode, CliError> {
    let plan = Plan::read(path)?;
    let cluster = plan.cluster()?;
    let mut journal = Journal::read(path)?;
    let changed = !journal.done.contains(&Step::Aside);
    let work = plan.output.join(".recovery");
    let (copy, snapshot) = (work.join("donor"), plan.output.join("recovered.db"));
    let data_dirs: Vec<PathBuf> = cluster.members.iter().map(|member| plan.output.join(&member.name)).collect();
    if changed && !context.dry_run {
        let what = format!(
            "This begins a new cluster {} with the data of {}.\n{}",
            plan.cluster_id,
            plan.donor.data_dir.display(),
            plan.loss
        );
        confirm(&what, &plan.cluster_id, yes || !journal.done.is_empty())?;
        if !journal.done.contains(&Step::Copied) {
            unchanged(&plan)?;
            data_dirs.iter().try_for_each(|dir| data_dir::must_be_free(dir))?;
            copy_donor(&plan.donor.data_dir, &work, &copy)?;
            journal.note(path, Step::Copied)?;
        }
        if !journal.done.contains(&Step::Recovered) {
            (journal.revision, journal.hash_kv) = take_all(&plan, &copy, &snapshot).await?;
            journal.note(path, Step::Recovered)?;
        }
        if !journal.done.contains(&Step::Restored) {
            restore(&plan, &cluster, &snapshot, &data_dirs)?;
            journal.note(path, Step::Restored)?;
        }
        remove(&work)?;
        put_aside(&plan)?;
        journal.note(path, Step::Aside)?;
    }
    let aside = plan.survivors.iter().map(|survivor| place_of(&survivor.data_dir, &plan.cluster_id));
    let aside = aside.filter(|path| path.exists()).collect();
    let report = Applied { changed, dry_run: context.dry_run, revision: journal.revision, snapshot, data_dirs, aside };
    print_result(context.format, &report, || {
        let lead = if context.dry_run && changed { "would be made" } else { "is ready" };
        let dirs: String = report.data_dirs.iter().map(|dir| format!("{} {lead}\n", dir.display())).collect();
        let aside: String = report.aside.iter().map(|path| format!("{} is what survived\n", path.display())).collect();
        format!(
            "{dirs}{aside}Revision {} became {}. Bring each directory to its host, and start the members with\n  --initial-cluster {}\nThen: etcd-admin recover verify {}\n",
            report.revision,
            report.revision + plan.bump_revision,
            plan.initial_cluster,
            path.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
/// Makes every data directory of the new cluster.
fn restore(plan: &Plan, cluster: &NewCluster, snapshot: &Path, data_dirs: &[PathBuf]) -> Result<(), CliError> {
    let file = SnapshotFile::open(snapshot, Digested::Required)?;
    for (member, data_dir) in cluster.members.iter().zip(data_dirs) {
        // Complete where it is there: it is put in its place by a rename.
        if !data_dir.join("member").exists() {
            note(&format!("restore {}", data_dir.display()));
            data_dir::make_data_dir(
                data_dir,
                member,
                &cluster.members,
                Some(plan.bump_revision),
                &file.bolt,
                &mut |_| {},
            )?;
        }
    }
    Ok(())
}

/// Those that are on this machine; the others are where their hosts are, and belong to a cluster
/// that no new member knows.
fn put_aside(plan: &Plan) -> Result<(), CliError> {
    for survivor in plan.survivors.iter().filter(|survivor| survivor.data_dir.exists()) {
        data_dir::must_be_idle(&survivor.data_dir)?;
        let why = format!(
            "The data of member {} ({}) of cluster {}, before cluster {} was made of it. Keep it until that one is known to be well.",
            survivor.name, survivor.member, survivor.cluster, plan.cluster_id
        );
        move_aside(&survivor.data_dir, &plan.cluster_id, &why)?;
    }
    Ok(())
}

/// Refuses a plan whose donor has lived on since.
fn unchanged(plan: &Plan) -> Result<(), CliError> {
    let found = look(std::slice::from_ref(&plan.donor.data_dir));
    match found.survivors.first() {
        Some(now) if *now == plan.donor => Ok(()),
        Some(now) => {
            let text = format!(
                "{} is at index {} now, and was at {} when the plan was made: make a new plan",
                now.data_dir.display(),
                now.last_index,
                plan.donor.last_index
            );
            Err(CliError::refused(text))
        }
        None => Err(CliError::refused(
            found.lost.first().map_or_else(String::new, |lost| format!("{}: {}", lost.data_dir.display(), lost.error)),
        )),
    }
}

fn copy_donor(donor: &Path, work: &Path, copy: &Path) -> Result<(), CliError> {
    note(&format!("copy {}", donor.display()));
    remove(work)?;
    certs::files::private_dir(work)?;
    // cp keeps holes and, where the filesystem can, shares the blocks. The copy belongs to this user:
    // a member that root starts refuses the data of another one.
    let copied =
        Command::new("cp").args(["-a", "--no-preserve=ownership", "--reflink=auto"]).arg(donor).arg(copy).output();
    let copied = copied.map_err(|error| CliError::new(FAILED, format!("run cp: {error}")))?;
    if copied.status.success() {
        Ok(())
    } else {
        Err(CliError::new(FAILED, String::from_utf8_lossy(&copied.stderr).trim().to_owned()))
    }
}

fn remove(work: &Path) -> Result<(), CliError> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CliError::at(work, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Lets a member apply the whole log of the copy, alone, and takes a snapshot of the result.
async fn take_all(plan: &Plan, copy: &Path, snapshot: &Path) -> Result<(i64, u32), CliError> {
    note("apply all of its log");
    let urls = TempMember::urls()?;
    let name = if plan.donor.name.is_empty() { "default" } else { &plan.donor.name };
    let entry = format!("{name}={}", urls[1]);
    let mut member =
        TempMember::start(copy, &urls, &["--name", name, "--initial-cluster", &entry, "--force-new-cluster"])?;
    member.serves().await?;
    // A clean stop leaves nothing in the log that is not in the state. Read from the disk, because
    // users may have to give passwords.
    member.stop()?;
    data_dir::export(copy, snapshot)?;
    let file = SnapshotFile::open(snapshot, Digested::Required)?;
    let (status, content) = (file.status(StatusStyle::V3_6)?, file.content()?);
    Ok((status.revision, file.hash_kv(status.revision, content.compacted)?))
}

#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    cluster_id: String,
    members: usize,
    revision: i64,
    findings: Vec<String>,
}

pub(super) async fn verify(context: &Context, client: &Client, path: &Path) -> Result<ExitCode, CliError> {
    let plan = Plan::read(path)?;
    let (journal, cluster) = (Journal::read(path)?, plan.cluster()?);
    let request = MemberListRequest { linearizable: true };
    let listed = client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await?;
    let read = RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..RangeRequest::default() };
    let read = client.call(Repeat::Safe, async |session| session.kv().range(read.clone()).await).await?;
    let header = read.header.unwrap_or_default();
    let mut findings = Vec::new();
    if format!("{:x}", header.cluster_id) != plan.cluster_id {
        findings.push(format!("it is cluster {:x}, and not {}", header.cluster_id, plan.cluster_id));
    }
    if listed.members.len() != cluster.members.len() {
        findings.push(format!("it has {} members, and not {}", listed.members.len(), cluster.members.len()));
    }
    let least = journal.revision + plan.bump_revision;
    if header.revision < least {
        findings.push(format!("it is at revision {}, and should be past {least}", header.revision));
    }
    let report = Verified {
        ok: findings.is_empty(),
        cluster_id: format!("{:x}", header.cluster_id),
        members: listed.members.len(),
        revision: header.revision,
        findings,
    };
    print_result(context.format, &report, || {
        let findings: String = report.findings.iter().map(|finding| format!("NOT OK: {finding}\n")).collect();
        if report.ok {
            format!(
                "ok: cluster {} serves with {} members at revision {}\n",
                report.cluster_id, report.members, report.revision
            )
        } else {
            findings
        }
    })?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}
