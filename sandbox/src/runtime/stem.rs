//! Which starts a stem cell can take the place of, and how a cell itself is started.

use std::path::PathBuf;

use super::node::heap_limit;
use super::plan::{Layout, StartPlan, base_environment};
use super::{Adapters, Interpreter, Interpreters, Missing, Runtime};

/// What a runtime has read by the time that it has booted, and does not read again: a function that sets such a variable
/// gets a process that was started with it.
const READ_AT_BOOT: [&str; 11] = [
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "ICU_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "NODE_",
    "OPENSSL_",
    "PYTHON",
    "UV_",
];

/// Cells of one kind are alike; what is told to one later could have been told to any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StemKind {
    /// Node, whose heap gets its limit when it is made: in MiB, none where sandboxes have no limit of memory.
    Node { heap_mib: Option<u64> },
    /// Python.
    Python,
}

impl StemKind {
    /// The kind that can become a function of `runtime`; `None` where none can: of runtimes that are not ours to boot, and of
    /// functions whose environment has something else than every cell has of what is read at boot.
    pub fn of(
        runtime: &Runtime,
        memory_bytes: Option<u64>,
        env: &[(String, String)],
    ) -> Option<Self> {
        let own = base_environment();
        let is_late = |(name, _): &&(String, String)| {
            READ_AT_BOOT.iter().any(|prefix| name.starts_with(prefix))
        };
        if env.iter().filter(is_late).any(|variable| !own.contains(variable)) {
            return None;
        }
        match runtime {
            Runtime::Node(_) => Some(Self::Node { heap_mib: memory_bytes.map(heap_limit) }),
            Runtime::Python(_) => Some(Self::Python),
            Runtime::Command { .. } => None,
        }
    }

    /// The runtime, as a manifest calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Node { .. } => "node",
            Self::Python => "python",
        }
    }

    fn interpreter(self, on: &Interpreters) -> Result<&Interpreter, Missing> {
        match self {
            Self::Node { .. } => on.node.as_ref().map_err(Clone::clone),
            Self::Python => on.python.as_ref().map_err(Clone::clone),
        }
    }
}

impl StartPlan {
    /// Plans a cell of that kind, and the folder of the host that is its package until it gets another: our adapters.
    ///
    /// # Errors
    /// When this machine lacks the interpreter.
    pub fn stem(
        kind: StemKind,
        interpreters: &Interpreters,
        adapters: &Adapters,
        layout: &Layout,
    ) -> Result<(Self, PathBuf), Missing> {
        let interpreter = kind.interpreter(interpreters)?;
        let adapter = |file: &str| layout.adapters.join(file).display().to_string();
        let mut argv = vec![interpreter.path.clone()];
        match kind {
            StemKind::Node { heap_mib } => {
                argv.extend(heap_mib.map(|mib| format!("--max-old-space-size={mib}")));
                argv.push(adapter("node/stem.cjs"));
            }
            StemKind::Python => {
                argv.extend(super::python::FLAGS.map(str::to_owned));
                argv.push(adapter("python/stem.py"));
            }
        }
        let mut read_only_mounts = interpreter.mounts.clone();
        read_only_mounts.push((adapters.dir.clone(), layout.adapters.clone()));
        let plan =
            Self { argv, env: base_environment(), read_only_mounts, inherits_listener: true };
        Ok((plan, adapters.dir.clone()))
    }

    /// An ordinary start, to be carried out by a cell: without the mounts that every cell of its kind has.
    #[must_use]
    pub fn in_stem(mut self, cell: &Self) -> Self {
        self.read_only_mounts.retain(|mount| !cell.read_only_mounts.contains(mount));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{NodeEntry, PythonEntry};

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_kind_is_what_cannot_be_changed_after_the_boot() {
        let node = Runtime::Node(NodeEntry::Main { script: "server.js".into() });
        let python =
            Runtime::Python(PythonEntry::App { module: "m".into(), attribute: "a".into() });
        let of = |runtime, memory| StemKind::of(runtime, memory, &base_environment());
        assert_eq!(of(&node, Some(128 * MIB)), Some(StemKind::Node { heap_mib: Some(128) }));
        assert_ne!(of(&node, Some(128 * MIB)), of(&node, Some(256 * MIB)));
        assert_eq!(of(&python, Some(128 * MIB)), of(&python, Some(256 * MIB)));
        assert_eq!(of(&Runtime::Command { argv: vec!["./server".into()] }, None), None);
    }

    #[test]
    fn a_function_that_sets_what_is_read_at_boot_gets_no_cell() {
        let node = Runtime::Node(NodeEntry::Main { script: "server.js".into() });
        let of = |name: &str| StemKind::of(&node, None, &[(name.to_owned(), "some".to_owned())]);
        for name in ["NODE_OPTIONS", "UV_THREADPOOL_SIZE", "LD_PRELOAD", "LC_ALL", "PYTHONPATH"] {
            assert_eq!(of(name), None, "{name}");
        }
        for name in ["HOME", "DATABASE_URL", "TZ", "PATH"] {
            assert!(of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_start_in_a_cell_is_the_ordinary_one_without_what_is_mounted() {
        let mounts = vec![("/opt/node".into(), "/opt/node".into())];
        let node = Interpreter { path: "/opt/node/bin/node".into(), version: (20, 1, 0), mounts };
        let missing = Missing::NotFound { program: "python3".into() };
        let interpreters = Interpreters { node: Ok(node), python: Err(missing) };
        let (adapters, layout) = (Adapters { dir: "/a".into() }, Layout::default());
        let kind = StemKind::Node { heap_mib: Some(64) };
        let planned = StartPlan::stem(kind, &interpreters, &adapters, &layout);
        let (cell, package) = planned.expect("there is a Node");
        let words = ["/opt/node/bin/node", "--max-old-space-size=64", "/hatchway/node/stem.cjs"];
        assert_eq!(cell.argv, words);
        assert_eq!(package, adapters.dir);
        assert!(StartPlan::stem(StemKind::Python, &interpreters, &adapters, &layout).is_err());
        let code = ("/var/code".into(), "/hatchway-code".into());
        let mut start = cell.clone();
        start.read_only_mounts.push(code);
        let start = start.in_stem(&cell);
        assert_eq!(start.read_only_mounts, [("/var/code".into(), "/hatchway-code".into())]);
        assert_eq!(start.argv, cell.argv);
    }
}
