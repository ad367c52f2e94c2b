//! The health service that every gRPC server is expected to have.

use crate::Server;
use proto::healthpb::health_check_response::ServingStatus;
use proto::healthpb::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use rpc::healthpb::health_server::Health;
use std::collections::HashMap;
use std::pin::Pin;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

/// The serving state of this member. Only the empty service name is known.
#[derive(Debug)]
pub struct HealthState {
    serving: watch::Sender<bool>,
}

impl Default for HealthState {
    fn default() -> Self {
        Self { serving: watch::Sender::new(true) }
    }
}

impl HealthState {
    fn set_serving(&self, serving: bool) {
        self.serving.send_replace(serving);
    }
}

impl Server {
    /// Logs that health checks find this member serving, which they do from its first response on.
    pub fn log_serving(&self) {
        tracing::info!(service = "", status = "SERVING", "grpc service status changed");
    }

    /// Reports to health checks from now on that this member does not serve, because it stops.
    pub fn stop_serving(&self) {
        tracing::warn!(
            service = "",
            status = "NOT_SERVING",
            reason = "the member stops",
            "grpc service status changed"
        );
        self.health.set_serving(false);
    }
}

fn response(serving: bool) -> HealthCheckResponse {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Server {
    type WatchStream = Pin<Box<dyn futures::Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(response(*self.health.serving.borrow())))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let statuses = HashMap::from([(String::new(), response(*self.health.serving.borrow()))]);
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if !request.get_ref().service.is_empty() {
            let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
            let stream = tokio_stream::once(Ok(unknown)).chain(futures::stream::pending());
            return Ok(Response::new(Box::pin(stream)));
        }
        Ok(Response::new(Box::pin(
            WatchStream::new(self.health.serving.subscribe()).map(|serving| Ok(response(serving))),
        )))
    }
}
