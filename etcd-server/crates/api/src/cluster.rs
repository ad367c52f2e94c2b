//! The Cluster service.

use crate::fields::as_text;
use crate::identity::token_of;
use crate::server::{Server, unexpected};
use crate::status::ToStatus as _;
use apply::{ApplyResponse, Ordered};
use auth::RequestClass;
use membership::{ConfChange, Member, Membership, may_add, may_promote, may_remove};
use proto::etcdserverpb::{
    self as pb, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
};
use rpc::etcdserverpb::cluster_server::Cluster;
use std::time::{SystemTime, UNIX_EPOCH};
use tonic::{Code, Request, Response, Status};
use types::MemberId;

/// Seconds that are tried for the id of a new member.
const SECONDS_TRIED: u64 = 60;

impl Server {
    /// Orders a change and answers the members after it.
    async fn change_members(&self, change: ConfChange) -> Result<Vec<pb::Member>, Status> {
        match self.replica.change_members(&change).await.map_err(|refused| self.refused(&refused))? {
            Ordered { response: ApplyResponse::Members(members), .. } => Ok(members),
            ordered => Err(unexpected(&ordered)),
        }
    }

    /// Checks a change against the members as they are known here. A member that lags may know of
    /// addresses or members that are gone, so a refusal counts only if it is the same once
    /// everything is applied that was acknowledged before. Without a quorum the first refusal
    /// stands: nothing newer can be known.
    async fn check_members(&self, check: impl Fn(&Membership) -> Result<(), Status>) -> Result<(), Status> {
        let Err(refusal) = check(&self.published().members()) else { return Ok(()) };
        match self.barrier().await {
            Ok(()) => check(&self.published().members()),
            Err(_) => Err(refusal),
        }
    }

    /// Removes a member. A leader transfers leadership first: otherwise the others would have no
    /// leader for the time of an election.
    async fn remove_member(&self, id: MemberId) -> Result<Vec<pb::Member>, Status> {
        if self.settings.strict_reconfig_check {
            let connected = self.connected().await;
            self.check_members(|members| match members.member(id) {
                Some(_) => may_remove(members, id, &connected).map_err(|rejection| rejection.to_status()),
                // Apply decides: it may have been added a moment ago.
                None => Ok(()),
            })
            .await?;
        }
        let members = self.published().members();
        if members.voters().any(|member| member.id != id)
            && self.published().raft_status().leader == id.0
            && let Some(successor) = self.successor_of(id).await
        {
            // Without a successor in time it is removed all the same: the others will elect one.
            drop(self.transfer_leadership_to(successor).await);
        }
        self.change_members(ConfChange::Remove(id)).await
    }

    /// Transfers leadership before this member stops, so that no client waits for an election. A
    /// failure is logged, and no reason to stay.
    pub async fn transfer_leadership_before_stop(&self) {
        let own = self.replica.member_id();
        let leader = MemberId(self.published().raft_status().leader);
        if !self.leads() {
            tracing::info!(local_member_id = %own, current_leader_member_id = %leader, "skipped leadership transfer; local server is not leader");
            return;
        }
        if !self.published().members().voters().any(|member| member.id != own) {
            tracing::info!(
                local_member_id = %own,
                current_leader_member_id = %leader,
                "skipped leadership transfer for single voting member cluster"
            );
            return;
        }
        let handing = async {
            let successor =
                self.successor_of(own).await.ok_or_else(|| Status::unavailable("no other member responds"))?;
            self.transfer_leadership_to(successor).await
        };
        let handed = tokio::time::timeout(self.replica.request_timeout(), handing).await;
        if let Err(status) = handed.unwrap_or_else(|_| Err(Status::unavailable("the raft thread does not respond"))) {
            tracing::warn!(error = status.message(), "leadership transfer failed");
        }
    }

    /// Returns the successor of `leader`: this member if it may, else the most up to date voter.
    async fn successor_of(&self, leader: MemberId) -> Option<MemberId> {
        let own = self.replica.member_id();
        if own != leader {
            let members = self.published().members();
            return members.member(own).filter(|member| !member.is_learner).map(|member| member.id);
        }
        consensus::successor(&self.replica.progress().await, own.0).map(MemberId)
    }

    /// Promotes a learner that has caught up; only the leader knows whether it has.
    pub async fn promote_member(&self, id: MemberId, token: Option<&str>) -> Result<Vec<pb::Member>, Status> {
        let change = ConfChange::Promote(id);
        let max_learners = self.settings.max_learners;
        let check = self
            .check_members(|members| members.validate(&change, max_learners).map_err(|refusal| refusal.to_status()));
        if !self.leads() {
            check.await?;
            return Ok(self.promote_at_leader(id, token).await?.iter().map(Member::to_wire).collect());
        }
        let promoted = match check.await {
            Ok(()) => self.promote_here(id, change).await,
            Err(refusal) => Err(refusal),
        };
        self.observer.learner_promoted(promoted.as_ref().err());
        promoted
    }

    /// Promotes a learner as the leader.
    async fn promote_here(&self, id: MemberId, change: ConfChange) -> Result<Vec<pb::Member>, Status> {
        if !self.in_sync(&[id]).await.contains(&id) {
            return Err(Status::failed_precondition(
                "etcdserver: can only promote a learner member which is in sync with leader",
            ));
        }
        if self.settings.strict_reconfig_check {
            self.check_members(|members| may_promote(members).map_err(|rejection| rejection.to_status())).await?;
        }
        self.change_members(change).await
    }

    /// The learners that could be promoted now; none unless this member leads.
    pub async fn learners_in_sync(&self) -> Vec<MemberId> {
        let members = self.published().members();
        let learners: Vec<MemberId> =
            members.members().filter(|member| member.is_learner).map(|member| member.id).collect();
        if learners.is_empty() || !self.leads() { Vec::new() } else { self.in_sync(&learners).await }
    }

    /// Returns those of `ids` that have most of the log of this member, which is the leader.
    async fn in_sync(&self, ids: &[MemberId]) -> Vec<MemberId> {
        let progress = self.replica.progress().await;
        let matched = |id: MemberId| {
            progress.iter().find(|progress| progress.member == id.0).map_or(0, |progress| progress.matched)
        };
        let own = matched(self.replica.member_id());
        ids.iter().copied().filter(|id| membership::is_ready(matched(*id), own)).collect()
    }

    async fn add_member(&self, peer_urls: Vec<String>, is_learner: bool) -> Result<MemberAddResponse, Status> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // An id is made of the addresses and the second, so a member that was added and removed
        // within this second had the same one, and its id never comes back: the next second is as
        // good.
        let mut refusal = None;
        for second in now..now + SECONDS_TRIED {
            let id = membership::member_id(&peer_urls, "", Some(second.cast_signed()));
            if self.published().members().is_removed(id) {
                continue;
            }
            let member = Member { id, peer_urls: peer_urls.clone(), is_learner, ..Member::default() };
            match self.add_member_as(member).await {
                // It was removed, and this member has not applied that yet.
                Err(status) if status.code() == Code::NotFound => refusal = Some(status),
                added => return added,
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Status::unavailable("etcdserver: too many members were added and removed at these addresses")
        }))
    }

    async fn add_member_as(&self, member: Member) -> Result<MemberAddResponse, Status> {
        if self.settings.strict_reconfig_check {
            let connected = self.connected().await;
            self.check_members(|members| {
                may_add(members, &member, &connected).map_err(|rejection| rejection.to_status())
            })
            .await?;
        }
        let wire = member.to_wire();
        let members = self.change_members(ConfChange::Add(member)).await?;
        Ok(MemberAddResponse { header: Some(self.header_without_revision()), member: Some(wire), members })
    }
}

#[tonic::async_trait]
impl Cluster for Server {
    async fn member_add(&self, request: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        // Addresses are looked at before permissions, as in etcd.
        let peer_urls = membership::normalise(&request.get_ref().peer_ur_ls)
            .map_err(|_| Status::invalid_argument("etcdserver: given member URLs are invalid"))?;
        self.must_be_root(request.metadata())?;
        Ok(Response::new(self.add_member(peer_urls, request.get_ref().is_learner).await?))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.must_be_root(request.metadata())?;
        let members = self.remove_member(MemberId(request.into_inner().id)).await?;
        Ok(Response::new(MemberRemoveResponse { header: Some(self.header_without_revision()), members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        self.must_be_root(request.metadata())?;
        let request = request.into_inner();
        let members =
            self.change_members(ConfChange::Update { id: MemberId(request.id), peer_urls: request.peer_ur_ls }).await?;
        Ok(Response::new(MemberUpdateResponse { header: Some(self.header_without_revision()), members }))
    }

    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.permitted(request.metadata(), RequestClass::Authenticated)?;
        if request.get_ref().linearizable {
            self.barrier().await?;
        }
        let members = self.published().members().members().map(Member::to_wire).collect();
        Ok(Response::new(MemberListResponse { header: Some(self.header_without_revision()), members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        self.must_be_root(request.metadata())?;
        let token = token_of(request.metadata().as_ref()).and_then(as_text).map(str::to_owned);
        let members = self.promote_member(MemberId(request.into_inner().id), token.as_deref()).await?;
        Ok(Response::new(MemberPromoteResponse { header: Some(self.header_without_revision()), members }))
    }
}
