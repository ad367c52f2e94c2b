//! Calls by name: requests and answers as JSON, turned to bytes and back by the descriptors of
//! `proto`.
//!
//! Not by the generated stubs, because a program names its methods and carries its requests as
//! text; so every method that the `.proto` files know can be called without a line per method.

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use testbed::RawCodec;
use tonic::{Request, Status, Streaming, client::Grpc, transport::Channel};

/// Largest answer that we take.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// All methods of the `.proto` files.
#[derive(Debug, Clone)]
pub struct Wire {
    pool: DescriptorPool,
}

/// A request that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The descriptors do not fit together.
    #[error("read the descriptors: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// No such service and method.
    #[error("no method {0}")]
    Method(String),
    /// The JSON is not the request of that method.
    #[error("request of {method}: {source}")]
    Request { method: String, source: serde_json::Error },
}

/// The response of a server to one call.
#[derive(Debug, Clone)]
pub(crate) enum WireResponse {
    Ok(Value),
    Error(Status),
}

impl Wire {
    /// Reads the descriptors.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn new() -> Result<Self, WireError> {
        Ok(Self { pool: DescriptorPool::decode(proto::DESCRIPTORS)? })
    }

    /// Looks up `KV/Range` in whichever package has it.
    pub(crate) fn method(&self, name: &str) -> Result<MethodDescriptor, WireError> {
        let found = name.split_once('/').and_then(|(service, method)| {
            let service = self.pool.services().find(|candidate| candidate.name() == service)?;
            service.methods().find(|candidate| candidate.name() == method)
        });
        found.ok_or_else(|| WireError::Method(name.to_owned()))
    }

    /// A request as it goes over the wire.
    pub(crate) fn encode_request(&self, name: &str, request: &Value) -> Result<Bytes, WireError> {
        let message = DynamicMessage::deserialize(self.method(name)?.input(), request)
            .map_err(|source| WireError::Request { method: name.to_owned(), source })?;
        Ok(message.encode_to_vec().into())
    }

    /// Sends one request and takes the first response. Errors of the server, or of the connection
    /// to it, are an [`WireResponse`].
    pub(crate) async fn call(
        &self,
        channel: &Channel,
        name: &str,
        token: Option<&str>,
        request: &Value,
    ) -> Result<WireResponse, WireError> {
        let method = self.method(name)?;
        let bytes = self.encode_request(name, request)?;
        let answers = self.all_answers(channel, &method, token, bytes).await;
        Ok(match answers {
            Ok(answers) if method.is_server_streaming() && !method.is_client_streaming() => {
                WireResponse::Ok(Value::Array(answers))
            }
            Ok(mut answers) => WireResponse::Ok(answers.pop().unwrap_or(Value::Null)),
            Err(status) => WireResponse::Error(status),
        })
    }

    /// All answers of a server stream; one answer of any other method.
    async fn all_answers(
        &self,
        channel: &Channel,
        method: &MethodDescriptor,
        token: Option<&str>,
        bytes: Bytes,
    ) -> Result<Vec<Value>, Status> {
        let mut client = client(channel);
        client.ready().await.map_err(|error| Status::unavailable(format!("connection: {error}")))?;
        let path = path(method);
        let read = |bytes: Bytes| self.to_json(method, &bytes);
        if !method.is_server_streaming() {
            return Ok(vec![read(client.unary(with_token(bytes, token), path, RawCodec).await?.into_inner())?]);
        }
        let mut stream = if method.is_client_streaming() {
            let requests = tokio_stream::iter([bytes]);
            client.streaming(with_token(requests, token), path, RawCodec).await?.into_inner()
        } else {
            client.server_streaming(with_token(bytes, token), path, RawCodec).await?.into_inner()
        };
        let mut answers = Vec::new();
        while let Some(bytes) = stream.message().await? {
            answers.push(read(bytes)?);
            if method.is_client_streaming() {
                break;
            }
        }
        Ok(answers)
    }

    fn to_json(&self, method: &MethodDescriptor, bytes: &Bytes) -> Result<Value, Status> {
        let message = DynamicMessage::decode(method.output(), bytes.clone())
            .map_err(|error| Status::internal(error.to_string()))?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map_err(|error| Status::internal(error.to_string()))
    }

    /// Opens a stream of requests and answers in raw bytes. Returns when the server sends its first
    /// answer.
    pub(crate) async fn open(
        &self,
        channel: &Channel,
        name: &str,
        token: Option<&str>,
        requests: impl tokio_stream::Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let method = self.method(name).map_err(|error| Status::internal(error.to_string()))?;
        let mut client = client(channel);
        client.ready().await.map_err(|error| Status::unavailable(format!("connection: {error}")))?;
        Ok(client.streaming(with_token(requests, token), path(&method), RawCodec).await?.into_inner())
    }
}

fn client(channel: &Channel) -> Grpc<Channel> {
    Grpc::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX).max_encoding_message_size(ANSWER_BYTES_MAX)
}

fn path(method: &MethodDescriptor) -> PathAndQuery {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    PathAndQuery::try_from(path).expect("protobuf names are valid in a path")
}

fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token.and_then(|token| token.parse().ok()) {
        request.metadata_mut().insert("token", token);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_programs_name_is_found() {
        let wire = Wire::new().unwrap();
        for name in
            ["KV/Range", "Lease/LeaseKeepAlive", "Auth/UserAdd", "Lock/Lock", "Election/Campaign", "Health/Check"]
        {
            assert!(wire.method(name).is_ok(), "{name}");
        }
        assert!(wire.method("KV/Dance").is_err());
    }

    #[test]
    fn an_enum_value_that_nobody_knows_can_be_sent() {
        let method = Wire::new().unwrap().method("KV/Range").unwrap();
        let request = serde_json::json!({"key": "YQ==", "sort_order": 99, "revision": "-3"});
        assert!(DynamicMessage::deserialize(method.input(), &request).is_ok());
    }
}
