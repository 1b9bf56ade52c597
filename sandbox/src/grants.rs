//! What this machine gives to a sandbox, found out once when the spawner starts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::steps::Step;

/// Who enforces memory, CPU and process limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// Control groups of version 2.
    V2,
    /// Controllers of version 1.
    V1,
    /// Limits by version 1, and a leaf in a version 2 tree without controllers for an
    /// atomic kill.
    Hybrid,
    /// Nobody: only resource limits of the process itself.
    None,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "cgroup v2",
            Self::V1 => "cgroup v1",
            Self::Hybrid => "cgroup v1 with v2 leaves",
            Self::None => "no cgroup",
        })
    }
}

/// One step of isolation, and whether this machine lets us take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub step: Step,
    /// Why the step cannot be taken; `None` when it can.
    pub missing: Option<String>,
}

/// Everything a sandbox will and will not get on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    pub backend: Backend,
    /// Every step once, in the order in which a sandbox takes them.
    pub steps: Vec<Grant>,
}

impl Grants {
    /// True when every sandbox on this machine takes `step`.
    pub fn has(&self, step: Step) -> bool {
        self.steps.iter().any(|grant| grant.step == step && grant.missing.is_none())
    }

    /// The steps that this machine does not give, each with its reason.
    pub fn missing(&self) -> impl Iterator<Item = (Step, &str)> {
        self.steps.iter().filter_map(|grant| Some((grant.step, grant.missing.as_deref()?)))
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.backend)?;
        for (step, why) in self.missing() {
            write!(f, "; without {step}: {why}")?;
        }
        Ok(())
    }
}
