//! status, ps, logs and explain against an admin API that answers from a script.

use std::net::TcpListener;

use crate::support::{Server, answer, hatchway, run, told};
use serde_json::{Value, json};

fn status() -> Value {
    json!({
        "program": "hatchway", "version": "0.1.0", "started_unix_ms": 1, "uptime_ms": 65_000,
        "listen": "127.0.0.1:8080",
        "isolation": {
            "mode": "best-effort", "granted": ["cgroup v2", "seccomp"],
            "missing": [{ "what": "network namespaces", "why": "not permitted" }],
        },
        "catalog": {
            "source": "projects", "revision": 3, "applied_unix_ms": 1, "problems": ["route x: no function"],
        },
        "functions": [{
            "name": "local/hello", "version": "00ff00ff00ff00ff", "runtime": "node",
            "urls": ["http://127.0.0.1:8080/hello"], "requests": 12, "errors": 1,
            "in_flight": 2, "sandboxes": 1, "queued": 0,
        }],
    })
}

fn sandboxes() -> Value {
    json!([{
        "id": "sb-1", "function": "local/hello", "version": "00ff00ff00ff00ff", "runtime": "node",
        "phase": "busy", "in_flight": 2, "concurrency": 16, "pid": 4711, "age_ms": 65_000,
        "idle_ms": null, "requests": 12, "memory_bytes": 40_000_000, "memory_peak_bytes": 50_000_000,
        "memory_limit_bytes": 134_217_728, "cpu_ms": 1500,
        "start": { "kind": "cold", "total_ms": 42, "phases": { "exec": 30, "ready": 12 } },
    }])
}

fn packages() -> Value {
    json!([
        { "functions": ["local/hello"], "digest": "00", "state": "ready" },
        {
            "functions": ["local/shop"], "digest": "0f3a11c2d4e5ffff", "state": "failed",
            "reason": "package-damaged", "detail": "its bytes are damaged",
        },
    ])
}

/// An admin API as it is when all is well, but for one package.
fn admin() -> Server {
    Server::start(|request, stream| {
        let path = request.target().split('?').next().unwrap_or("");
        let body = match path {
            "/v1/status" => status(),
            "/v1/sandboxes" => sandboxes(),
            "/v1/packages" => packages(),
            "/v1/explain" => json!({
                "outcome": "no_route", "function": null, "version": null,
                "steps": [{ "stage": "route", "decision": "none", "because": "no path fits" }],
                "others": [{ "what": "/hello", "why_not": "not a prefix" }],
            }),
            "/v1/logs" => json!({
                "unix_ms": 1000, "function": "local/hello", "version": "v", "sandbox": "sb-1",
                "request_id": null, "stream": "platform", "line": "hatched",
            }),
            _ => return answer(stream, "404 Not Found", "application/problem+json", "{}"),
        };
        answer(stream, "200 OK", "application/json", &body.to_string());
    })
}

#[test]
fn status_says_what_is_served_and_what_is_missing() {
    let admin = admin();
    let (code, out, _) = run(&["status", "--admin", &admin.url()]);
    assert_eq!(code, 0);
    for expected in [
        "hatchway 0.1.0, up 1m05s, listening on 127.0.0.1:8080",
        "catalog    projects, revision 3",
        "problem  route x: no function",
        "isolation  best-effort: cgroup v2, seccomp",
        "missing  network namespaces: not permitted",
        "hello  ",
        "http://127.0.0.1:8080/hello",
    ] {
        assert!(out.contains(expected), "{expected} in\n{out}");
    }
}

#[test]
fn ps_shows_what_was_measured() {
    let admin = admin();
    let (code, out, _) = run(&["ps", "hello", "--admin", &admin.url()]);
    assert_eq!(code, 0);
    let row: Vec<&str> = out.lines().nth(1).expect("a row").split_whitespace().collect();
    let expected = [
        "sb-1", "hello", "busy", "2/16", "38.1MiB", "47.6MiB", "128.0MiB", "1.5s", "12", "1m05s",
        "-", "cold", "42ms", "(exec", "30ms)", "4711",
    ];
    assert_eq!(row, expected);
    let why = "shop: package-damaged: its bytes are damaged (package 0f3a11c2d4e5)";
    assert_eq!(out.lines().last(), Some(why));
}

#[test]
fn json_is_the_answer_as_it_came() {
    let admin = admin();
    for (command, expected) in [("status", status()), ("ps", sandboxes())] {
        let (code, out, _) = run(&[command, "--json", "--admin", &admin.url()]);
        assert_eq!(code, 0);
        assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), expected);
    }
}

#[test]
fn logs_asks_for_what_was_typed_and_shows_lines() {
    let admin = admin();
    let arguments = ["logs", "hello", "-f", "--lines", "7", "--admin", &admin.url()];
    let (code, out, _) = run(&arguments);
    assert_eq!((code, out.as_str()), (0, "00:00:01.000 hello sb-1 --- | hatched\n"));
    let seen = admin.seen();
    let asked = seen.last().expect("it asked").target();
    assert_eq!(asked, "/v1/logs?lines=7&function=local%2Fhello&follow=true");
}

#[test]
fn explain_shows_the_steps_and_fails_without_a_function() {
    let admin = admin();
    let arguments = ["explain", "get", "/x?y=1", "-H", "Cookie: user=7", "--admin", &admin.url()];
    let (code, out, err) = run(&arguments);
    assert_eq!(code, 1);
    assert!(out.contains("route  none      no path fits"), "{out}");
    assert!(out.contains("/hello  not a prefix"), "{out}");
    assert_eq!(err, "hatchway: no function answers GET http://localhost/x?y=1\n");
    let asked = admin.seen().remove(0);
    let expected =
        "/v1/explain?method=GET&url=http%3A%2F%2Flocalhost%2Fx%3Fy%3D1&header=Cookie%3A+user%3D7";
    assert_eq!(asked.target(), expected);
}

#[test]
fn a_function_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    let admin = admin();
    for command in ["ps", "logs", "invoke"] {
        let (code, _, err) = run(&[command, "helo", "--admin", &admin.url()]);
        assert_eq!(code, 1);
        assert_eq!(err, "hatchway: no function \"helo\"; did you mean \"hello\"?\n");
    }
}

#[test]
fn an_admin_api_that_is_not_there_or_not_ours_is_unavailable() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr();
    let closed = format!("http://{}", closed.expect("it was bound"));
    let (code, out, err) = run(&["status", "--admin", &closed]);
    assert_eq!((code, out.as_str()), (69, ""));
    assert!(err.contains("is `hatchway up` running?"), "{err}");
    let other = Server::start(|_, stream| answer(stream, "200 OK", "text/html", "<p>"));
    let (code, _, err) = run(&["ps", "--admin", &other.url()]);
    assert_eq!(code, 69);
    assert!(err.contains("is no admin API"), "{err}");
    let (code, _, err) = run(&["status", "--admin", "ftp://x"]);
    assert_eq!(code, 78, "{err}");
}

#[test]
fn a_refusal_is_reported_with_its_reason() {
    let refusing = Server::start(|_, stream| {
        let body = r#"{"title":"bad request","status":400,"detail":"lines is not a number"}"#;
        answer(stream, "400 Bad Request", "application/problem+json", body);
    });
    let (code, _, err) = run(&["logs", "--admin", &refusing.url()]);
    assert_eq!((code, err.as_str()), (1, "hatchway: lines is not a number\n"));
}

#[test]
fn the_environment_says_where_the_admin_api_is_and_a_proxy_is_not_asked() {
    let admin = admin();
    let mut command = hatchway(&["status"]);
    command.env("HATCHWAY_ADMIN", admin.url()).env("http_proxy", "http://127.0.0.1:9");
    let (code, out, err) = told(command.output().expect("hatchway can be started"));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("http://127.0.0.1:8080/hello"));
}
