//! The cluster as its members tell it, all asked at once.

use crate::client::{CallError, Client, Repeat};
use crate::failure::Failure;
use futures::future::join_all;
use proto::etcdserverpb::{AlarmRequest, Member, MemberListRequest, RangeRequest, StatusRequest, StatusResponse};

/// One member, and what it said for itself.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) member: Member,
    /// The client URL that was asked; the first one.
    pub(crate) endpoint: Option<String>,
    pub(crate) status: Result<StatusResponse, String>,
    /// Whether it answered a read for which it had to ask the leader, and the leader a quorum: what an open connection does not prove.
    pub(crate) proven: bool,
}

impl Seen {
    pub(crate) fn id(&self) -> String {
        format!("{:x}", self.member.id)
    }

    /// Its name; its id before it has told one.
    pub(crate) fn name(&self) -> String {
        if self.member.name.is_empty() { self.id() } else { self.member.name.clone() }
    }

    pub(crate) fn is_started(&self) -> bool {
        !self.member.name.is_empty()
    }

    pub(crate) fn applied(&self) -> u64 {
        self.status.as_ref().map_or(0, |status| status.raft_applied_index)
    }

    fn is_called(&self, word: &str) -> bool {
        self.member.name == word
            || self.id() == word.to_ascii_lowercase()
            || self.member.peer_ur_ls.iter().chain(&self.member.client_ur_ls).any(|url| url == word)
    }
}

/// All members.
#[derive(Debug)]
pub(crate) struct ClusterView {
    pub(crate) cluster_id: u64,
    pub(crate) revision: i64,
    /// Ascending by id, as every member lists them.
    pub(crate) members: Vec<Seen>,
    /// What members are alarmed of: member id and name of the alarm.
    pub(crate) alarms: Vec<(u64, String)>,
}

impl ClusterView {
    /// Asks for the members, and each of them for itself. Needs a quorum, because a list without one may be an old one.
    pub(crate) async fn look(client: &Client) -> Result<Self, Failure> {
        let request = MemberListRequest { linearizable: true };
        let listed = client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return Err(explained(client, error).await),
        };
        let alarms = client.call(Repeat::Safe, async |session| session.maintenance().alarm(AlarmRequest::default()).await).await;
        let alarms = alarms.map(|answer| answer.alarms).unwrap_or_default();
        let members = join_all(listed.members.into_iter().map(|member| see(client, member))).await;
        let header = listed.header.unwrap_or_default();
        // The list of members is told without a revision.
        let told = members.iter().filter_map(|seen| seen.status.as_ref().ok()?.header.as_ref()).map(|header| header.revision);
        let revision = told.max().unwrap_or(header.revision);
        let alarms = alarms.into_iter().map(|alarm| (alarm.member_id, alarm.alarm().as_str_name().to_owned())).collect();
        Ok(Self { cluster_id: header.cluster_id, revision, members, alarms })
    }

    /// The name of a member, or its id where it is a member no more.
    pub(crate) fn name_of(&self, id: u64) -> String {
        self.members.iter().find(|seen| seen.member.id == id).map_or_else(|| format!("{id:x}"), Seen::name)
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = &Seen> {
        self.members.iter().filter(|seen| !seen.member.is_learner)
    }

    /// The one that leads, as most of those say that were reached.
    pub(crate) fn leader(&self) -> Option<&Seen> {
        let newest = self
            .members
            .iter()
            .filter_map(|seen| seen.status.as_ref().ok())
            .filter(|status| status.leader != 0)
            .max_by_key(|status| status.raft_term)?;
        self.members.iter().find(|seen| seen.member.id == newest.leader)
    }

    /// The member of that name, id or URL; nothing short of the whole of it counts.
    pub(crate) fn find(&self, word: &str) -> Option<&Seen> {
        self.members.iter().find(|seen| seen.is_called(word))
    }

    /// The same, or why not.
    pub(crate) fn expect(&self, word: &str) -> Result<&Seen, Failure> {
        self.find(word).ok_or_else(|| Failure::refused(format!("no member is called {word}; there are {}", self.names())))
    }

    pub(crate) fn names(&self) -> String {
        self.members.iter().map(Seen::name).collect::<Vec<_>>().join(", ")
    }

    /// Voters of a majority.
    pub(crate) fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// How many more of the proven voters may fail.
    pub(crate) fn tolerated(&self) -> usize {
        self.voters().filter(|seen| seen.proven).count().saturating_sub(self.quorum())
    }
}

async fn see(client: &Client, member: Member) -> Seen {
    let Some(endpoint) = member.client_ur_ls.first().cloned() else {
        return Seen { member, endpoint: None, status: Err("not started yet".to_owned()), proven: false };
    };
    let asked = async {
        let own = client.at(&endpoint).map_err(|error| error.to_string())?;
        let status = own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
        let status = status.map_err(|error| short(&error))?;
        Ok((own, status))
    };
    match asked.await {
        Err(error) => Seen { member, endpoint: Some(endpoint), status: Err(error), proven: false },
        Ok((own, status)) => {
            // A learner serves no such reads.
            let proven = !member.is_learner && serves(&own).await;
            Seen { member, endpoint: Some(endpoint), status: Ok(status), proven }
        }
    }
}

/// Whether a linearizable read is answered. Who may not read has been judged by a state that is up to date, too.
async fn serves(client: &Client) -> bool {
    let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    match client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
        Ok(_) => true,
        Err(error) => error.code() == tonic::Code::PermissionDenied,
    }
}

/// One line without the endpoint.
fn short(error: &CallError) -> String {
    match error {
        CallError::Unreachable(broken) => broken.first().map_or_else(String::new, |broken| broken.to_string()),
        CallError::Status { status, .. } | CallError::Login { status, .. } => status.message().to_owned(),
        CallError::TimedOut { limit, .. } => format!("no answer within {limit:?}"),
    }
}

/// A failure with the step that broke.
pub(crate) async fn explained(client: &Client, error: CallError) -> Failure {
    let lines = match &error {
        CallError::Unreachable(_) => Vec::new(),
        CallError::Status { .. } | CallError::Login { .. } | CallError::TimedOut { .. } => client.explain(&error).await,
    };
    let code = crate::ctl::code_of(&error);
    let mut text = error.to_string();
    for line in lines {
        text += &format!("\n  {line}");
    }
    if matches!(error, CallError::Unreachable(_)) {
        text += &format!("\n  (the endpoints are from {})", client.settings.origin);
    }
    Failure::new(code, text)
}
