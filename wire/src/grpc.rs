//! Failures of ours, in the way that the client understands: of HTTP, or of gRPC.

use hatchway_proto::failure::Failure;
use hatchway_proto::grpc::{Status, encode_message};

use crate::backend::answer_failure;
use crate::http1::{Answer, Request};

/// The answer that tells the client of `request` of a failure. A client of gRPC looks for a status behind an answer that is
/// well otherwise, and takes any other for a broken server.
pub fn answer(failure: &Failure, request_id: &str, request: &Request) -> Answer {
    if !request.is_grpc {
        return answer_failure(failure, request_id);
    }
    Answer::new(200, Vec::new())
        .with("content-type", "application/grpc")
        .with("grpc-status", Status::of(failure).code().to_string())
        .with("grpc-message", encode_message(&failure.detail))
        .with("proxy-status", failure.proxy_status())
        .with("x-request-id", request_id.to_owned())
}
