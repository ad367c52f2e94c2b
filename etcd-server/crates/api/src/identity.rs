//! The identity of a caller, from the metadata of a request.

use crate::Server;
use crate::fields::{Field, Fields, as_text};
use crate::status::ToStatus as _;
use auth::{Identity, RequestClass};
use std::borrow::Cow;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// The caller, as far as it is known yet. Defects of the request itself are reported before the
/// caller is identified, as in etcd.
#[derive(Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// Found out before.
    Known(&'a Identity),
    /// The identity claimed by the headers.
    Claimed(&'a dyn Fields),
}

/// Returns the token of a client, as it was sent.
pub(crate) fn token_of(headers: &dyn Fields) -> Option<&[u8]> {
    headers.get(Field::Token).or_else(|| headers.get(Field::Authorization))
}

impl Server {
    /// Identifies the caller.
    pub(crate) fn identify<'a>(&self, caller: Caller<'a>) -> Result<Cow<'a, Identity>, Status> {
        match caller {
            Caller::Known(identity) => Ok(Cow::Borrowed(identity)),
            Caller::Claimed(headers) => {
                self.identity_of(headers).map(Cow::Owned).map_err(|refusal| refusal.to_status())
            }
        }
    }

    /// Returns the identity behind a request. Anonymous is an identity too: the request decides
    /// whether that is sufficient.
    pub(crate) fn identity(&self, metadata: &MetadataMap) -> Result<Identity, Status> {
        self.identity_of(metadata.as_ref()).map_err(|refusal| refusal.to_status())
    }

    /// The same from the bare fields, with the refusal itself.
    pub(crate) fn identity_of(&self, headers: &dyn Fields) -> Result<Identity, auth::AuthError> {
        let store = self.replica.published().auth();
        if !store.enabled() {
            return Ok(Identity::default());
        }
        let Some(token) = token_of(headers) else {
            return Ok(self.certified(headers, store.auth_revision()));
        };
        let token = auth::strip_bearer(as_text(token).ok_or(auth::AuthError::InvalidAuthToken)?);
        self.tokens.identity_of(token, store.auth_revision(), self.replica.clock().now())
    }

    /// The user that the connection's certificate names. A gateway's own certificate is not its
    /// clients' (CVE-2018-16886).
    fn certified(&self, headers: &dyn Fields, auth_revision: u64) -> Identity {
        match &self.common_name {
            Some(name) if headers.get(Field::GatewayAccept).is_none() => Identity::new(&**name, auth_revision),
            Some(_) | None => Identity::default(),
        }
    }

    /// The identity behind a request, which must be allowed to ask for this class.
    pub(crate) fn permitted(&self, metadata: &MetadataMap, class: RequestClass<'_>) -> Result<Identity, Status> {
        let identity = self.identity(metadata)?;
        self.replica.published().auth().permit(&identity, class).map_err(|refusal| refusal.to_status())?;
        Ok(identity)
    }

    /// Returns the identity if it is root. An identity that no longer exists has no permission.
    pub(crate) fn must_be_root(&self, metadata: &MetadataMap) -> Result<Identity, Status> {
        self.permitted(metadata, RequestClass::Root).map_err(|status| {
            if status.code() == Code::FailedPrecondition {
                auth::AuthError::PermissionDenied.to_status()
            } else {
                status
            }
        })
    }

    /// Checks whether this token permits changes of the cluster, for another member that received
    /// the request.
    pub fn may_manage(&self, token: Option<&str>) -> Result<(), Status> {
        let mut metadata = MetadataMap::new();
        if let Some(token) = token.and_then(|token| token.parse().ok()) {
            metadata.insert("token", token);
        }
        self.must_be_root(&metadata).map(drop)
    }

    /// Checks after a read that permissions have not changed meanwhile; otherwise its result may
    /// not be returned.
    pub(crate) fn still_current(&self, identity: &Identity) -> Result<(), Status> {
        let store = self.replica.published().auth();
        if store.enabled() && !identity.user.is_empty() && identity.auth_revision != store.auth_revision() {
            return Err(auth::AuthError::AuthOldRevision.to_status());
        }
        Ok(())
    }
}
