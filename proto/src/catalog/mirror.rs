//! Copies of requests for a version that answers nobody.

use serde::{Deserialize, Serialize};

use crate::name::{FunctionName, VersionId};

/// The longest body that may be copied, in bytes.
pub const MIRROR_BODY_BYTES: u32 = 1 << 20;

/// A copy of a part of the requests, once each was answered: its answer is thrown away. It is marked by `hatchway-mirror: 1`, counted
/// by itself, never tried again, and lost where it would make others wait. Requests that become web sockets are not copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// A version of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Or another function of the same tenant, by its stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionName>,
    /// Hundredths of a percent of the requests, 0..=10000; all of them when absent.
    #[serde(default = "all")]
    pub basis_points: u16,
    /// A request with a longer body, framing included, is not copied; at most 1 MiB, 64 KiB when absent.
    #[serde(default = "some")]
    pub max_body_bytes: u32,
}

fn all() -> u16 {
    super::BASIS_POINTS
}

fn some() -> u32 {
    64 * 1024
}
