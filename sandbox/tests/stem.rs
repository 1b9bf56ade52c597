//! Stem cells: a start in a runtime that has booted in advance is the same as an ordinary one, from inside.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use common::{House, read_all, say, unique};
use hatchway_sandbox::runtime::{
    Adapters, Assignment, InterpreterSettings, Interpreters, Layout, NodeEntry, PythonEntry,
    Runtime, StartPlan, StemKind, install_adapters,
};
use hatchway_sandbox::{Entry, ExitKind, Network, Sandbox, SandboxSpec, StemCell, Step, Tier};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long anything may take before a test has failed. Not a measurement.
const LONG: Duration = Duration::from_secs(30);
const MEMORY_BYTES: u64 = 192 << 20;

const NODE: &str = "
import fs from 'node:fs';
import v8 from 'node:v8';
const text = (path) => fs.readFileSync(path, 'utf8');
export const main = () => ({
  argv: process.argv, flags: process.execArgv, env: process.env, cwd: process.cwd(), main: process.mainModule.filename,
  heap: v8.getHeapStatistics().heap_size_limit, status: text('/proc/self/status'), limits: text('/proc/self/limits'),
  mounts: text('/proc/self/mountinfo'), descriptors: [0, 1, 2, 3].map((n) => fs.readlinkSync(`/proc/self/fd/${n}`)),
});
";

const PYTHON: &str = "
import os, sys
def text(path):
    with open(path) as file:
        return file.read()
def main(ctx):
    return {
        'argv': sys.argv, 'flags': sys.orig_argv, 'env': dict(os.environ), 'cwd': os.getcwd(), 'path': sys.path,
        'status': text('/proc/self/status'), 'limits': text('/proc/self/limits'), 'mounts': text('/proc/self/mountinfo'),
        'descriptors': [os.readlink('/proc/self/fd/%d' % n) for n in range(4)],
    }
";

fn node(module: &str) -> Runtime {
    Runtime::Node(NodeEntry::Handler { module: module.to_owned(), export: "main".to_owned() })
}

fn python(module_path: &str) -> Runtime {
    let (module_path, attribute) = (module_path.to_owned(), "main".to_owned());
    Runtime::Python(PythonEntry::Handler { module_path, attribute })
}

/// A spawner, and one version.
struct Bank {
    house: House,
    runtime: Runtime,
    interpreters: Interpreters,
    adapters: Adapters,
}

impl Bank {
    /// None, said aloud, where there are no cells.
    fn open(runtime: Runtime, file: &str, code: &str) -> Option<Self> {
        let house = House::open();
        if !house.gives(&[Step::Process, Step::Root, Step::Landlock, Step::Seccomp]) {
            say("stem cells: they need namespaces");
            return None;
        }
        std::fs::write(house.dir.path().join("package").join(file), code).unwrap();
        let adapters = install_adapters(&house.dir.path().join("adapters")).unwrap();
        let interpreters = Interpreters::discover(&InterpreterSettings::default());
        Some(Self { house, runtime, interpreters, adapters })
    }

    fn plan(&self) -> StartPlan {
        let env = BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]);
        let assignment = Assignment {
            tenant: "acme",
            function: "grown",
            version: "v1",
            sandbox: "sb-1",
            concurrency: 4,
            memory_bytes: Some(MEMORY_BYTES),
            env: &env,
        };
        let (layout, adapters) = (Layout::default(), &self.adapters);
        StartPlan::new(&self.runtime, &assignment, &self.interpreters, adapters, &layout).unwrap()
    }

    fn cell_plan(&self) -> (StartPlan, PathBuf) {
        let kind = StemKind::of(&self.runtime, Some(MEMORY_BYTES), &self.plan().env).unwrap();
        StartPlan::stem(kind, &self.interpreters, &self.adapters, &Layout::default()).unwrap()
    }

    fn spec(&self, plan: StartPlan) -> SandboxSpec {
        SandboxSpec {
            id: unique(),
            name: "acme/grown@v1".into(),
            argv: plan.argv,
            env: plan.env,
            package: self.house.dir.path().join("package"),
            read_only: plan.read_only_mounts,
            memory_bytes: MEMORY_BYTES,
            cpu_millis: 1000,
            pids: 32,
            files: 256,
            tmp_bytes: 8 << 20,
            network: Network::None,
            entry: Entry::Inherited,
        }
    }

    /// A cell that has booted. What it is limited by has to be of no account later.
    async fn cell(&self) -> StemCell {
        let (plan, package) = self.cell_plan();
        let (pids, files, tmp_bytes) = (24, 1 << 20, 0);
        let spec = SandboxSpec { package, pids, files, tmp_bytes, ..self.spec(plan) };
        let cell = within("a cell", self.house.spawner.stem(spec)).await.unwrap();
        within("its boot", cell.ready()).await.unwrap();
        cell
    }

    async fn ordinary(&self) -> Sandbox {
        let spec = self.spec(self.plan());
        let sandbox = within("a sandbox", self.house.spawner.hatch(spec)).await.unwrap();
        within("its word", sandbox.ready()).await.unwrap();
        sandbox
    }

    async fn grown(&self, cell: StemCell) -> Sandbox {
        let spec = self.spec(self.plan().in_stem(&self.cell_plan().0));
        let sandbox = within("a sandbox", self.house.spawner.hatch_in(cell, spec)).await.unwrap();
        within("its word", sandbox.ready()).await.unwrap();
        sandbox
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let timeout = tokio::time::timeout(LONG, future).await;
    timeout.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}

async fn call(sandbox: &Sandbox) -> Value {
    within("an answer", async {
        let mut connection = sandbox.connect().await.unwrap();
        let head = "GET / HTTP/1.1\r\nhost: tested\r\nhatchway-request-id: r1\r\nconnection: close\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    })
    .await
}

/// What a process has told of itself, without what differs from one sandbox to the next.
fn told(mut answer: Value) -> Value {
    const STATUS: [&str; 10] = [
        "CapAmb",
        "CapBnd",
        "CapEff",
        "CapInh",
        "CapPrm",
        "Groups",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "Umask",
    ];
    let lines = |answer: &Value, name: &str| -> Vec<String> {
        answer[name].as_str().unwrap().lines().map(str::to_owned).collect()
    };
    let mut status = lines(&answer, "status");
    status.retain(|line| STATUS.iter().any(|name| line.split(':').next() == Some(name)));
    // Without the numbers of mounts and devices (proc_pid_mountinfo(5)).
    let mount = |line: String| line.split(' ').skip(3).collect::<Vec<_>>().join(" ");
    let mut mounts: Vec<_> = lines(&answer, "mounts").into_iter().map(mount).collect();
    mounts.sort();
    let kind = |target: &Value| target.as_str().unwrap().split('[').next().unwrap().to_owned();
    let descriptors: Vec<_> = answer["descriptors"].as_array().unwrap().iter().map(kind).collect();
    answer["status"] = json!(status);
    answer["mounts"] = json!(mounts);
    answer["descriptors"] = json!(descriptors);
    answer
}

async fn is_as_an_ordinary_start(bank: &Bank) {
    let cell = bank.cell().await;
    let cell_ended = cell.exited();
    let (grown, ordinary) = (bank.grown(cell).await, bank.ordinary().await);
    assert_eq!(grown.tier, Tier::Stem);
    let (grown_told, ordinary_told) = (told(call(&grown).await), told(call(&ordinary).await));
    for (name, ordinary) in ordinary_told.as_object().unwrap() {
        assert_eq!(&grown_told[name], ordinary, "{name}");
    }
    assert_eq!(grown_told["env"]["GREETING"], "hi");
    within("the end of the cell as such", cell_ended).await;
    assert!(!grown.has_ended());
    grown.terminate();
    assert_eq!(within("its end", grown.exited()).await.kind, ExitKind::Code(0));
}

#[tokio::test]
async fn a_node_function_cannot_tell_its_start_from_an_ordinary_one() {
    let Some(bank) = Bank::open(node("main.mjs"), "main.mjs", NODE) else { return };
    is_as_an_ordinary_start(&bank).await;
}

#[tokio::test]
async fn a_python_function_cannot_tell_its_start_from_an_ordinary_one() {
    let Some(bank) = Bank::open(python("main.py"), "main.py", PYTHON) else { return };
    is_as_an_ordinary_start(&bank).await;
}

#[tokio::test]
async fn an_unmodified_server_listens_and_its_timers_go_by_the_time_of_now() {
    let code = "const began = Date.now();
        let late;
        setTimeout(() => { late = Date.now() - began; }, 300);
        require('node:http').createServer((request, response) => {
          const wait = () => late === undefined ? setTimeout(wait, 5) : response.end(JSON.stringify({
            late: late >= 299, main: require.main === module, file: __filename, argv: process.argv.slice(1) }));
          wait();
        }).listen(3000);";
    let server = Runtime::Node(NodeEntry::Main { script: "server.js".to_owned() });
    let Some(bank) = Bank::open(server, "server.js", code) else { return };
    let cell = bank.cell().await;
    // So long that a clock which stood still would let the timer fire at once.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let answer = call(&bank.grown(cell).await).await;
    let file = "/app/server.js";
    assert_eq!(answer, json!({"late": true, "main": true, "file": file, "argv": [file]}));
}

#[tokio::test]
async fn what_code_throws_is_told_as_by_an_ordinary_start() {
    let server = Runtime::Node(NodeEntry::Main { script: "server.js".to_owned() });
    let code = "throw new Error('no database');";
    let Some(bank) = Bank::open(server, "server.js", code) else { return };
    let cell = bank.cell().await;
    let spec = bank.spec(bank.plan().in_stem(&bank.cell_plan().0));
    let sandbox = within("a sandbox", bank.house.spawner.hatch_in(cell, spec)).await.unwrap();
    let error = within("its word", sandbox.ready()).await.unwrap_err();
    assert!(error.to_string().contains("no database"), "{error}");
    let (_, stderr) = sandbox.take_output().unwrap();
    assert_eq!(within("its end", sandbox.exited()).await.kind, ExitKind::Code(1));
    let text = read_all(stderr);
    assert!(text.contains("Error: no database") && text.contains("/app/server.js:1"), "{text}");
}

/// Of the process that stays in the nest beside the function: the parent of that.
fn reaper(sandbox: &Sandbox) -> String {
    let status = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let own = status(&sandbox.pid.to_string());
    let parent = own.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    status(parent.trim())
}

#[tokio::test]
async fn whoever_has_mounted_keeps_no_right() {
    let Some(bank) = Bank::open(python("main.py"), "main.py", PYTHON) else { return };
    let grown = bank.grown(bank.cell().await).await;
    let status = reaper(&grown);
    for line in
        ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[tokio::test]
async fn a_cell_that_nobody_wants_ends_and_one_that_has_ended_becomes_nothing() {
    let Some(bank) = Bank::open(python("main.py"), "main.py", PYTHON) else { return };
    let unwanted = bank.cell().await;
    let ended = unwanted.exited();
    drop(unwanted);
    within("the end of a cell that was dropped", ended).await;

    let cell = bank.cell().await;
    let absent = SandboxSpec { package: "/no/such/folder".into(), ..bank.spec(bank.plan()) };
    let ended = cell.exited();
    within("a refusal", bank.house.spawner.hatch_in(cell, absent)).await.unwrap_err();
    within("the end of a cell that could not become what it was to", ended).await;
}
