//! What takes the place of a failure of the platform.

use serde::{Deserialize, Serialize};

use crate::name::FunctionName;

/// The longest body of a static answer, in bytes.
pub const DEGRADE_BODY_BYTES: usize = 64 * 1024;

/// What a client gets in the place of a failure, while nothing was sent to it. Its `Proxy-Status` says
/// `proxy_internal_response`, with the failure's name. The function is asked first where both are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Degrade {
    /// Failures by the names that `Proxy-Status`, metrics and logs have for them, such as `no-room`, `start-clock` or `oom`;
    /// `any` stands for all of them.
    pub on: Vec<String>,
    /// Another function of the same tenant, whose stable version gets the request as this one would have. Only while no byte
    /// of it can have reached a function, and with a node in another process only where the request has no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionName>,
    /// An answer that is always there. Not for calls of gRPC, whose clients would not understand it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<StaticAnswer>,
}

/// An answer that is the same for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticAnswer {
    /// 200 to 599.
    pub status: u16,
    /// Plain text when absent.
    #[serde(default = "plain")]
    pub content_type: String,
    /// At most 64 KiB.
    #[serde(default)]
    pub body: String,
}

fn plain() -> String {
    "text/plain; charset=utf-8".to_owned()
}

impl Degrade {
    /// Whether it is for a failure.
    pub fn is_for(&self, reason: &str) -> bool {
        self.on.iter().any(|on| on == "any" || on == reason)
    }
}
