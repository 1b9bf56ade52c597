//! One build of a function: what is started, with what, and for how long.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::egress::Egress;
use super::warmup::Warmup;
use crate::name::FunctionName;
use crate::seldom::Seldom;
use crate::units;

/// One immutable build of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Whose build it is.
    pub function: FunctionName,
    /// Where its files are.
    pub package: Package,
    /// How it is started.
    pub runtime: Runtime,
    /// What it may use.
    pub resources: Resources,
    /// Requests that one sandbox may run at a time, 1..=65535.
    pub concurrency: u16,
    /// Sandboxes kept even when idle.
    pub min: u32,
    /// Sandboxes at most on one node, at least 1.
    pub max: u32,
    /// How long an idle sandbox is kept.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// The five clocks.
    pub clocks: Clocks,
    /// Environment beside what the platform sets.
    #[serde(default)]
    pub env: Seldom<BTreeMap<String, String>>,
    /// What network the sandbox sees.
    #[serde(default)]
    pub network: Network,
    /// Where its node's proxy lets it go; only where that is its network.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub egress: Seldom<Vec<Egress>>,
    /// What its server speaks.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// A folder inside the package whose files are answered without starting the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<String>,
    /// What it is asked before it is forked; only where its runtime is `node`.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub warmup: Seldom<Vec<Warmup>>,
}

/// Where a version's files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// A folder on the node, mounted read-only into the sandbox as it is. Where there is none, the nodes fetch the package
    /// from their store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// SHA-256 in hex: of a folder's content, or of the packed bytes in the store, which are named by it.
    pub digest: String,
}

/// How a version's process is started and what it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Runtime {
    /// A JavaScript function `export(ctx, ...args)`.
    NodeHandler {
        /// Module file, relative to the package.
        module: String,
        /// Name of the export.
        export: String,
    },
    /// An unmodified JavaScript HTTP server.
    NodeMain {
        /// Script, relative to the package.
        script: String,
    },
    /// A Python function `attribute(ctx, *args)`.
    PythonHandler {
        /// Module file, relative to the package.
        module: String,
        /// Name of the function in it.
        attribute: String,
    },
    /// A WSGI or ASGI application.
    PythonApp {
        /// Dotted module name.
        module: String,
        /// Name of the application in it.
        attribute: String,
    },
    /// Any HTTP server that listens on `$PORT` or on `$HATCHWAY_SOCKET`.
    Command {
        /// Program and arguments; a relative program is looked up in the package.
        argv: Vec<String>,
    },
}

impl Runtime {
    /// The manifest's word for it: `node`, `python` or `command`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NodeHandler { .. } | Self::NodeMain { .. } => "node",
            Self::PythonHandler { .. } | Self::PythonApp { .. } => "python",
            Self::Command { .. } => "command",
        }
    }
}

/// What one sandbox may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: u32,
    /// Memory, page cache of its own files included.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Open descriptors of one process.
    pub files: u64,
    /// Size of the private `/tmp`.
    pub tmp_bytes: u64,
}

/// Five clocks, each named in the error when it runs out. The function's own time never pays for the
/// platform's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// Waiting for a slot while every sandbox is busy.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub queue: Duration,
    /// From the order to hatch until the process can answer.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub start: Duration,
    /// From the head handed to the function until the head of its answer.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub first_byte: Duration,
    /// Between two moves of either body.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub idle: Duration,
    /// The whole run in the function, from the head handed over to the last byte.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub run: Duration,
}

/// What a function's server speaks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3): gRPC for example.
    H2c,
}

impl Protocol {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What network a sandbox sees.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// A namespace of its own with nothing but its loopback.
    #[default]
    None,
    /// The same, and on its loopback a proxy of the node that leads where `egress` says.
    EgressProxy,
    /// The node's own network.
    Open,
}
