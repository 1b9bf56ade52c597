//! The one protocol that a connection may leave HTTP/1.1 for.
//!
//! An allow-list: `h2c` behind a gateway carries requests that the gateway never sees (request smuggling by
//! upgrade), and whoever wants another protocol can be asked for its name first.

use hatchway_proto::http1::{RequestHead, ResponseHead};

const WEBSOCKET: &str = "websocket";

/// What a request asks for, where that is offered (RFC 6455 section 4.1). A list of protocols is not.
pub fn asked<'b>(head: &RequestHead<'b>) -> Option<&'b str> {
    head.upgrade.filter(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
}

/// What an answer switches to, where that can have been asked for.
pub fn granted<'b>(head: &ResponseHead<'b>) -> Option<&'b str> {
    head.upgrade.filter(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
}
