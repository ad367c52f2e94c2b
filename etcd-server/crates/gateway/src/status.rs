//! Failed calls as HTTP: the table of status codes and the JSON of an error.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use tonic::Code;

use crate::response::{Body, JSON, respond};

/// The failure of a call: gRPC's code and text, which clients compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl RpcError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into() }
    }

    pub(crate) fn deadline_exceeded() -> RpcError {
        RpcError::new(Code::DeadlineExceeded, "context deadline exceeded")
    }

    /// The whole answer of a unary call that failed.
    pub(crate) fn into_response(self) -> Response<Body> {
        let status = http_status(self.code);
        self.into_response_with(status)
    }

    /// As `into_response`, where HTTP has a better status than the table.
    pub(crate) fn into_response_with(self, status: StatusCode) -> Response<Body> {
        let mut response = respond(status, JSON, self.json(", "));
        if self.code == Code::Unauthenticated
            && let Ok(challenge) = HeaderValue::from_str(&self.message)
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// The last line of a stream that failed.
    pub(crate) fn stream_line(&self) -> String {
        format!("{{\"error\":{}}}\n", self.json(","))
    }

    /// An empty text is left out, as protobuf's JSON mapping does.
    fn json(&self, comma: &str) -> String {
        let code = i32::from(self.code);
        if self.message.is_empty() {
            return format!("{{\"code\":{code}}}");
        }
        format!("{{\"code\":{code}{comma}\"message\":{}}}", serde_json::Value::from(self.message.as_str()))
    }
}

impl From<tonic::Status> for RpcError {
    fn from(status: tonic::Status) -> RpcError {
        RpcError::new(status.code(), status.message())
    }
}

/// The HTTP status of each gRPC code (grpc-gateway v2, runtime/errors.go).
pub(crate) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status() {
        let statuses: Vec<u16> = (0..=16).map(|code| http_status(Code::from_i32(code)).as_u16()).collect();
        assert_eq!(statuses, [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]);
    }

    #[test]
    fn error_bodies() {
        let error = RpcError::new(Code::NotFound, "say \"no\"");
        assert_eq!(error.json(", "), r#"{"code":5, "message":"say \"no\""}"#);
        assert_eq!(error.stream_line(), "{\"error\":{\"code\":5,\"message\":\"say \\\"no\\\"\"}}\n");
        assert_eq!(RpcError::new(Code::Unknown, "").json(", "), r#"{"code":2}"#);
    }
}
