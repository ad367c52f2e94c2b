//! The cluster as its members report it, all asked at once.
//!
//! [`ClusterView::look`] takes the member list from a quorum: commands that change something rely
//! on it. [`ClusterView::survey`] takes it from any member that answers, because it is needed most
//! when there is no leader.

use admin_client::{Account, Broken, CallError, Client, MemberPage, PageError, Repeat, explained};
use admin_ui::error::CliError;
use futures::future::{join, join_all};
use proto::etcdserverpb::{
    AlarmRequest, Member, MemberListRequest, RangeRequest, ResponseHeader, StatusRequest, StatusResponse,
};
use std::collections::BTreeSet;

/// A member and its report about itself.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) member: Member,
    /// The client URL that was asked: the first one that answers, else the first one.
    pub(crate) endpoint: Option<String>,
    pub(crate) status: Result<StatusResponse, String>,
    pub(crate) account: Account,
    /// It answered a linearizable read, for which it had to ask the leader, and the leader a
    /// quorum. An open connection does not prove that.
    pub(crate) proven: bool,
}

impl Seen {
    pub(crate) fn id(&self) -> String {
        format!("{:x}", self.member.id)
    }

    /// Returns its name; its id before it has published one.
    pub(crate) fn name(&self) -> String {
        if self.member.name.is_empty() { self.id() } else { self.member.name.clone() }
    }

    pub(crate) fn is_started(&self) -> bool {
        !self.member.name.is_empty()
    }

    /// Returns `true` if it has run, published or not.
    pub(crate) fn has_started(&self) -> bool {
        self.is_started() || self.status.is_ok()
    }

    pub(crate) fn applied(&self) -> u64 {
        self.status.as_ref().map_or(0, |status| status.raft_applied_index)
    }

    /// Returns the page of a member of ours.
    pub(crate) fn page(&self) -> Option<&MemberPage> {
        match &self.account {
            Account::Own(page) => Some(page),
            Account::Etcd(_) | Account::None(_) => None,
        }
    }

    /// Returns `true` for a real etcd.
    pub(crate) fn is_etcd(&self) -> bool {
        matches!(self.account, Account::Etcd(_))
    }

    /// Returns term and index of the last log entry; `None` if the member does not report them.
    pub(crate) fn last_entry(&self) -> Option<(u64, u64)> {
        self.page().map(|page| (page.last_term, page.last_index))
    }

    /// Returns the days until the first of its certificates and CRLs expires.
    pub(crate) fn certificate_days(&self) -> Option<i64> {
        self.page()?.certificates.iter().map(|certificate| certificate.days_left).min()
    }

    fn is_called(&self, arg: &str) -> bool {
        self.member.name == arg
            || self.id() == arg.to_ascii_lowercase()
            || self.member.peer_ur_ls.iter().chain(&self.member.client_ur_ls).any(|url| url == arg)
    }
}

/// All members.
#[derive(Debug)]
pub(crate) struct ClusterView {
    pub(crate) cluster_id: u64,
    pub(crate) revision: i64,
    /// Ascending by id, as every member lists them.
    pub(crate) members: Vec<Seen>,
    /// Alarms: member id and name of the alarm.
    pub(crate) alarms: Vec<(u64, String)>,
    /// A quorum has confirmed the list of members; else it may be an old one.
    pub(crate) confirmed: bool,
    /// Endpoints of the command that belong to another cluster, with its id.
    pub(crate) strangers: Vec<(String, u64)>,
}

/// A list of members, as one endpoint gave it.
struct Listing {
    endpoint: String,
    cluster_id: u64,
    term: u64,
    members: Vec<Member>,
}

impl ClusterView {
    /// Asks a quorum for the members, and each of them for itself.
    pub(crate) async fn look(client: &Client) -> Result<Self, CliError> {
        let request = MemberListRequest { linearizable: true };
        let listed = client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return Err(explained(client, error).await),
        };
        let header = listed.header.unwrap_or_default();
        let mut view = Self::of(client, header.cluster_id, listed.members).await;
        view.confirmed = true;
        view.revision = view.revision.max(header.revision);
        Ok(view)
    }

    /// Asks every endpoint for the members it knows, and each member for itself. No quorum is
    /// needed.
    ///
    /// # Errors
    /// When no endpoint answers: each with the step that failed.
    pub(crate) async fn survey(client: &Client) -> Result<Self, CliError> {
        let own: Vec<Client> =
            client.settings.endpoints.iter().map(|endpoint| client.at(endpoint)).collect::<Result<_, _>>()?;
        let (listings, errors): (Vec<_>, Vec<_>) =
            join_all(own.iter().map(listing)).await.into_iter().partition(Result::is_ok);
        let listings: Vec<Listing> = listings.into_iter().flatten().collect();
        let Some(newest) = listings.iter().max_by_key(|listing| listing.term) else {
            return Err(nothing_answers(client, errors.into_iter().filter_map(Result::err).collect()).await);
        };
        let cluster_id = newest.cluster_id;
        let mut view = Self::of(client, cluster_id, newest.members.clone()).await;
        view.confirmed = view.members.iter().any(|seen| seen.proven);
        let strangers = listings.iter().filter(|listing| listing.cluster_id != cluster_id);
        view.strangers = strangers.map(|listing| (listing.endpoint.clone(), listing.cluster_id)).collect();
        Ok(view)
    }

    async fn of(client: &Client, cluster_id: u64, members: Vec<Member>) -> Self {
        let members = join_all(members.into_iter().map(|member| see(client, member))).await;
        // The list of members has no revision.
        let reported =
            members.iter().filter_map(|seen| seen.status.as_ref().ok()?.header.as_ref()).map(|header| header.revision);
        let revision = reported.max().unwrap_or(0);
        let mut view =
            Self { cluster_id, revision, members, alarms: Vec::new(), confirmed: false, strangers: Vec::new() };
        view.alarms = view.find_alarms(client).await;
        view
    }

    /// Returns the alarms. Members of ours list them on their page; a real etcd is asked, which
    /// needs a leader there.
    async fn find_alarms(&self, client: &Client) -> Vec<(u64, String)> {
        let pages = self.members.iter().filter_map(Seen::page);
        let on_page = pages.clone().flat_map(|page| &page.alarms);
        let listed: BTreeSet<(u64, String)> = on_page
            .filter_map(|alarm| Some((u64::from_str_radix(&alarm.member_id, 16).ok()?, alarm.alarm.clone())))
            .collect();
        if pages.count() > 0 || self.leader().is_none() {
            return listed.into_iter().collect();
        }
        let asked =
            client.call(Repeat::Safe, async |session| session.maintenance().alarm(AlarmRequest::default()).await).await;
        let alarms = asked.map(|response| response.alarms).unwrap_or_default();
        alarms.into_iter().map(|alarm| (alarm.member_id, alarm.alarm().as_str_name().to_owned())).collect()
    }

    /// Returns the name of a member, or its id if it is no member any more.
    pub(crate) fn name_of(&self, id: u64) -> String {
        self.members.iter().find(|seen| seen.member.id == id).map_or_else(|| format!("{id:x}"), Seen::name)
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = &Seen> {
        self.members.iter().filter(|seen| !seen.member.is_learner)
    }

    /// Returns the follower that has applied most, of those that prove that they follow the leader.
    pub(crate) fn most_up_to_date_follower(&self) -> Option<&Seen> {
        let leader = self.leader().map(|seen| seen.member.id);
        let followers = self.voters().filter(|seen| seen.proven && Some(seen.member.id) != leader);
        followers.max_by_key(|seen| seen.applied())
    }

    /// Returns the leader by the report of the member with the highest term. A member that is cut
    /// off has given its leader up.
    pub(crate) fn leader(&self) -> Option<&Seen> {
        let newest = self
            .members
            .iter()
            .filter_map(|seen| seen.status.as_ref().ok())
            .filter(|status| status.leader != 0)
            .max_by_key(|status| status.raft_term)?;
        self.members.iter().find(|seen| seen.member.id == newest.leader)
    }

    /// Returns `true` if a leader is known and a voter has proven that it has a quorum.
    pub(crate) fn is_led(&self) -> bool {
        self.leader().is_some() && self.voters().any(|seen| seen.proven)
    }

    /// Returns `true` if all voters follow the leader, no alarm is raised, and no connection
    /// between members is known to be missing.
    pub(crate) fn is_healthy(&self) -> bool {
        self.leader().is_some()
            && self.alarms.is_empty()
            && self.voters().all(|seen| seen.proven)
            && self.broken_links().is_empty()
    }

    /// Returns the voters that answer.
    pub(crate) fn reachable_voters(&self) -> usize {
        self.voters().filter(|seen| seen.status.is_ok()).count()
    }

    /// Returns the member of that name, id or URL; nothing short of the whole of it counts.
    pub(crate) fn find(&self, arg: &str) -> Option<&Seen> {
        self.members.iter().find(|seen| seen.is_called(arg))
    }

    /// As [`ClusterView::find`], or why not.
    pub(crate) fn expect(&self, arg: &str) -> Result<&Seen, CliError> {
        self.find(arg)
            .ok_or_else(|| CliError::refused(format!("no member is called {arg}; there are {}", self.names())))
    }

    /// Returns the cluster version, as members of ours report it.
    pub(crate) fn cluster_version(&self) -> Option<&str> {
        self.members.iter().filter_map(Seen::page).find_map(|page| page.cluster_version.as_deref())
    }

    /// Returns the version at which the cluster is held, as members of ours report it.
    pub(crate) fn held_version(&self) -> Option<&str> {
        self.members.iter().filter_map(Seen::page).find_map(|page| page.held_version.as_deref())
    }

    pub(crate) fn names(&self) -> String {
        self.members.iter().map(Seen::name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the voters of a majority.
    pub(crate) fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }
}

/// Asks one endpoint for the members it knows.
async fn listing(client: &Client) -> Result<Listing, CallError> {
    let endpoint = client.settings.endpoints[0].clone();
    let request = MemberListRequest { linearizable: false };
    let rpc = async {
        let listed = client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await?;
        let header = listed.header.unwrap_or_default();
        Ok::<_, CallError>(Listing {
            endpoint: endpoint.clone(),
            cluster_id: header.cluster_id,
            term: header.raft_term,
            members: listed.members,
        })
    };
    // A member that waits for a leader after its start serves its page and no RPC yet.
    let page = async { if let Account::Own(page) = client.account().await { of_page(&endpoint, &page) } else { None } };
    let (mut rpc, mut page) = (Box::pin(rpc), Box::pin(page));
    tokio::select! {
        listed = &mut rpc => match listed {
            Ok(listed) => Ok(listed),
            Err(error) => page.await.ok_or(error),
        },
        listed = &mut page => match listed {
            Some(listed) => Ok(listed),
            None => rpc.await,
        },
    }
}

fn of_page(endpoint: &str, page: &MemberPage) -> Option<Listing> {
    let id = |text: &str| u64::from_str_radix(text, 16).ok();
    let member = |listed: &admin_client::PageMember| {
        Some(Member {
            id: id(&listed.id)?,
            name: listed.name.clone(),
            peer_ur_ls: listed.peer_urls.clone(),
            client_ur_ls: listed.client_urls.clone(),
            is_learner: listed.is_learner,
        })
    };
    let members = page.members.iter().map(member).collect::<Option<Vec<_>>>()?;
    let known = (!members.is_empty()).then_some(members)?;
    Some(Listing { endpoint: endpoint.to_owned(), cluster_id: id(&page.cluster_id)?, term: page.term, members: known })
}

/// Returns the failure when no endpoint answers, with the step that failed at each.
async fn nothing_answers(client: &Client, errors: Vec<CallError>) -> CliError {
    let mut broken: Vec<Broken> = Vec::new();
    for error in errors {
        match error {
            CallError::Unreachable(these) => broken.extend(these),
            CallError::Status { .. } | CallError::Login { .. } | CallError::TimedOut { .. } => {
                return explained(client, error).await;
            }
        }
    }
    explained(client, CallError::Unreachable(broken)).await
}

/// Asks a member at its client URLs, one after the other, until one answers.
async fn see(client: &Client, member: Member) -> Seen {
    let mut first = None;
    for endpoint in member.client_ur_ls.clone() {
        let seen = see_at(client, member.clone(), endpoint).await;
        if seen.status.is_ok() {
            return seen;
        }
        first.get_or_insert(seen);
    }
    let unstarted = || Seen {
        endpoint: None,
        status: Err("not started yet".to_owned()),
        account: Account::None(PageError::Other("not started yet".to_owned())),
        proven: false,
        member,
    };
    first.unwrap_or_else(unstarted)
}

async fn see_at(client: &Client, member: Member, endpoint: String) -> Seen {
    let own = match client.at(&endpoint) {
        Ok(own) => own,
        Err(error) => {
            let account = Account::None(PageError::Other(error.to_string()));
            return Seen { member, endpoint: Some(endpoint), status: Err(error.to_string()), account, proven: false };
        }
    };
    let rpc =
        async { own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await };
    let id = member.id;
    let account = async { own_account(own.account().await, id) };
    let (mut rpc, mut account) = (Box::pin(rpc), Box::pin(account));
    let (account, status) = tokio::select! {
        account = &mut account => match &account {
            // Its page says the same, and is there while no RPC is served.
            Account::Own(page) => { let status = status_of(page); (account, Ok(status)) }
            Account::Etcd(_) | Account::None(_) => { let status = rpc.await; (account, status) }
        },
        status = &mut rpc => (account.await, status),
    };
    let status = match (status, &account) {
        (Ok(status), _) => Ok(status),
        // Whichever responded first: the Status RPC may need a user.
        (Err(_), Account::Own(page)) => Ok(status_of(page)),
        (Err(error), Account::Etcd(_) | Account::None(_)) => Err(short(&own, error).await),
    };
    // A learner serves no such reads, and without a leader there is nothing to wait for.
    let is_led = status.as_ref().is_ok_and(|status| status.leader != 0);
    let proven = is_led && !member.is_learner && serves(&own, &account).await;
    Seen { member, endpoint: Some(endpoint), status, account, proven }
}

/// Returns the account, unless it is that of another member: several on one host may have their
/// pages at other ports.
fn own_account(account: Account, member: u64) -> Account {
    match &account {
        Account::Own(page) if u64::from_str_radix(&page.member_id, 16).is_ok_and(|id| id != member) => {
            Account::None(PageError::Other(format!("the page is that of member {}", page.member_id)))
        }
        Account::Own(_) | Account::Etcd(_) | Account::None(_) => account,
    }
}

/// Returns the page of a member of ours in the form of the Status RPC.
fn status_of(page: &MemberPage) -> StatusResponse {
    let id = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
    let bytes = i64::try_from(page.database_bytes).unwrap_or(i64::MAX);
    StatusResponse {
        header: Some(ResponseHeader {
            cluster_id: id(&page.cluster_id),
            member_id: id(&page.member_id),
            revision: page.revision,
            raft_term: page.term,
        }),
        version: page.etcd_version.clone(),
        db_size: bytes,
        db_size_in_use: bytes,
        db_size_quota: page.quota_bytes,
        leader: page.leader.as_deref().map_or(0, id),
        raft_index: page.last_index,
        raft_term: page.term,
        raft_applied_index: page.applied_index,
        is_learner: page.role == "learner",
        ..StatusResponse::default()
    }
}

/// Returns `true` if a linearizable read is answered. A user without permission, or none at all,
/// proves it by the list of members; where that needs a user too, the member's own word that it
/// follows a leader has to do.
async fn serves(client: &Client, account: &Account) -> bool {
    let read = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    let list = MemberListRequest { linearizable: true };
    let read = client.call(Repeat::Safe, async |session| session.kv().range(read.clone()).await);
    let list = client.call(Repeat::Safe, async |session| session.cluster().member_list(list).await);
    let lacks_user =
        |error: &CallError| matches!(error.code(), tonic::Code::InvalidArgument | tonic::Code::Unauthenticated);
    match join(read, list).await {
        (Ok(_), _) => true,
        (Err(error), _) if error.code() == tonic::Code::PermissionDenied => true,
        (Err(error), Ok(_)) => lacks_user(&error),
        (Err(error), Err(listing)) => {
            let follows = matches!(account, Account::Own(page) if page.leader.is_some());
            lacks_user(&error) && follows && (lacks_user(&listing) || listing.code() == tonic::Code::PermissionDenied)
        }
    }
}

/// Returns the reason on one line without the endpoint.
async fn short(client: &Client, error: CallError) -> String {
    let endpoint = format!("{}: ", client.settings.endpoints[0]);
    match &error {
        CallError::Unreachable(broken) => broken.first().map_or_else(String::new, |broken| broken.without_endpoint()),
        CallError::Status { .. } | CallError::Login { .. } | CallError::TimedOut { .. } => {
            let lines = client.explain(&error).await;
            lines.first().map_or_else(|| error.to_string(), Clone::clone).replacen(&endpoint, "", 1)
        }
    }
}

#[cfg(test)]
pub(crate) fn seen_for_tests(id: u64, name: &str) -> Seen {
    let member = Member { id, name: name.to_owned(), ..Member::default() };
    let account = Account::None(PageError::Status(404));
    Seen { member, endpoint: None, status: Ok(StatusResponse::default()), account, proven: true }
}

#[cfg(test)]
impl ClusterView {
    pub(crate) fn for_tests(members: Vec<Seen>) -> Self {
        Self { cluster_id: 1, revision: 1, members, alarms: Vec::new(), confirmed: true, strangers: Vec::new() }
    }
}
