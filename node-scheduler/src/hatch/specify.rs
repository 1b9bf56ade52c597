//! What a version asks for, in the words of the sandbox, which knows no catalog.

use hatchway_proto::catalog::{self, Version};
use hatchway_proto::name::VersionId;
use hatchway_sandbox::runtime::{
    self, Assignment, NodeEntry, PythonEntry, Runtime, StartPlan, StemKind,
};
use hatchway_sandbox::{Entry, Network, SandboxSpec};

use crate::package::Held;

/// For whom, and within which limits.
pub(super) fn assign<'a>(
    version_id: &'a VersionId,
    version: &'a Version,
    sandbox: &'a str,
) -> Assignment<'a> {
    Assignment {
        tenant: version.function.tenant(),
        function: version.function.name(),
        version: version_id.as_str(),
        sandbox,
        concurrency: version.concurrency.into(),
        memory_bytes: Some(version.resources.memory_bytes),
        env: &version.env,
    }
}

pub(super) fn specify(
    id: u64,
    version_id: &VersionId,
    version: &Version,
    (package, plan): (&Held, StartPlan),
) -> SandboxSpec {
    let resources = &version.resources;
    SandboxSpec {
        id,
        name: format!("{}@{version_id}", version.function),
        argv: plan.argv,
        env: plan.env,
        package: package.root.clone(),
        read_only: plan.read_only_mounts,
        memory_bytes: resources.memory_bytes,
        cpu_millis: resources.cpu_millis,
        pids: resources.pids,
        files: resources.files,
        tmp_bytes: resources.tmp_bytes,
        network: network(version),
        entry: if plan.inherits_listener {
            Entry::Inherited
        } else {
            Entry::Probed { port: runtime::PORT }
        },
    }
}

/// What the plan has to tell of the way out.
pub(super) fn through_network(version: &Version, plan: StartPlan) -> StartPlan {
    match version.network {
        catalog::Network::EgressProxy => plan.through_proxy(),
        catalog::Network::None | catalog::Network::Open => plan,
    }
}

pub(super) fn network(version: &Version) -> Network {
    match version.network {
        catalog::Network::None => Network::None,
        catalog::Network::EgressProxy => Network::Proxied,
        catalog::Network::Open => Network::Open,
    }
}

/// The kind of stem cell that starts of a version could want, whatever its environment says.
pub(crate) fn stem_kind(version: &Version) -> Option<StemKind> {
    let has_cells = network(version) != Network::Open;
    let memory_bytes = Some(version.resources.memory_bytes);
    StemKind::of(&described(&version.runtime), memory_bytes, &[]).filter(|_| has_cells)
}

/// The catalog's runtime in the words of the sandbox crate, which knows no catalog.
pub(super) fn described(runtime: &catalog::Runtime) -> Runtime {
    match runtime.clone() {
        catalog::Runtime::NodeHandler { module, export } => {
            Runtime::Node(NodeEntry::Handler { module, export })
        }
        catalog::Runtime::NodeMain { script } => Runtime::Node(NodeEntry::Main { script }),
        catalog::Runtime::PythonHandler { module, attribute } => {
            Runtime::Python(PythonEntry::Handler { module_path: module, attribute })
        }
        catalog::Runtime::PythonApp { module, attribute } => {
            Runtime::Python(PythonEntry::App { module, attribute })
        }
        catalog::Runtime::Command { argv } => Runtime::Command { argv },
    }
}
