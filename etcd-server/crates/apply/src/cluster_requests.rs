//! Requests on the cluster as a whole: its version, its members' attributes, a downgrade under way.

use crate::applied::ApplyResponse;
use crate::state::{Context, Outcome, State};
use membership::Downgrade;
use proto::membershippb::{ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest};
use schema::View;
use types::MemberId;

impl State {
    pub(crate) fn cluster_version_set<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &ClusterVersionSetRequest,
    ) -> Outcome {
        self.members.set_cluster_version(&request.ver, self.settings.own_version, context.batch)?;
        Ok(Ok(ApplyResponse::Done))
    }

    pub(crate) fn member_attributes_set<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &ClusterMemberAttrSetRequest,
    ) -> Outcome {
        let attributes = request.member_attributes.clone().unwrap_or_default();
        self.members.set_attributes(
            MemberId(request.member_id),
            &attributes.name,
            &attributes.client_urls,
            context.batch,
        )?;
        Ok(Ok(ApplyResponse::Done))
    }

    pub(crate) fn downgrade_set<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &DowngradeInfoSetRequest,
    ) -> Outcome {
        self.members.set_downgrade(Downgrade::from_request(request), context.batch);
        Ok(Ok(ApplyResponse::Done))
    }
}
