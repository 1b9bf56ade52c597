//! `hatchway invoke`: what is sent, and that the answer is shown as it comes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::mpsc;

use crate::support::{Seen, Server, answer, hatchway, run, told};
use serde_json::{Value, json};

/// An admin API that knows one function, behind the gateway at `gateway`.
fn admin(gateway: SocketAddr) -> Server {
    let status = json!({
        "program": "hatchway", "version": "0.1.0", "uptime_ms": 1, "listen": gateway.to_string(),
        "isolation": { "mode": "strict", "granted": [], "missing": [] },
        "catalog": { "source": "projects", "revision": 1, "problems": [] },
        "functions": [{
            "name": "local/shop", "version": "v", "runtime": "node",
            "urls": ["http://shop.localhost:8080/api"], "requests": 0, "errors": 0, "in_flight": 0,
            "sandboxes": 0, "queued": 0,
        }],
    });
    Server::start(move |_, stream| {
        answer(stream, "200 OK", "application/json", &status.to_string());
    })
}

/// What the gateway saw when `arguments` were typed.
fn sent(arguments: &[&str], input: &str) -> Seen {
    let gateway = Server::start(|_, stream| answer(stream, "200 OK", "text/plain", "fine"));
    let admin = admin(gateway.address);
    let url = admin.url();
    let mut command = hatchway(&["invoke", "shop", "--admin", &url]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("hatchway can be started");
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("hatchway reads its input");
    drop(stdin);
    let (code, out, err) = told(child.wait_with_output().expect("it ends"));
    assert_eq!((code, out.as_str()), (0, "fine"), "{err}");
    let [seen] = &gateway.seen()[..] else { panic!("one call is one request") };
    seen.clone()
}

#[test]
fn the_request_goes_to_the_gateway_under_the_functions_own_host() {
    let seen = sent(&[], "");
    assert!(seen.head.starts_with("GET /api HTTP/1.1\r\n"), "{}", seen.head);
    assert!(seen.head.contains("\r\nhost: shop.localhost:8080\r\n"), "{}", seen.head);
}

#[test]
fn arguments_become_a_json_object_or_a_query() {
    let seen = sent(&["--arg", "n=7", "--arg", "who=me"], "");
    assert!(seen.head.starts_with("POST /api "), "{}", seen.head);
    assert!(seen.head.contains("content-type: application/json"), "{}", seen.head);
    assert_eq!(
        serde_json::from_str::<Value>(&seen.body).ok(),
        Some(json!({ "n": 7, "who": "me" }))
    );
    let seen = sent(&["-X", "GET", "--path", "/items?all", "--arg", "n=7"], "");
    assert!(seen.head.starts_with("GET /api/items?all&n=7 "), "{}", seen.head);
}

#[test]
fn data_comes_from_the_line_from_a_file_or_from_the_input() {
    let seen = sent(&["--data", "[1,2]"], "");
    assert!(seen.head.contains("content-type: application/json"), "{}", seen.head);
    assert_eq!(seen.body, "[1,2]");
    let seen = sent(&["--data", "hi", "-H", "Content-Type: text/x", "-X", "PUT"], "");
    assert!(
        seen.head.starts_with("PUT ") && seen.head.contains("content-type: text/x"),
        "{}",
        seen.head
    );
    assert_eq!(seen.head.matches("content-type").count(), 1);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.json");
    std::fs::write(&file, "{}").expect("a file can be written");
    let seen = sent(&["--data", &format!("@{}", file.display())], "");
    assert!(seen.head.contains("content-length: 2\r\n"), "{}", seen.head);
    assert_eq!(seen.body, "{}");

    let seen = sent(&["--data", "-"], "from the input");
    assert!(seen.head.contains("transfer-encoding: chunked"), "{}", seen.head);
    assert_eq!(seen.body, "from the input");
}

#[test]
fn an_error_status_is_shown_and_fails() {
    let gateway =
        Server::start(|_, stream| answer(stream, "503 Service Unavailable", "text/plain", "full"));
    let admin = admin(gateway.address);
    let (code, out, err) = run(&["invoke", "shop", "-v", "--admin", &admin.url()]);
    assert_eq!((code, out.as_str()), (1, "full"));
    assert!(err.contains("> GET http://shop.localhost:8080/api\n"), "{err}");
    assert!(
        err.contains("< HTTP/1.1 503 Service Unavailable\n< content-type: text/plain\n"),
        "{err}"
    );
    let (code, out, _) = run(&["invoke", "shop", "--json", "--admin", &admin.url()]);
    let out: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &out["status"], &out["body"]), (1, &json!(503), &json!("full")));
}

#[test]
fn a_redirect_is_shown_and_not_followed() {
    let gateway = Server::start(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    });
    let admin = admin(gateway.address);
    let (code, _, err) = run(&["invoke", "shop", "-v", "--admin", &admin.url()]);
    assert_eq!(code, 0);
    assert!(err.contains("< location: /elsewhere"), "{err}");
    assert_eq!(gateway.seen().len(), 1);
}

#[test]
fn an_answer_is_shown_while_it_is_still_being_sent() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let gateway = Server::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).expect("it is read");
        may_go_on.recv().expect("the test has seen the first part");
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").expect("it is read");
    });
    let admin = admin(gateway.address);
    let url = admin.url();
    let mut command = hatchway(&["invoke", "shop", "--admin", &url]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("hatchway can be started");
    let mut out = child.stdout.take().expect("it was asked for");
    let mut first = [0; 5];
    out.read_exact(&mut first).expect("the first part comes before the second is sent");
    assert_eq!(&first, b"first");
    go_on.send(()).expect("the gateway waits for it");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the rest comes");
    assert_eq!(rest, "second");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn an_answer_that_breaks_off_is_a_failure() {
    let gateway = Server::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    });
    let admin = admin(gateway.address);
    let (code, out, err) = run(&["invoke", "shop", "--admin", &admin.url()]);
    assert_eq!((code, out.as_str()), (69, "half"), "{err}");
    assert!(err.contains("the answer broke off"), "{err}");
}
