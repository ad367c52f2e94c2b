//! Calls by name: any method with an encoded request, by gRPC or by JSON, and the first thing that
//! is answered.

use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage};
use std::sync::LazyLock;
use testbed::RawCodec;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tonic::transport::Channel;
use tonic::{Request, Status};

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).unwrap());

/// A method and its request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) request: Vec<u8>,
}

impl Call {
    /// The first message of the answer, or the status instead of it.
    pub(crate) async fn by_grpc(
        &self,
        channel: &Channel,
        metadata: &[(&'static str, String)],
    ) -> Result<Bytes, Status> {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(tokio_stream::once(Bytes::from(self.request.clone())));
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let path = format!("/{}/{}", self.service, self.method).try_into().unwrap();
        let mut responses = grpc.streaming(request, path, RawCodec).await?.into_inner();
        Ok(responses.message().await?.unwrap_or_default())
    }

    /// Returns the path of the JSON form of the method; a few have none.
    pub(crate) fn path(&self) -> Option<&'static str> {
        let binding =
            gateway::BINDINGS.iter().find(|binding| binding.service == self.service && binding.method == self.method);
        binding.map(|binding| binding.path)
    }

    /// The request as JSON.
    pub(crate) fn json(&self) -> String {
        let service = DESCRIPTORS.get_service_by_name(self.service).unwrap();
        let method = service.methods().find(|method| method.name() == self.method).unwrap();
        let message = DynamicMessage::decode(method.input(), &self.request[..]).unwrap();
        serde_json::to_string(&message).unwrap()
    }

    /// The whole answer of the JSON form over a fresh connection, of a stream its first line.
    pub(crate) async fn by_json(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        headers: &[(&'static str, String)],
    ) -> String {
        let path = self.path().expect("only methods with a path are asked by JSON");
        post_json(stream, path, headers, &self.json()).await
    }
}

/// Posts JSON and returns the response, status line and all; of a stream as far as its first line.
pub(crate) async fn post_json(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    headers: &[(&'static str, String)],
    body: &str,
) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    // A request that is refused early may not be read to the end.
    let mut sent = stream.write_all(request.as_bytes()).await;
    if sent.is_ok() {
        // Bytes written to an encrypted stream may wait in it.
        sent = stream.flush().await;
    }
    let mut response = Vec::new();
    let mut piece = vec![0; 16 << 10];
    let ended = loop {
        match stream.read(&mut piece).await {
            Ok(0) => break Ok(()),
            Err(error) => break Err(error),
            Ok(count) => response.extend_from_slice(&piece[..count]),
        }
        let text = String::from_utf8_lossy(&response);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if body
            .is_some_and(|body| body.contains("{\"result\":") && body.contains("}\n") || body.contains("\"grpc_code\""))
        {
            break Ok(());
        }
    };
    let response = String::from_utf8_lossy(&response).into_owned();
    assert!(!response.is_empty(), "{path}: no answer; sent: {sent:?}, read: {ended:?}");
    response
}
