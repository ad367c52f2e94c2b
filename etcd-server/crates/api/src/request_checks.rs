//! Checks of every call before its service sees it, in etcd's order: this member is able to serve,
//! it is more than a learner, the client's version is readable, there is a leader for clients that
//! require one.
//!
//! Unknown methods are not checked, as in etcd. Only the message shows whether a learner's range is
//! serializable, so the KV service checks that.

use crate::Server;
use crate::fields::{Field, Fields};
use crate::message_limit::{LimitedBody, Messages};
use bytes::Bytes;
use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use std::convert::Infallible;
use std::task::{Context, Poll};
use telemetry::metrics::{CallType, Method};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

/// The calls that a learner serves.
const OF_LEARNERS: [&str; 3] =
    ["/etcdserverpb.Maintenance/Status", "/etcdserverpb.KV/Range", "/etcdserverpb.Maintenance/Snapshot"];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// All services behind the checks; cloned for every connection.
#[derive(Clone, Debug)]
pub(crate) struct RequestChecks {
    server: Server,
    routes: Routes,
}

impl RequestChecks {
    pub(crate) fn new(server: Server, routes: Routes) -> Self {
        Self { server, routes }
    }
}

impl Server {
    /// Checks whether this member takes a call at all.
    pub(crate) fn check_call(&self, path: &[u8], headers: &dyn Fields) -> Result<(), Status> {
        let members = self.published().members();
        if members.cluster_version().is_none() {
            return Err(Status::failed_precondition("etcdserver: not capable"));
        }
        if self.is_learner() && !OF_LEARNERS.iter().any(|served| served.as_bytes() == path) {
            return Err(crate::status::not_for_learners());
        }
        if headers.get(Field::ClientApiVersion).is_some_and(|version| std::str::from_utf8(version).is_err()) {
            return Err(Status::invalid_argument("etcdserver: invalid client api version"));
        }
        let insists = headers.get(Field::HasLeader) == Some(b"true");
        if insists && self.published().raft_status().leader == 0 {
            return Err(Status::unavailable("etcdserver: no leader"));
        }
        Ok(())
    }
}

/// The status of a call that no service takes, as grpc-go gives it (server.go, handleStream).
fn unknown_method(path: &str) -> Status {
    let Some((service, method)) = path.strip_prefix('/').unwrap_or(path).rsplit_once('/') else {
        return Status::unimplemented(format!("malformed method name: \"{path}\""));
    };
    if is_service(service) {
        Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}

/// Returns `true` if some method of this service is served.
fn is_service(name: &str) -> bool {
    Method::ALL.iter().any(|method| method.service() == name)
}

impl<B> Service<Request<B>> for RequestChecks
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        Either<Ready<Result<Response<Body>, Infallible>>, <Routes as Service<Request<LimitedBody<B>>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Routes as Service<Request<LimitedBody<B>>>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let Some(method) = Method::from_path(path) else {
            return Either::Left(ready(Ok(unknown_method(path).into_http())));
        };
        if let Err(status) = self.server.check_call(request.uri().path().as_bytes(), request.headers()) {
            return Either::Left(ready(Ok(status.into_http())));
        }
        let limit = self.server.settings.message_bytes_max;
        let messages = match method.call_type() {
            CallType::Unary | CallType::ServerStream => Messages::One,
            CallType::BidiStream => Messages::Any,
        };
        Either::Right(self.routes.call(request.map(|body| LimitedBody::new(body, limit, messages))))
    }
}
