//! A request hatches a function, and is answered.

use hatchway_tests::{PUPPET, PUPPET_PY, Project, Up, eventually, puppet};

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

#[test]
fn the_first_request_hatches_a_sandbox_and_the_next_ones_find_it() {
    let project = project("");
    let up = Up::start(&project);
    assert_eq!(up.admin.sandboxes(), [], "nothing is started before it is asked for");
    let first = up.get("/puppet").ok();
    for _ in 0..5 {
        assert_eq!(up.get("/puppet").ok()["pid"], first["pid"]);
    }
    assert_eq!(up.admin.hatches("puppet"), 1.0);
    assert_eq!(up.admin.sandbox("puppet").requests, 6);
    up.output().wait_for("hatched puppet sb-1 in ");
    up.stop();
}

#[test]
fn the_audit_finds_all_that_a_running_daemon_has() {
    let project = project("");
    let mut up = Up::start(&project);
    up.get("/puppet").ok();
    let found = up.traces().found();
    let has = |kind: &str| found.iter().any(|trace| trace.starts_with(kind));
    for kind in ["process", "listener", "file"] {
        assert!(has(kind), "no {kind} in {found:#?}");
    }
    let sandbox = up.admin.sandbox("puppet").pid.expect("it runs");
    let groups = std::fs::read_to_string(format!("/proc/{sandbox}/cgroup")).expect("it runs");
    if !up.admin.lacks("control group") {
        assert!(has("group"), "no group in {found:#?}");
        assert!(groups.contains(&up.traces().group), "the name of groups has changed: {groups}");
    }
    up.stop();
}

#[test]
fn a_cold_answer_tells_in_server_timing_where_the_time_went_and_a_warm_one_has_no_start() {
    let project = project("server_timing = true");
    let up = Up::start(&project);
    let cold = up.get("/puppet");
    let timing = cold.header("server-timing");
    for part in ["queue;dur=", "start;dur=", "load;dur=", "first-byte;dur="] {
        assert!(timing.contains(part), "no {part} in {timing:?}");
    }
    let warm = up.get("/puppet");
    let timing = warm.header("server-timing");
    assert!(timing.contains("first-byte;dur=") && !timing.contains("start;dur="), "{timing:?}");
    up.stop();
}

#[test]
fn nobody_is_told_the_timing_of_a_function_that_does_not_want_it() {
    let project = project("");
    let up = Up::start(&project);
    assert_eq!(up.get("/puppet").header("server-timing"), "");
    up.stop();
}

#[test]
fn a_minimum_is_hatched_before_anybody_asks() {
    let project = project("min = 2\nmax = 3");
    let up = Up::start(&project);
    eventually("two idle sandboxes", || {
        let sandboxes = up.admin.sandboxes_of("puppet");
        (sandboxes.len() == 2 && sandboxes.iter().all(|one| one.phase == "idle")).then_some(())
    });
    up.get("/puppet").ok();
    assert_eq!(up.admin.hatches("puppet"), 2.0);
    up.stop();
}

#[test]
fn the_start_begins_at_the_head_while_the_body_is_still_on_its_way() {
    let project = project("");
    let up = Up::start(&project);
    let mut client = up.raw();
    let body = r#"{"do":"hello"}"#;
    let length = body.len();
    client.send(format!(
        "POST /puppet HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ));
    up.admin.wait_in_flight("puppet", 1);
    client.send(body);
    assert_eq!(client.head().status, 200);
    up.stop();
}

const EVERY_RUNTIME: &str = r#"
[function.node-handler]
runtime = "node"
handler = "puppet.mjs#puppet"
http = { path = "/node-handler" }

[function.node-main]
runtime = "node"
main = "server.js"
http = { path = "/node-main" }

[function.python-handler]
runtime = "python"
handler = "puppet.py#puppet"
http = { path = "/python-handler" }

[function.wsgi]
runtime = "python"
app = "wsgi:app"
http = { path = "/wsgi" }

[function.port]
runtime = "command"
command = ["python3", "listen.py"]
http = { path = "/port" }

[function.socket]
runtime = "command"
command = ["./function"]
http = { path = "/socket" }
"#;

const NODE_SERVER: &str =
    "require('http').createServer((request, response) => response.end('main')).listen(3000);";

const WSGI: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'wsgi']
";

const LISTEN: &str = "
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'port')

http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
";

#[test]
fn every_runtime_hatches_and_answers() {
    let project = Project::new(EVERY_RUNTIME)
        .file("puppet.mjs", PUPPET)
        .file("puppet.py", PUPPET_PY)
        .file("server.js", NODE_SERVER)
        .file("wsgi.py", WSGI)
        .file("listen.py", LISTEN)
        .program("function", &hatchway_tests::program_path("hatchway-bench-function"));
    let up = Up::start(&project);
    for handler in ["/node-handler", "/python-handler"] {
        let answer = up.get(handler);
        assert_eq!(answer.ok()["requestId"], answer.header("x-request-id"), "{handler}");
    }
    for (server, answer) in
        [("/node-main", "main"), ("/wsgi", "wsgi"), ("/port", "port"), ("/socket", "ok")]
    {
        let found = up.get(server);
        assert_eq!((found.status, found.text().as_str()), (200, answer), "{server}");
    }
    assert_eq!(up.admin.sandboxes().len(), 6);
    up.stop();
}
