//! `migrate run`: the etcd on this host gives its place to a member of ours.

use super::args::{RunArgs, StepArgs};
use super::facts::{ClusterFacts, Kind};
use super::hold::{self, Hold};
use super::journal::{Direction, Done, Journal, Journals, Step};
use super::service::{Daemon, Service};
use super::{compare, gather, host, judge};
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use crate::doctor::Finding;
use crate::init::{Conversion, Placement};
use crate::members;
use admin_client::{Client, Settings};
use admin_offline::aside::{move_aside, place_of};
use admin_offline::data_dir::{has_member, is_real_etcds, must_be_idle};
use admin_ui::confirm::confirm;
use admin_ui::error::{CHECK_FAILED, CliError, TIMED_OUT};
use admin_ui::output::print_result;
use admin_ui::progress::note;
use certs::Severity;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

const PAUSE: Duration = Duration::from_millis(100);
/// Time for members to connect to one that has just joined.
const SETTLE_TIME: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
pub(super) struct Migrated {
    pub(super) changed: bool,
    pub(super) dry_run: bool,
    pub(super) member: String,
    pub(super) direction: Direction,
    /// The steps done by this run; the planned ones in a dry run.
    pub(super) steps: Vec<Step>,
    pub(super) seconds: f64,
    /// Directories with the data that was moved aside.
    pub(super) aside: Vec<std::path::PathBuf>,
    pub(super) journal: std::path::PathBuf,
    pub(super) next: String,
}

impl Migrated {
    pub(super) fn tell(&self, context: &Context) -> Result<ExitCode, CliError> {
        print_result(context.format, self, || {
            if self.steps.is_empty() {
                return format!("{}: all steps are done already: nothing changed\nnext: {}\n", self.member, self.next);
            }
            let lead = if self.dry_run { "would " } else { "" };
            let steps: String =
                self.steps.iter().map(|step| format!("{lead}{}\n", step.title(self.direction))).collect();
            let aside: String = self.aside.iter().map(|path| format!("kept: {}\n", path.display())).collect();
            if self.dry_run {
                return steps;
            }
            format!("{steps}{}: done in {:.1} s\n{aside}next: {}\n", self.member, self.seconds, self.next)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Step {
    /// Returns the step as a line of output.
    pub(super) fn title(self, direction: Direction) -> &'static str {
        let runs = direction == Direction::Run;
        match self {
            Self::Configure if runs => "write the configuration of the new member",
            Self::Configure => "write initial-cluster and initial-cluster-state for the etcd",
            Self::Hold => "hold the cluster version, or release the hold, as the members need it",
            Self::Remove => "transfer leadership if it leads, and remove the member",
            Self::Stop if runs => "stop and disable etcd, and wait until it has ended",
            Self::Stop => "stop and disable etcd-server, and wait until it has ended",
            Self::MoveAside => "move its data aside",
            Self::Add => "add the member again, as a learner",
            Self::Start if runs => "start etcd-server",
            Self::Start => "start etcd",
            Self::Promote => "promote it as soon as it has caught up",
            Self::Verify => "compare data, leases, users, roles, members and alarms",
        }
    }
}

/// One member on its way.
pub(super) struct Executor<'a> {
    pub(super) context: &'a Context,
    /// Connects to the members that stay.
    pub(super) others: Client,
    pub(super) journals: Journals,
    pub(super) journal: Journal,
    pub(super) service: Service,
    pub(super) wait: Duration,
}

pub(super) async fn run(context: &Context, client: &Client, args: &RunArgs) -> Result<ExitCode, CliError> {
    let begun = Instant::now();
    let conversion = host::conversion(&args.host)?;
    let journals = Journals::at(&args.steps.state_dir);
    let journal = match journals.read(&conversion.name)? {
        Some(journal) if journal.direction == Direction::Rollback => {
            let text = format!(
                "the rollback of {} is not complete: finish it with etcd-admin migrate rollback",
                conversion.name
            );
            return Err(CliError::refused(text));
        }
        // While nothing is removed, everything is checked again: the cluster may have changed.
        Some(journal) if !has_left(client, &journal).await? => begin(context, client, args, &conversion).await?,
        Some(journal) => journal,
        None => begin(context, client, args, &conversion).await?,
    };
    let others = client_of(client, &journal.others)?;
    let executor = Executor::new(context, others, journals, journal, &args.steps);
    let next = "migrate the next host, or release the hold when all are migrated: etcd-admin migrate commit";
    executor.carry_out(begun, next).await
}

/// Returns `true` if the etcd of a journal is no member any more.
async fn has_left(client: &Client, journal: &Journal) -> Result<bool, CliError> {
    if journal.is_done(Step::Remove) {
        return Ok(true);
    }
    let view = ClusterView::look(&client_of(client, &journal.others)?).await?;
    Ok(view.members.iter().all(|seen| seen.id() != journal.etcd_id))
}

/// Judges cluster and host, and returns the journal of a migration that has not begun.
async fn begin(
    context: &Context,
    client: &Client,
    args: &RunArgs,
    conversion: &Conversion,
) -> Result<Journal, CliError> {
    let (view, cluster) = gather::cluster(client).await?;
    let host_facts = host::gather(&args.host, &[], &view)?;
    let hashes = compare::hashes(client, &view, None).await;
    let findings = [judge::of_cluster(&cluster, &hashes), judge::of_host(&host_facts, &cluster)].concat();
    refuse_bad(&findings, "nothing was changed; etcd-admin migrate preflight lists all findings")?;
    let missing = || CliError::refused(format!("the cluster has no member {}", conversion.name));
    let own = host::member_of(&view, conversion).ok_or_else(missing)?;
    let facts = cluster.members.iter().find(|member| member.id == own.member.id).ok_or_else(missing)?;
    if facts.kind != Kind::Etcd {
        let text = format!("{} is no member of etcd: there is nothing to migrate", conversion.name);
        return Err(CliError::refused(text));
    }
    if !context.dry_run {
        Service::of(&args.steps.service).must_be_known(Daemon::Etcd, Daemon::Ours)?;
        let what = "This replaces the etcd on this host by a member of this server";
        confirm(&members::question(&view, own, what), &conversion.name, args.steps.yes)?;
    }
    let others = view.voters().filter(|seen| seen.member.id != own.member.id).filter_map(|seen| seen.endpoint.clone());
    let mut journal = Journal::begin(view.cluster_id, &conversion.name, own.member.id);
    journal.etcd_version = own.status.as_ref().map(|status| status.version.clone()).unwrap_or_default();
    journal.peer_urls.clone_from(&own.member.peer_ur_ls);
    journal.others = others.collect();
    journal.from = absolute(&conversion.from)?;
    journal.to = absolute(&args.to)?;
    journal.leave_out.clone_from(&args.host.leave_out);
    journal.etcd_data_dir = conversion.old_data_dir.clone().unwrap_or_default();
    journal.etcd_wal_dir.clone_from(&conversion.old_wal_dir);
    journal.data_dir = match &args.host.data_dir {
        Some(data_dir) => absolute(data_dir)?,
        None => journal.etcd_data_dir.clone(),
    };
    Ok(journal)
}

/// A later run may be given in another directory.
fn absolute(path: &Path) -> Result<std::path::PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError::at(path, error))
}

/// Refuses with the first bad finding and the number of the others.
pub(super) fn refuse_bad(findings: &[Finding], then: &str) -> Result<(), CliError> {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Bad).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let lines: String = bad.iter().map(|finding| finding.paragraph()).collect();
    Err(CliError::refused(format!("{} findings:\n{lines}{then}", bad.len())))
}

/// Returns a client of these endpoints, with the settings of another one.
pub(super) fn client_of(client: &Client, endpoints: &[String]) -> Result<Client, CliError> {
    let endpoints = endpoints.to_vec();
    Ok(Client::new(Settings { endpoints, ..client.settings.clone() })?)
}

impl<'a> Executor<'a> {
    /// `others` connects to the members that stay.
    pub(super) fn new(
        context: &'a Context,
        others: Client,
        journals: Journals,
        journal: Journal,
        steps: &StepArgs,
    ) -> Self {
        Self { context, others, journals, journal, service: Service::of(&steps.service), wait: steps.wait }
    }

    /// Carries out the steps that are left.
    pub(super) async fn carry_out(mut self, begun: Instant, next: &str) -> Result<ExitCode, CliError> {
        let direction = self.journal.direction;
        let mut steps = Vec::new();
        if self.context.dry_run {
            steps = direction.steps().iter().copied().filter(|step| !self.journal.is_done(*step)).collect();
        } else {
            self.journals.write(&self.journal)?;
            while let Some(step) = self.journal.next() {
                note(step.title(direction));
                self.perform(step).await?;
                let time = certs::rfc3339(OffsetDateTime::now_utc());
                self.journal.done.push(Done { step, time });
                self.journals.write(&self.journal)?;
                steps.push(step);
            }
        }
        let report = Migrated {
            changed: !steps.is_empty(),
            dry_run: self.context.dry_run,
            member: self.journal.name.clone(),
            direction,
            steps,
            seconds: begun.elapsed().as_secs_f64(),
            aside: self.journal.aside.clone(),
            journal: self.journals.file(&self.journal.name),
            next: next.to_owned(),
        };
        if direction == Direction::Rollback && !self.context.dry_run {
            self.journals.close(&self.journal)?;
        }
        report.tell(self.context)
    }

    async fn perform(&mut self, step: Step) -> Result<(), CliError> {
        let runs = self.journal.direction == Direction::Run;
        match step {
            Step::Configure if runs => self.configure(None),
            Step::Configure => self.configure_etcd().await,
            Step::Hold => self.hold().await,
            Step::Remove => self.remove().await,
            Step::Stop => self.stop(if runs { Daemon::Etcd } else { Daemon::Ours }).await,
            Step::MoveAside => self.move_aside(),
            Step::Add => self.add().await,
            Step::Start => self.service.start(if runs { Daemon::Ours } else { Daemon::Etcd }),
            Step::Promote => self.promote().await,
            Step::Verify => self.verify().await,
        }
    }

    /// Writes the configuration of ours, with the present members if they are given.
    fn configure(&self, initial_cluster: Option<&str>) -> Result<(), CliError> {
        let journal = &self.journal;
        let (from, data_dir) = (Some(journal.from.as_path()), Some(journal.data_dir.as_path()));
        let mut conversion = Conversion::read(from, data_dir, &journal.leave_out, Placement::InPlace)?;
        if let Some(initial_cluster) = initial_cluster {
            conversion.settings.insert("initial-cluster".into(), initial_cluster.into());
        }
        conversion.settings.insert("initial-cluster-state".into(), "existing".into());
        conversion.write(self.context, &journal.to).map(|_| ())
    }

    /// Sets or releases the hold, as the present members need it. A member that has just been
    /// promoted may not serve clients yet.
    async fn hold(&self) -> Result<(), CliError> {
        let begun = Instant::now();
        loop {
            let (view, cluster) = gather::cluster(&self.others).await?;
            let settled = !matches!(hold::decide(&cluster, None), Hold::Impossible(_));
            if settled || begun.elapsed() > self.wait {
                return self.hold_of(&view, &cluster, None).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sets or releases the hold. `leaving` is the member that is removed next.
    async fn hold_of(&self, view: &ClusterView, cluster: &ClusterFacts, leaving: Option<u64>) -> Result<(), CliError> {
        let at = |id: u64| {
            let endpoint = view.members.iter().find(|seen| seen.member.id == id);
            self.others.at(endpoint.and_then(|seen| seen.endpoint.as_deref()).unwrap_or_default())
        };
        match hold::decide(cluster, leaving) {
            Hold::Settled => Ok(()),
            Hold::Release { through } => {
                note("release the hold of the cluster version: members of etcd keep it");
                hold::release(&at(through)?).await
            }
            Hold::Impossible(reason) => {
                Err(CliError::refused(format!("the cluster version cannot be held, so nothing is removed: {reason}")))
            }
            Hold::Set { version, through } => {
                note(&format!("hold the cluster version at {version}"));
                hold::set(&at(through)?, version).await
            }
        }
    }

    /// Removes the member that goes, if it is there: the etcd, or ours on the way back.
    async fn remove(&self) -> Result<(), CliError> {
        let begun = Instant::now();
        let (view, cluster) = loop {
            let (view, cluster) = gather::cluster(&self.others).await?;
            let Some(gone) = self.leaving(&view) else { return Ok(()) };
            // Members that have just joined are still connecting to each other.
            match members::must_bear(&view, gone) {
                Ok(()) => break (view, cluster),
                Err(error) if begun.elapsed() > self.wait.min(SETTLE_TIME) => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let Some(gone) = self.leaving(&view) else { return Ok(()) };
        self.hold_of(&view, &cluster, Some(gone.member.id)).await?;
        if let Some(leader) = view.leader().filter(|leader| leader.member.id == gone.member.id) {
            let next = members::successor(&view)?;
            note(&format!("transfer leadership from {} to {}", leader.name(), next.name()));
            members::transfer(&self.others, leader, next).await?;
        }
        members::remove_through_others(&self.others, &view, gone).await
    }

    /// Returns the member that goes, if the cluster still has it.
    fn leaving<'v>(&self, view: &'v ClusterView) -> Option<&'v Seen> {
        let id = match self.journal.direction {
            Direction::Run => Some(&self.journal.etcd_id),
            Direction::Rollback => self.journal.our_id.as_ref(),
        };
        view.members.iter().find(|seen| id == Some(&seen.id()))
    }

    /// Stops a daemon and waits until it has ended: until nothing holds the lock of its data.
    async fn stop(&self, daemon: Daemon) -> Result<(), CliError> {
        self.service.stop(daemon)?;
        let data_dir = match daemon {
            Daemon::Etcd => &self.journal.etcd_data_dir,
            Daemon::Ours => &self.journal.data_dir,
        };
        let begun = Instant::now();
        while is_in_use(data_dir)? {
            if begun.elapsed() > self.wait {
                let text = format!(
                    "{} is still in use after {:?}: stop its process, and give the command again",
                    data_dir.display(),
                    self.wait
                );
                return Err(CliError::new(TIMED_OUT, text));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Renames the data of the members that have left the cluster: none of them may start again.
    fn move_aside(&mut self) -> Result<(), CliError> {
        let (etcd, ours) = (self.journal.mark_of_etcd(), self.journal.mark_of_ours());
        let name = self.journal.name.clone();
        let member = self.journal.etcd_data_dir.join("member");
        if is_real_etcds(&self.journal.etcd_data_dir) || place_of(&member, &etcd).exists() {
            let why = format!("The data of the etcd {name}, which was migrated. This member must not start again.");
            // Ours may be in its place already, after an interruption.
            if is_real_etcds(&self.journal.etcd_data_dir) {
                move_aside(&member, &etcd, &why)?;
            }
            self.note_aside(&member, &etcd);
        }
        if let Some(wal_dir) = self.journal.etcd_wal_dir.clone() {
            let why = format!("The log of the etcd {name}, which was migrated. This member must not start again.");
            move_aside(&wal_dir, &etcd, &why)?;
            self.note_aside(&wal_dir, &etcd);
        }
        if self.journal.direction == Direction::Rollback
            && has_member(&self.journal.data_dir)
            && !is_real_etcds(&self.journal.data_dir)
        {
            let why =
                format!("The data of the member {name}, which was rolled back. This member must not start again.");
            let member = self.journal.data_dir.join("member");
            move_aside(&member, &ours, &why)?;
            self.note_aside(&member, &ours);
        }
        Ok(())
    }

    fn note_aside(&mut self, path: &Path, mark: &str) {
        let place = place_of(path, mark);
        if place.exists() && !self.journal.aside.contains(&place) {
            note(&format!("{} is kept as {}", path.display(), place.display()));
            self.journal.aside.push(place);
        }
    }

    /// Adds the member as a learner, and writes the members that it must know at its start.
    async fn add(&mut self) -> Result<(), CliError> {
        self.hold().await?;
        let view = self.look().await?;
        let urls = self.journal.peer_urls.clone();
        let known = view.members.iter().find(|seen| members::has_urls(&seen.member, &urls));
        let id = match known {
            Some(known) => known.member.id,
            None => {
                members::all_must_answer(&view)?;
                members::add_learner(&self.others, &urls).await?
            }
        };
        let text = Some(format!("{id:x}"));
        match self.journal.direction {
            Direction::Run => self.journal.our_id = text,
            Direction::Rollback => self.journal.returned_id = text,
        }
        self.journals.write(&self.journal)?;
        let members = self.initial_cluster().await?;
        match self.journal.direction {
            Direction::Run => self.configure(Some(&members)),
            Direction::Rollback => self.configure_etcd().await,
        }
    }

    /// Returns the present members as `initial-cluster`, this one by its name.
    pub(super) async fn initial_cluster(&self) -> Result<String, CliError> {
        let view = self.look().await?;
        let own = &self.journal;
        let entries = view.members.iter().flat_map(|seen| {
            let is_own = members::has_urls(&seen.member, &own.peer_urls);
            let name = if is_own { own.name.clone() } else { seen.member.name.clone() };
            seen.member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
        });
        Ok(entries.collect::<Vec<_>>().join(","))
    }

    async fn look(&self) -> Result<ClusterView, CliError> {
        ClusterView::look(&self.others).await
    }

    async fn promote(&self) -> Result<(), CliError> {
        let id = match self.journal.direction {
            Direction::Run => &self.journal.our_id,
            Direction::Rollback => &self.journal.returned_id,
        };
        let id = id.as_deref().and_then(|id| u64::from_str_radix(id, 16).ok()).unwrap_or(0);
        members::promote_learner(&self.others, id, self.wait).await.map_err(|error| match error.code() {
            TIMED_OUT => {
                let text = format!(
                    "{error}; read the log of the new process, then give this command again, or the opposite one of run and rollback"
                );
                CliError::new(TIMED_OUT, text)
            }
            _ => error,
        })
    }

    /// Waits until all members follow the leader, and compares them.
    async fn verify(&self) -> Result<(), CliError> {
        let begun = Instant::now();
        let view = loop {
            let view = self.look().await?;
            if view.voters().all(|seen| seen.proven) || begun.elapsed() > self.wait {
                break view;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let findings = compare::compare(&self.others, &view).await;
        let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Bad).collect();
        if bad.is_empty() {
            return Ok(());
        }
        let lines: String = bad.iter().map(|finding| finding.paragraph()).collect();
        Err(CliError::new(CHECK_FAILED, format!("the members differ:\n{lines}")))
    }
}

/// Returns `true` if a daemon of either kind uses the data.
fn is_in_use(data_dir: &Path) -> Result<bool, CliError> {
    if must_be_idle(data_dir).is_err() {
        return Ok(true);
    }
    // etcd locks its database for as long as it has it open.
    let path = data_dir.join("member/snap/db");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(CliError::at(&path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(CliError::at(&path, error)),
    }
}
