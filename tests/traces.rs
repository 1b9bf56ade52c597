//! Traces as a collector gets them: decoded with the messages that OpenTelemetry publishes, from both programs.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use hatchway_tests::{
    Client, GatewayProgram, NodeProgram, PATIENCE, Project, Up, apply, eventually, program_path,
    python_with_packages, skipped,
};
use serde_json::Value;

const MANIFEST: &str = r#"
[function.echo]
runtime = "node"
main = "echo.cjs"
http = { path = "/echo" }
"#;

/// Answers with the fields that it was sent.
const ECHO: &str = "require('node:http').createServer((request, answer) => \
    answer.end(JSON.stringify(request.headers))).listen(process.env.HATCHWAY_SOCKET)\n";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The collector of a test.
struct Collector {
    program: Child,
    lines: Receiver<Value>,
    url: String,
    /// Closed, it ends the program.
    _input: ChildStdin,
}

impl Collector {
    /// None where this machine or the programs lack something.
    fn start(test: &str) -> Option<Self> {
        let Some(python) = python_with_packages() else {
            skipped(test, "opentelemetry-proto in a venv");
            return None;
        };
        let gateway = Command::new(program_path("hatchway-gateway"))
            .args(["--otlp", "nonsense", "--node", "unix:/nowhere", "--catalog", "/nowhere"])
            .output()
            .expect("it starts");
        if String::from_utf8_lossy(&gateway.stderr).contains("built without") {
            skipped(test, "programs with the feature otlp");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/collector.py");
        let piped =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut program = piped.expect("python runs");
        let output = BufReader::new(program.stdout.take().expect("it is piped"));
        let input = program.stdin.take().expect("it is piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("it prints JSON");
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let first: Value = lines.recv_timeout(PATIENCE).expect("it prints its port");
        Some(Self {
            program,
            lines,
            url: format!("http://127.0.0.1:{}", first["port"]),
            _input: input,
        })
    }

    /// All spans until `last` has come.
    #[track_caller]
    fn until(&self, last: impl Fn(&Value) -> bool) -> Spans {
        let mut spans = Vec::new();
        loop {
            let span = self.lines.recv_timeout(PATIENCE);
            spans.push(span.unwrap_or_else(|_| panic!("no further span: {spans:#?}")));
            if spans.last().is_some_and(&last) {
                return Spans(spans);
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[derive(Debug)]
struct Spans(Vec<Value>);

impl Spans {
    #[track_caller]
    fn of(&self, service: &str, name: &str) -> &Value {
        let is_it = |span: &&Value| span["service"] == service && span["name"] == name;
        self.0.iter().find(is_it).unwrap_or_else(|| panic!("no {name} of {service}: {self:#?}"))
    }
}

/// Asserts that `inner` is told as a part of `outer`.
#[track_caller]
fn assert_inside(inner: &Value, outer: &Value) {
    assert_eq!(inner["parent"], outer["id"], "{inner} in {outer}");
    assert_eq!(inner["trace"], outer["trace"]);
    let at = |span: &Value, edge: &str| span[edge].as_u64().expect("a time");
    // Clocks of two programs on one machine are one; what is rounded is less than this.
    let slack = 1_000_000;
    assert!(at(inner, "start") + slack >= at(outer, "start"), "{inner} in {outer}");
    assert!(at(inner, "end") <= at(outer, "end") + slack, "{inner} in {outer}");
    assert!(at(inner, "start") <= at(inner, "end"), "{inner}");
}

/// Calls with a trace; what the function was told of it.
#[track_caller]
fn call(client: &Client, flags: &str) -> (String, String) {
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [("traceparent", &*parent), ("tracestate", "a=1,b=2")];
    let answer = client.request("GET", "/echo?x", &headers, b"").expect("it is answered");
    assert_eq!(answer.status, 200);
    let seen: Value = serde_json::from_slice(&answer.body).expect("the fields that it was sent");
    let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
    (text("traceparent"), text("tracestate"))
}

/// The last span of a request that is told.
fn is_root(span: &Value) -> bool {
    span["name"] == "GET local/echo"
}

#[test]
fn one_program_tells_of_a_sampled_request_from_its_client_to_its_function() {
    let Some(collector) = Collector::start("traces of one program") else { return };
    let project = Project::new(MANIFEST).file("echo.cjs", ECHO);
    let up = Up::start_with(&project, &["--otlp", &collector.url]);
    let (parent, state) = call(&up.client(), "01");
    let spans = collector.until(is_root);
    let of = |name| spans.of("hatchway", name);
    let root = of("GET local/echo");
    assert_eq!([&root["trace"], &root["parent"]], [TRACE, CALLER]);
    assert_eq!(root["kind"], 2);
    assert_eq!(root["attributes"]["http.response.status_code"], 200);
    assert_eq!(root["attributes"]["hatchway.function"], "local/echo");
    assert_inside(of("route"), root);
    assert_inside(of("start"), root);
    assert_eq!(of("hatch load")["parent"], of("start")["id"]);
    let function = of("function");
    assert_inside(function, root);
    assert_eq!(
        (&function["kind"], &function["attributes"]["faas.coldstart"]),
        (&3.into(), &"true".into())
    );
    let called_by = function["id"].as_str().expect("an id");
    assert_eq!((parent, &*state), (format!("00-{TRACE}-{called_by}-01"), "a=1,b=2"));

    // Whoever has decided otherwise is not told of, and passes on what it was sent.
    let (parent, state) = call(&up.client(), "00");
    assert_eq!((parent, &*state), (format!("00-{TRACE}-{CALLER}-00"), "a=1,b=2"));
    up.get("/echo").ok();
    up.get("/nowhere");
    call(&up.client(), "01");
    let spans = collector.until(is_root);
    assert_eq!(spans.0.iter().filter(|span| is_root(span)).count(), 1);
    assert!(
        spans.0.iter().all(|span| span["trace"] == TRACE && span["name"] != "start"),
        "{spans:#?}"
    );
    up.stop();
}

#[test]
fn two_programs_tell_one_trace_together() {
    let Some(collector) = Collector::start("traces of two programs") else { return };
    let project = Project::new(MANIFEST).file("echo.cjs", ECHO);
    apply(&project);
    let words = ["--catalog", &project.catalog().display().to_string(), "--otlp", &collector.url]
        .map(str::to_owned);
    let node = NodeProgram::start_with(&project, &words);
    let ratio = ["--trace-ratio", "1"].map(str::to_owned);
    let gateway = GatewayProgram::start_with(&project, &[&words[..], &ratio].concat());
    let (parent, _) = call(&gateway, "01");
    let mut spans = collector.until(is_root);
    if !spans.0.iter().any(|span| span["name"] == "serve") {
        spans.0.extend(collector.until(|span| span["name"] == "serve").0);
    }
    let (gateway_of, node_of) =
        (|name| spans.of("hatchway-gateway", name), |name| spans.of("hatchway-node", name));
    let root = gateway_of("GET local/echo");
    assert_eq!([&root["trace"], &root["parent"]], [TRACE, CALLER]);
    for name in ["route", "place", "forward"] {
        assert_inside(gateway_of(name), root);
    }
    let serve = node_of("serve");
    assert_inside(serve, gateway_of("forward"));
    assert_eq!((&serve["kind"], &gateway_of("forward")["kind"]), (&2.into(), &3.into()));
    assert_inside(node_of("start"), serve);
    assert_eq!(node_of("hatch load")["parent"], node_of("start")["id"]);
    assert_inside(node_of("function"), serve);
    let called_by = node_of("function")["id"].as_str().expect("an id");
    assert_eq!(parent, format!("00-{TRACE}-{called_by}-01"));

    // A trace that begins here, by the ratio.
    let answer = gateway.get("/echo");
    let seen: Value = serde_json::from_slice(&answer.body).expect("the fields that it was sent");
    let parent = seen["traceparent"].as_str().expect("it was sent one").to_owned();
    let root = collector.until(is_root);
    let root = root.of("hatchway-gateway", "GET local/echo");
    assert_eq!(root["parent"], "");
    assert_eq!(parent[3..35], *root["trace"].as_str().expect("an id"));
    assert!(parent.ends_with("-01"), "{parent}");
    gateway.stop();
    node.stop();
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_no_request() {
    let Some(mut collector) = Collector::start("a dead collector") else { return };
    collector.program.kill().expect("it runs");
    collector.program.wait().expect("it ends");
    let project = Project::new(MANIFEST).file("echo.cjs", ECHO);
    let up = Up::start_with(&project, &["--otlp", &collector.url, "--trace-ratio", "1"]);
    for _ in 0..20 {
        up.get("/echo").ok();
    }
    let dropped = || up.admin.metrics().sum("gateway_spans_dropped_total", &[]);
    // Three of each request, and more of the first.
    eventually("all are counted", || (dropped() > 60.0).then_some(()));
    let warned = "spans cannot be sent";
    assert_eq!(up.output().to_string().matches(warned).count(), 1, "said once");
    up.stop();
}
