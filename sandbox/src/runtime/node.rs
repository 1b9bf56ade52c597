//! Runtime `node`: a plain handler behind our adapter, or an unmodified server script.
//!
//! Flags: none of V8's start-up flags helps here (`--jitless`, `--single-threaded`, `--no-opt`,
//! `--max-lazy` and fewer worker threads all measured equal or slower), and code caches made under
//! other flags are rejected. A zygote needs two of them all the same.

use super::plan::{Assignment, Layout, StartPlan, listener_mark};
use super::{Interpreter, NodeEntry};

const MIB: u64 = 1024 * 1024;

/// A forked process has one thread, and V8 must not count on others: left to itself, it hands
/// functions that are worth it to a compiler thread that is gone, and runs them unoptimised for
/// ever (measured: 5 times slower). Node keeps a worker or more whatever the size of its pool; with
/// the first flag it gets nothing to do.
///
/// What is loaded is compiled at once, not function by function when it first runs: that would be in
/// every child. An Express application with five large packages costs 60 ms and 5 MiB more in the
/// zygote, and in a child 8 ms of processor time up to the first answer instead of 15.
///
/// A child that idles collects no garbage to save memory: it would copy what it shares.
const ZYGOTE_FLAGS: [&str; 4] =
    ["--single-threaded", "--v8-pool-size=0", "--no-lazy", "--no-memory-reducer"];

pub(super) fn plan(
    entry: &NodeEntry,
    interpreter: &Interpreter,
    assignment: &Assignment<'_>,
    layout: &Layout,
) -> StartPlan {
    let mut argv = vec![interpreter.path.clone()];
    // V8 sizes its heap by the machine's memory, for it cannot see the cgroup from inside. With the
    // limit it collects harder as the limit comes near; it is the whole limit, so that it is still
    // the kernel that ends a hog, with `oom`. Measured: 30 MB of objects that are replaced all the
    // time grew a process to 210 MB without, to 130 MB with a limit of 128 MiB. The price is paid
    // at the start, as Node's code cache is made for no flags: 13 ms of processor time up to
    // Node 22, 2 ms from 24 on, and more with each of its modules that a function loads; `heap.cjs` saves what comes
    // after the start of Node itself.
    let limit = assignment.memory_bytes.map(heap_limit);
    argv.extend(limit.map(|mib| format!("--max-old-space-size={mib}")));
    let adapter = |file: &str| layout.adapters.join("node").join(file).display().to_string();
    match entry {
        NodeEntry::Handler { module, export } => {
            argv.extend([adapter("handler.cjs"), module.clone(), export.clone()]);
        }
        NodeEntry::Main { script } => {
            let script = layout.package.join(script).display().to_string();
            argv.extend(["--require".to_owned(), adapter("listen.cjs"), script]);
        }
    }
    StartPlan {
        argv,
        env: vec![listener_mark()],
        read_only_mounts: interpreter.mounts.clone(),
        inherits_listener: true,
    }
}

/// The limit of the heap in MiB, for a sandbox with that limit of memory.
pub(super) fn heap_limit(memory_bytes: u64) -> u64 {
    (memory_bytes / MIB).max(1)
}

/// Turns the argument vector of an ordinary start into that of a zygote, which the adapters learn
/// from the environment.
pub(super) fn make_zygote(argv: &mut Vec<String>) {
    argv.splice(1..1, ZYGOTE_FLAGS.map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn argv(entry: &NodeEntry, memory_bytes: Option<u64>) -> Vec<String> {
        let node = Interpreter {
            path: "/opt/node/bin/node".into(),
            version: (20, 20, 2),
            mounts: Vec::new(),
        };
        let env = BTreeMap::new();
        let assignment = Assignment {
            tenant: "t",
            function: "f",
            version: "v",
            sandbox: "s",
            concurrency: 1,
            memory_bytes,
            env: &env,
        };
        plan(entry, &node, &assignment, &Layout::default()).argv
    }

    #[test]
    fn a_handler_runs_behind_the_adapter() {
        let entry = NodeEntry::Handler { module: "src/hello.mjs".into(), export: "hello".into() };
        assert_eq!(
            argv(&entry, None),
            ["/opt/node/bin/node", "/hatchway/node/handler.cjs", "src/hello.mjs", "hello"]
        );
    }

    #[test]
    fn a_server_script_is_preceded_by_the_listen_hook() {
        let entry = NodeEntry::Main { script: "server.js".into() };
        assert_eq!(
            argv(&entry, None),
            ["/opt/node/bin/node", "--require", "/hatchway/node/listen.cjs", "/app/server.js"]
        );
    }

    #[test]
    fn a_zygote_has_flags_of_its_own_before_all_else() {
        let entry = NodeEntry::Main { script: "server.js".into() };
        let mut argv = argv(&entry, None);
        make_zygote(&mut argv);
        assert_eq!(argv[1..5], ZYGOTE_FLAGS);
        assert_eq!(argv[5], "--require");
    }

    #[test]
    fn the_heap_knows_the_memory_limit() {
        let entry = NodeEntry::Main { script: "server.js".into() };
        assert_eq!(argv(&entry, Some(128 * MIB))[1], "--max-old-space-size=128");
    }
}
