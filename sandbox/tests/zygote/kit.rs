//! A house with a Python function in it, its zygote, and calls to its children.

#![allow(unreachable_pub, reason = "shared by the files of this test program")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hatchway_sandbox::runtime::{
    Assignment, InterpreterSettings, Interpreters, Layout, PythonEntry, Runtime, StartPlan,
    install_adapters,
};
use hatchway_sandbox::{Entry, Network, Parked, Sandbox, SandboxSpec, Step, Zygote};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{House, say, unique};

/// How long anything may take before a test has failed. Not a measurement.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Nursery {
    pub house: House,
    pub spec: SandboxSpec,
}

pub fn handler(module_path: &str) -> Runtime {
    Runtime::Python(PythonEntry::Handler {
        module_path: module_path.to_owned(),
        attribute: "main".to_owned(),
    })
}

pub fn app(module: &str) -> Runtime {
    let (module, attribute) = (module.to_owned(), "app".to_owned());
    Runtime::Python(PythonEntry::App { module, attribute })
}

impl Nursery {
    /// A house where `hello.py` is what the text says; none, said aloud, where there are no
    /// zygotes.
    pub fn open(code: &str) -> Option<Self> {
        Self::of(&handler("hello.py"), |package| {
            std::fs::write(package.join("hello.py"), code).unwrap();
        })
    }

    pub fn of(runtime: &Runtime, fill: impl FnOnce(&Path)) -> Option<Self> {
        let house = House::open();
        if !house.limits() || !house.gives(&[Step::Process, Step::Root, Step::Landlock]) {
            say("zygotes: they need control groups and namespaces");
            return None;
        }
        let package = house.dir.path().join("package");
        fill(&package);
        let spec = spec(&house, package, runtime);
        Some(Self { house, spec })
    }

    /// As [`Nursery::of`], with the folder of an example.
    pub fn of_example(runtime: &Runtime, name: &str) -> Option<Self> {
        let mut nursery = Self::of(runtime, |_| {})?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        nursery.spec.package = folder.canonicalize().unwrap();
        Some(nursery)
    }

    /// The zygote, once it can be forked.
    pub async fn zygote(&self) -> Zygote {
        let zygote = self.start().await;
        zygote.ready().await.unwrap();
        zygote
    }

    pub async fn start(&self) -> Zygote {
        let spec = SandboxSpec { id: unique(), ..self.spec.clone() };
        within("a zygote", self.house.spawner.zygote(spec)).await.unwrap()
    }
}

fn spec(house: &House, package: PathBuf, runtime: &Runtime) -> SandboxSpec {
    let adapters = install_adapters(&house.dir.path().join("adapters")).unwrap();
    let interpreters = Interpreters::discover(&InterpreterSettings::default());
    let env = BTreeMap::new();
    let assignment = Assignment {
        tenant: "acme",
        function: "forked",
        version: "v1",
        sandbox: "none",
        concurrency: 4,
        memory_bytes: None,
        env: &env,
    };
    let layout = Layout::default();
    let plan = StartPlan::zygote(runtime, &assignment, &interpreters, &adapters, &layout);
    let plan = plan.expect("Python can be forked").expect("Python is installed");
    SandboxSpec {
        id: 0,
        name: "acme/forked@v1".into(),
        argv: plan.argv,
        env: plan.env,
        package,
        read_only: plan.read_only_mounts,
        memory_bytes: 128 << 20,
        cpu_millis: 1000,
        pids: 32,
        files: 256,
        tmp_bytes: 8 << 20,
        network: Network::None,
        entry: Entry::Inherited,
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let timeout = tokio::time::timeout(LONG, future).await;
    timeout.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}

pub async fn park(zygote: &Zygote) -> Parked {
    within("a parked child", zygote.park(unique())).await.unwrap()
}

/// A child that serves.
pub async fn child(zygote: &Zygote) -> Sandbox {
    let sandbox = park(zygote).await.go("sb-7");
    within("a child's word", sandbox.ready()).await.unwrap();
    sandbox
}

/// The body of the answer to one request.
pub async fn call(sandbox: &Sandbox, path: &str) -> String {
    within("an answer", async {
        let mut connection = sandbox.connect().await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: tested\r\nhatchway-request-id: r1\r\nconnection: close\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        body.to_owned()
    })
    .await
}

pub async fn json(sandbox: &Sandbox, path: &str) -> Value {
    serde_json::from_str(&call(sandbox, path).await).unwrap()
}
