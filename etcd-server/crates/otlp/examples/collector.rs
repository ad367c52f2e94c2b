//! A collector that counts spans, to measure the cost of tracing beside it: `collector ADDRESS
//! takes|slow|hangs`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for measurements")]

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tonic::{Request, Response, Status};

struct Collector {
    mood: String,
    spans: AtomicUsize,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match &*self.mood {
            "slow" => tokio::time::sleep(Duration::from_secs(3)).await,
            "hangs" => std::future::pending().await,
            _ => {}
        }
        let scopes = request.get_ref().resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        println!("{} spans", self.spans.fetch_add(spans, Ordering::Relaxed) + spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap().parse().unwrap();
    let collector = Collector { mood: words.next().unwrap(), spans: AtomicUsize::new(0) };
    tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector)).serve(address).await.unwrap();
}
