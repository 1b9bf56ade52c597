//! A client that knows what became of each call.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_tests::Raw;

/// What became of a call, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function's answer to this very call.
    Served,
    /// The platform's answer, and its reason.
    Refused { status: u16, reason: String },
    /// Nobody listens: the call was not sent.
    Unsent(String),
    /// The connection ended before a whole answer.
    Cut(String),
    /// An answer that is none to this call.
    Wrong(String),
}

/// A client with a connection that it keeps.
#[derive(Debug)]
pub(crate) struct Caller {
    gateway: SocketAddr,
    connection: Option<Raw>,
}

/// The longest that a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(40);

impl Caller {
    /// Of a gateway.
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        Self { gateway, connection: None }
    }

    /// Calls function `function`, which takes `ms` for it.
    pub(crate) fn call(&mut self, function: usize, call: u64, ms: u64) -> Outcome {
        // One that the gateway has closed meanwhile is not used again.
        let mut connection = match self.connection.take().filter(Raw::is_quiet) {
            Some(connection) => connection,
            None => match Raw::try_connect(self.gateway, PATIENCE) {
                Ok(connection) => connection,
                Err(error) => return Outcome::Unsent(error.to_string()),
            },
        };
        match exchange(&mut connection, function, call, ms) {
            Ok((outcome, is_kept)) => {
                self.connection = is_kept.then_some(connection);
                outcome
            }
            Err(error) => Outcome::Cut(error.to_string()),
        }
    }
}

/// A POST, which nobody on the way may send twice. Also says whether the connection stays.
fn exchange(
    connection: &mut Raw,
    function: usize,
    call: u64,
    ms: u64,
) -> io::Result<(Outcome, bool)> {
    let request = format!(
        "POST /f{function}?id={call}&ms={ms} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
    );
    connection.try_send(request.as_bytes())?;
    let head = connection.try_head()?;
    let length = head.field("content-length").parse().map_err(io::Error::other)?;
    let body = connection.exactly(length)?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    let outcome = if head.status == 200 && body["id"].as_str() == Some(&*call.to_string()) {
        Outcome::Served
    } else if let Some(reason) = body["reason"].as_str() {
        Outcome::Refused { status: head.status, reason: reason.to_owned() }
    } else {
        Outcome::Wrong(format!("{} {body}", head.status))
    };
    Ok((outcome, !head.field("connection").eq_ignore_ascii_case("close")))
}
