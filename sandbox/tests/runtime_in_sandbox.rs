//! Every runtime in a real sandbox, by the plan that the node uses: the paths, mounts, limits and
//! identity are those of a function in service. What a runtime does with its calls is in the other
//! `runtime_` files.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod common;
mod runtime_support;

use std::collections::BTreeMap;

use common::{House, read_all, unique};
use hatchway_sandbox::runtime::{Assignment, Layout, PORT, Runtime, StartPlan, install_adapters};
use hatchway_sandbox::{Entry, Network, Sandbox, SandboxSpec, Step};
use runtime_support::{
    example, installed, interpreters, node_handler, node_main, python_app, python_handler,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The specification of an example of ours, as the node would order it.
fn spec(house: &House, of: &str, runtime: &Runtime, env: &[(&str, &str)]) -> SandboxSpec {
    let interpreters = interpreters();
    let adapters = install_adapters(&house.dir.path().join("adapters")).unwrap();
    let package = example(of).canonicalize().unwrap();
    let layout = match house.grants.has(Step::Root) {
        true => Layout::default(),
        false => {
            Layout { package: package.clone(), adapters: adapters.dir.clone(), ..Layout::default() }
        }
    };
    let env: BTreeMap<String, String> =
        env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let memory_bytes = 256 << 20;
    let assignment = Assignment {
        tenant: "acme",
        function: of,
        version: "v1",
        sandbox: "s1",
        concurrency: 4,
        memory_bytes: Some(memory_bytes),
        env: &env,
    };
    let plan = StartPlan::new(runtime, &assignment, &interpreters, &adapters, &layout).unwrap();
    SandboxSpec {
        id: unique(),
        name: format!("acme/{of}@v1"),
        argv: plan.argv,
        env: plan.env,
        package,
        read_only: plan.read_only_mounts,
        memory_bytes,
        cpu_millis: 2000,
        pids: 64,
        files: 1024,
        tmp_bytes: 64 << 20,
        network: Network::None,
        entry: if plan.inherits_listener { Entry::Inherited } else { Entry::Probed { port: PORT } },
    }
}

async fn call(sandbox: &Sandbox, method: &str, path: &str) -> String {
    let mut connection = sandbox.connect().await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: tested\r\nhatchway-request-id: r1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Starts the example, waits for its word, and gives its answer to `GET path`; then ends it.
async fn answer_of(
    of: &str,
    runtime: &Runtime,
    env: &[(&str, &str)],
    path: &str,
) -> (String, String) {
    let house = House::open();
    let sandbox = house.hatch_spec(spec(&house, of, runtime, env)).await;
    let (stdout, stderr) = sandbox.take_output().unwrap();
    let log = tokio::task::spawn_blocking(|| read_all(stdout) + &read_all(stderr));
    let ready = sandbox.ready().await;
    let answer = match &ready {
        Ok(_) => call(&sandbox, "GET", path).await,
        Err(error) => error.to_string(),
    };
    sandbox.terminate();
    sandbox.exited().await;
    house.spawner.stop().await.unwrap();
    (answer, log.await.unwrap())
}

fn assert_answers(answer: &str, log: &str, wanted: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}\n{log}");
    assert!(answer.contains(wanted), "{answer}\n{log}");
}

#[tokio::test]
async fn a_node_handler() {
    let runtime = node_handler("src/hello.mjs", "hello");
    let (answer, log) =
        answer_of("hello-node", &runtime, &[("GREETING", "Hello")], "/hello?name=Ada").await;
    assert_answers(&answer, &log, "Hello, Ada!");
    assert_eq!(log, "\x1er1 {\"level\":\"info\",\"message\":\"greeting\",\"name\":\"Ada\"}\n");
}

#[tokio::test]
async fn an_unmodified_node_server() {
    installed(example("shop-express").join("node_modules"));
    let (answer, log) = answer_of("shop-express", &node_main("server.js"), &[], "/products").await;
    assert_answers(&answer, &log, "Incubator");
}

#[tokio::test]
async fn a_python_handler() {
    let runtime = python_handler("src/primes.py", "primes");
    let (answer, log) = answer_of("stream-python", &runtime, &[], "/stream?from=100&count=1").await;
    assert_answers(&answer, &log, "101\n");
}

#[tokio::test]
async fn a_wsgi_application() {
    installed(example("notes-flask").join(".venv"));
    let (answer, log) = answer_of("notes-flask", &python_app("main", "app"), &[], "/").await;
    assert_answers(&answer, &log, "Nothing yet.");
}

#[tokio::test]
async fn an_asgi_application() {
    installed(example("quotes-starlette").join(".venv"));
    let (answer, log) = answer_of("quotes-starlette", &python_app("main", "app"), &[], "/").await;
    assert_answers(&answer, &log, "{\"quote\":");
}

#[tokio::test]
async fn a_command() {
    let server = example("hyper-rust").join("server");
    assert!(server.is_file(), "{} is missing: run `make setup`", server.display());
    let runtime = Runtime::Command { argv: vec!["./server".to_owned()] };
    let (answer, log) = answer_of("hyper-rust", &runtime, &[], "/rust").await;
    assert_answers(&answer, &log, "Send me something");
}
