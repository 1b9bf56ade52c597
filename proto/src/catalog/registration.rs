//! What a node says of itself, under a lease: whoever is gone says nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All nodes that are registered, by name.
pub type Nodes = BTreeMap<String, Registration>;

/// A node, in its own words. Fields that a later version adds are skipped by this one: gateways and nodes are not replaced in
/// the same moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Registration {
    /// Where gateways connect: `IP:PORT` or `unix:/path`.
    pub address: String,
    /// What it drew when it started, in hex, as the greeting of a link has it.
    pub instance: String,
    /// `zone`, `set`, `lane`, or any other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Memory that its sandboxes may use together, in MiB.
    pub capacity_mib: u32,
    /// Which it can start: `command`, `node`, `python`.
    #[serde(default)]
    pub runtimes: Vec<String>,
    /// Steps of the isolation that its machine does not give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_isolation: Vec<String>,
    /// It takes nothing new.
    #[serde(default)]
    pub is_draining: bool,
    /// Of its program.
    #[serde(default)]
    pub version: String,
    /// Packages that it could not get, by digest, each with the reason: some of them, where there are many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_packages: BTreeMap<String, String>,
}

impl Registration {
    /// The instance as the link has it; none where it is no such number.
    pub fn instance(&self) -> Option<u128> {
        u128::from_str_radix(&self.instance, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_adds_is_skipped_and_what_is_usual_need_not_be_said() {
        let text = r#"{"address": "10.0.0.7:8090", "instance": "ff", "capacity_mib": 6144, "moon": "full"}"#;
        let node: Registration = serde_json::from_str(text).expect("it is one");
        assert_eq!((node.instance(), node.is_draining), (Some(255), false));
        assert_eq!(Registration { instance: "x".into(), ..node }.instance(), None);
        assert!(serde_json::from_str::<Registration>(r#"{"address": "10.0.0.7:8090"}"#).is_err());
    }
}
