//! member add, remove, replace, rebuild, promote, update.

use super::args::{AddArgs, PromoteArgs, RebuildArgs, RemoveArgs, ReplaceArgs, WaitArgs};
use super::journal::{Begun, Journal};
use super::leader::{successor, transfer};
use super::learner::promote_learner;
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::{CallError, Client, Repeat, explained};
use admin_ui::confirm::confirm;
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use admin_ui::progress::note;
use config::Url;
use proto::etcdserverpb::{Member, MemberAddRequest, MemberRemoveRequest, MemberUpdateRequest};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tonic::Code;

/// The error of a leader that has not been connected to all members for some seconds.
const UNSETTLED: &str = "etcdserver: unhealthy cluster";
const SETTLE_TIME: Duration = Duration::from_secs(30);
const SETTLE_PAUSE: Duration = Duration::from_millis(250);

/// The steps done, and the resulting members.
#[derive(Debug, Default, Serialize)]
struct Changes {
    changed: bool,
    dry_run: bool,
    /// The steps, in order; the planned ones in a dry run.
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The settings to start a new member with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    start_with: Vec<String>,
}

impl Changes {
    fn new(context: &Context) -> Self {
        Self { dry_run: context.dry_run, ..Self::default() }
    }

    /// Notes a step; answers whether it is to be done.
    fn step(&mut self, text: String) -> bool {
        if !self.dry_run {
            note(&text);
        }
        self.changed = true;
        self.steps.push(text);
        !self.dry_run
    }

    fn tell(&self, context: &Context, nothing: &str) -> Result<ExitCode, CliError> {
        print_result(context.format, self, || {
            if self.steps.is_empty() {
                return format!("{nothing}: nothing changed\n");
            }
            let lead = if self.dry_run { "would " } else { "" };
            let steps: String = self.steps.iter().map(|step| format!("{lead}{step}\n")).collect();
            let flags: String = self.start_with.iter().map(|flag| format!("  {flag}\n")).collect();
            if flags.is_empty() { steps } else { format!("{steps}Start it with\n{flags}") }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Peer URLs in their normal form; those of a member that could never be reached are refused.
fn checked(view: &ClusterView, urls: &[String]) -> Result<Vec<String>, CliError> {
    let mut checked = Vec::new();
    for text in urls {
        let url = Url::parse(text).map_err(|error| CliError::usage(format!("{text}: {error}")))?;
        let (scheme, others) = (url.scheme().is_secure(), view.members.iter().flat_map(|seen| &seen.member.peer_ur_ls));
        let mut others = others.filter_map(|other| Url::parse(other).ok());
        if others.clone().next().is_some() && others.all(|other| other.scheme().is_secure() != scheme) {
            let have = if scheme { "http" } else { "https" };
            return Err(CliError::refused(format!(
                "{text}: all members have {have} peer URLs, so this URL would not be used"
            )));
        }
        checked.push(url.as_str().to_owned());
    }
    Ok(checked)
}

pub(crate) fn has_urls(member: &Member, urls: &[String]) -> bool {
    let sorted = |urls: &[String]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    sorted(&member.peer_ur_ls) == sorted(urls)
}

/// Returns the new member, if it exists already; refuses an invalid one.
pub(crate) fn new_member<'a>(
    view: &'a ClusterView,
    name: &str,
    urls: &[String],
    leaves: Option<u64>,
) -> Result<Option<&'a Seen>, CliError> {
    let rest = || view.members.iter().filter(|seen| Some(seen.member.id) != leaves);
    if let Some(known) = rest().find(|seen| has_urls(&seen.member, urls)) {
        return if !known.is_started() || known.member.name == name {
            Ok(Some(known))
        } else {
            Err(CliError::refused(format!("{} has these peer URLs already", known.name())))
        };
    }
    if let Some(taken) = rest().find(|seen| seen.member.name == name) {
        return Err(CliError::refused(format!(
            "a member is called {name} already, at {}",
            taken.member.peer_ur_ls.join(",")
        )));
    }
    if let Some(shared) = rest().find(|seen| seen.member.peer_ur_ls.iter().any(|url| urls.contains(url))) {
        return Err(CliError::refused(format!("{} has one of these peer URLs already", shared.name())));
    }
    if let Some(unstarted) = rest().find(|seen| !seen.is_started()) {
        let text = format!(
            "member {} was added and never started: start it, or remove it (etcd-admin member remove {}), before another one is added",
            unstarted.id(),
            unstarted.id()
        );
        return Err(CliError::refused(text));
    }
    Ok(None)
}

/// Refuses to add a member while a voter is away: the leader would refuse it too, after half a
/// minute.
pub(crate) fn all_must_answer(view: &ClusterView) -> Result<(), CliError> {
    let Some(away) = view.voters().find(|seen| !seen.proven) else { return Ok(()) };
    let reason = away.status.as_ref().err().map_or("it does not follow the leader", String::as_str);
    let text = format!(
        "no member can be added while {} is away: {reason}; bring it back, or remove it (etcd-admin member remove {})",
        away.name(),
        away.name()
    );
    Err(CliError::refused(text))
}

/// Adds a learner. If the outcome of the request is unknown, the list of members shows whether it
/// was done.
pub(crate) async fn add_learner(client: &Client, urls: &[String]) -> Result<u64, CliError> {
    let begun = Instant::now();
    let request = MemberAddRequest { peer_ur_ls: urls.to_vec(), is_learner: true };
    loop {
        let error = match client
            .call(Repeat::Unsafe, async |session| session.cluster().member_add(request.clone()).await)
            .await
        {
            Ok(added) => return Ok(added.member.map_or(0, |member| member.id)),
            Err(error) => error,
        };
        let unsettled = matches!(&error, CallError::Status { status, .. } if status.message() == UNSETTLED);
        let unknown = matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable);
        if begun.elapsed() > SETTLE_TIME || !(unsettled || unknown) {
            let failure = explained(client, error).await;
            return Err(if unsettled { CliError::refused(failure.to_string()) } else { failure });
        }
        if unknown {
            let view = ClusterView::look(client).await?;
            if let Some(added) = view.members.iter().find(|seen| has_urls(&seen.member, urls)) {
                return Ok(added.member.id);
            }
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// Adds the new member as a learner, prints its settings, and promotes it.
async fn take_in(
    client: &Client,
    changes: &mut Changes,
    name: &str,
    urls: &[String],
    known: Option<(u64, bool)>,
    wait: &WaitArgs,
) -> Result<(), CliError> {
    let id = match known {
        Some((id, _)) => id,
        None => {
            if !changes.step(format!("add {name} as a learner at {}", urls.join(","))) {
                changes.step(format!("promote {name} as soon as it has caught up"));
                return Ok(());
            }
            add_learner(client, urls).await?
        }
    };
    changes.id = Some(format!("{id:x}"));
    let votes = known.is_some_and(|(_, is_learner)| !is_learner);
    if votes {
        return Ok(());
    }
    let view = ClusterView::look(client).await?;
    let entries = view.members.iter().flat_map(|seen| {
        let called = if seen.member.id == id { name.to_owned() } else { seen.member.name.clone() };
        seen.member.peer_ur_ls.iter().map(move |url| format!("{called}={url}"))
    });
    let entries = entries.collect::<Vec<_>>().join(",");
    changes.start_with = vec![
        format!("--name {name}"),
        format!("--initial-cluster {entries}"),
        "--initial-cluster-state existing".to_owned(),
        format!("--initial-advertise-peer-urls {}", urls.join(",")),
    ];
    if wait.no_wait {
        return Ok(());
    }
    if changes.step(format!("promote {name} as soon as it has caught up")) {
        changes.start_with.iter().for_each(|flag| note(&format!("  {flag}")));
        promote_learner(client, id, wait.wait).await?;
        changes.start_with.clear();
    }
    Ok(())
}

pub(super) async fn add(context: &Context, client: &Client, args: &AddArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let urls = checked(&view, &args.peer_urls)?;
    let known = new_member(&view, &args.name, &urls, None)?.map(|seen| (seen.member.id, seen.member.is_learner));
    if known.is_none() {
        all_must_answer(&view)?;
    }
    let mut changes = Changes::new(context);
    take_in(client, &mut changes, &args.name, &urls, known, &args.wait).await?;
    changes.tell(context, &format!("{} is a member and votes", args.name))
}

/// Hands leadership over if need be, and takes a member out.
async fn take_out(client: &Client, changes: &mut Changes, view: &ClusterView, gone: &Seen) -> Result<(), CliError> {
    if let Some(leader) = view.leader().filter(|leader| leader.member.id == gone.member.id) {
        let next = successor(view)?;
        if changes.step(format!("hand leadership from {} to {}", leader.name(), next.name())) {
            transfer(client, leader, next).await?;
        }
    }
    if changes.step(format!("remove {} ({})", gone.name(), gone.id())) {
        remove_through_others(client, view, gone).await?;
    }
    Ok(())
}

/// Removes a member through one that stays: the one that goes may not live to answer.
pub(crate) async fn remove_through_others(client: &Client, view: &ClusterView, gone: &Seen) -> Result<(), CliError> {
    let other = view
        .voters()
        .find(|seen| seen.proven && seen.member.id != gone.member.id)
        .and_then(|seen| seen.endpoint.clone());
    let through = other.map(|endpoint| client.at(&endpoint)).transpose()?;
    let through = through.as_ref().unwrap_or(client);
    let request = MemberRemoveRequest { id: gone.member.id };
    settled(through, async || {
        through.call(Repeat::Unsafe, async |session| session.cluster().member_remove(request).await).await
    })
    .await
    .map(|_| ())
}

/// Asks again while members have not been connected for as long as a leader wants: that all are
/// there has been proven before.
async fn settled<T>(client: &Client, ask: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CliError> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(response) => return Ok(response),
            Err(CallError::Status { status, .. }) if status.message() == UNSETTLED && begun.elapsed() < SETTLE_TIME => {
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
            Err(error) => return Err(explained(client, error).await),
        }
    }
}

/// Refuses a removal that would cost the quorum.
pub(crate) fn must_bear(view: &ClusterView, gone: &Seen) -> Result<(), CliError> {
    let judgement = view.may_remove(gone);
    if judgement.ok {
        return Ok(());
    }
    Err(CliError::refused(format!("{} stays: {}", gone.name(), judgement.reason)))
}

/// Returns the question that an operator confirms.
pub(crate) fn question(view: &ClusterView, gone: &Seen, what: &str) -> String {
    let after = view.may_remove(gone);
    format!(
        "{what} {} ({}).\n  now:   {} voters, {} needed, {} may fail\n  after: {} voters, {} needed, {} may fail",
        gone.name(),
        gone.id(),
        view.voters().count(),
        view.quorum(),
        view.tolerance().assumed,
        after.voters,
        after.quorum,
        after.tolerated
    )
}

pub(super) async fn remove(context: &Context, client: &Client, args: &RemoveArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let mut changes = Changes::new(context);
    let Some(gone) = view.find(&args.member) else {
        // A second run after an interruption is no mistake; a name that was never there is one. An
        // id says which.
        if u64::from_str_radix(&args.member, 16).is_ok() {
            return changes
                .tell(context, &format!("no member has the id {} (there are {})", args.member, view.names()));
        }
        return Err(CliError::refused(format!(
            "no member is called {}; there are {}: nothing changed",
            args.member,
            view.names()
        )));
    };
    must_bear(&view, gone)?;
    changes.id = Some(gone.id());
    if !context.dry_run {
        confirm(&question(&view, gone, "This removes"), &gone.name(), args.yes)?;
    }
    take_out(client, &mut changes, &view, gone).await?;
    changes.tell(context, "")
}

pub(super) async fn replace(context: &Context, client: &Client, args: &ReplaceArgs) -> Result<ExitCode, CliError> {
    let mut view = ClusterView::look(client).await?;
    let urls = checked(&view, &args.peer_urls)?;
    let mut changes = Changes::new(context);
    // After an interruption the old one may have gone already.
    let Some(old) = view.find(&args.member).map(|seen| (seen.member.id, seen.proven)) else {
        let known = new_member(&view, &args.name, &urls, None)?.map(|seen| (seen.member.id, seen.member.is_learner));
        if known.is_none() {
            return Err(CliError::refused(format!("no member is called {}; there are {}", args.member, view.names())));
        }
        take_in(client, &mut changes, &args.name, &urls, known, &args.wait).await?;
        return changes.tell(context, &format!("{} has been replaced by {}", args.member, args.name));
    };
    let (old, lives) = old;
    let known = new_member(&view, &args.name, &urls, Some(old))?.map(|seen| (seen.member.id, seen.member.is_learner));
    if !context.dry_run {
        let gone = view.expect(&args.member)?;
        confirm(&question(&view, gone, &format!("This puts {} in the place of", args.name)), &gone.name(), args.yes)?;
    }
    // A running member is removed last, so that no fewer failures are tolerated meanwhile; a dead
    // one first, because a cluster adds no member while one of its members cannot be reached.
    if lives {
        take_in(client, &mut changes, &args.name, &urls, known, &args.wait).await?;
        if !context.dry_run {
            view = ClusterView::look(client).await?;
        }
    }
    let gone = view.expect(&args.member)?;
    if !(lives && args.wait.no_wait) {
        must_bear(&view, gone)?;
        take_out(client, &mut changes, &view, gone).await?;
    }
    if !lives {
        take_in(client, &mut changes, &args.name, &urls, known, &args.wait).await?;
    }
    changes.tell(context, "")
}

pub(super) async fn rebuild(context: &Context, client: &Client, args: &RebuildArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let mut changes = Changes::new(context);
    let journal = Journal::of(&view)?;
    // After an interruption it may have gone already: the journal knows its name and URLs then.
    let Some(gone) = view.find(&args.member) else {
        let Some(begun) = journal.find(&args.member)? else {
            return Err(CliError::refused(format!("no member is called {}; there are {}", args.member, view.names())));
        };
        let known = new_member(&view, &begun.name, &begun.peer_urls, None)?
            .map(|seen| (seen.member.id, seen.member.is_learner));
        return take_back(context, client, &mut changes, &journal, &begun, known, args).await;
    };
    let begun = Begun { id: gone.id(), name: gone.name(), peer_urls: gone.member.peer_ur_ls.clone() };
    if !gone.is_started() {
        return match journal.find(&args.member)?.or(journal.find_urls(&begun.peer_urls)?) {
            // It was added again, and waits for its host.
            Some(begun) => {
                take_back(
                    context,
                    client,
                    &mut changes,
                    &journal,
                    &begun,
                    Some((gone.member.id, gone.member.is_learner)),
                    args,
                )
                .await
            }
            None => Err(CliError::refused(format!(
                "member {} has never run: there is nothing to rebuild; start it",
                gone.id()
            ))),
        };
    }
    // One that learns is on its way already, after an interruption.
    let known = gone.member.is_learner.then_some((gone.member.id, true));
    if known.is_none() {
        must_bear(&view, gone)?;
        if !context.dry_run {
            let what = "This takes out, to begin again with empty data, the member";
            confirm(&question(&view, gone, what), &gone.name(), args.yes)?;
            journal.write(&begun)?;
        }
        take_out(client, &mut changes, &view, gone).await?;
    }
    let others = others(client, &view, gone)?;
    take_back(context, &others, &mut changes, &journal, &begun, known, args).await
}

/// Returns a client of the members that stay: the one that goes neither answers nor counts.
fn others(client: &Client, view: &ClusterView, gone: &Seen) -> Result<Client, CliError> {
    let endpoints: Vec<String> = view
        .voters()
        .filter(|seen| seen.proven && seen.member.id != gone.member.id)
        .filter_map(|seen| seen.endpoint.clone())
        .collect();
    let settings = admin_client::Settings { endpoints, ..client.settings.clone() };
    Ok(Client::new(settings)?)
}

/// Adds the member again, prints the steps on its host, and waits until it is a voter.
async fn take_back(
    context: &Context,
    client: &Client,
    changes: &mut Changes,
    journal: &Journal,
    begun: &Begun,
    known: Option<(u64, bool)>,
    args: &RebuildArgs,
) -> Result<ExitCode, CliError> {
    let Begun { name, peer_urls, .. } = begun;
    if !context.dry_run {
        note(&format!(
            "On the host of {name}: systemctl stop etcd-server; move its data directory away and keep it until the member works; then \
             etcd-admin join --member {name}"
        ));
    }
    take_in(client, changes, name, peer_urls, known, &args.wait).await?;
    if !context.dry_run && !args.wait.no_wait {
        journal.remove(begun)?;
    }
    changes.tell(context, &format!("{name} is a member and votes"))
}

pub(super) async fn promote(context: &Context, client: &Client, args: &PromoteArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let seen = view.expect(&args.member)?;
    let mut changes = Changes::new(context);
    changes.id = Some(seen.id());
    if seen.member.is_learner && changes.step(format!("promote {} as soon as it has caught up", seen.name())) {
        promote_learner(client, seen.member.id, args.wait).await?;
    }
    changes.tell(context, &format!("{} votes already", seen.name()))
}

pub(super) async fn update(
    context: &Context,
    client: &Client,
    arg: &str,
    urls: &[String],
) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    let seen = view.expect(arg)?;
    let urls = checked(&view, urls)?;
    let mut changes = Changes::new(context);
    changes.id = Some(seen.id());
    if let Some(other) = view
        .members
        .iter()
        .find(|other| other.member.id != seen.member.id && other.member.peer_ur_ls.iter().any(|url| urls.contains(url)))
    {
        return Err(CliError::refused(format!("{} has one of these peer URLs already", other.name())));
    }
    let same = has_urls(&seen.member, &urls);
    if !same
        && changes.step(format!(
            "let the others reach {} at {}; it was {}",
            seen.name(),
            urls.join(","),
            seen.member.peer_ur_ls.join(",")
        ))
    {
        let request = MemberUpdateRequest { id: seen.member.id, peer_ur_ls: urls };
        if let Err(error) =
            client.call(Repeat::Unsafe, async |session| session.cluster().member_update(request.clone()).await).await
        {
            return Err(explained(client, error).await);
        }
    }
    changes.tell(context, &format!("{} has these peer URLs already", seen.name()))
}
