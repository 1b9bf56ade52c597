//! Every project in `examples/`, as `make run` serves it, called by curl as its first lines say.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use hatchway_tests::{Project, Up, skipped};
use serde_json::{Value, json};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize().expect("it is there")
}

/// Serves one example; none when what it brings along is not installed.
fn serve(name: &str, brings: Option<&str>, test: &str) -> Option<(Project, String)> {
    let folder = examples().join(name);
    if let Some(brings) = brings
        && !folder.join(brings).exists()
    {
        skipped(test, &format!("examples/{name}/{brings} (examples/setup.sh installs it)"));
        return None;
    }
    Some((Project::over(&folder), name.to_owned()))
}

/// curl, with hosts under `.localhost` looked up nowhere.
fn curl(up: &Up, host: &str, path: &str, arguments: &[&str]) -> Command {
    let port = up.address.port();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "120"])
        .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
        .args(arguments)
        .arg(format!("http://{host}:{port}{path}"));
    command
}

/// Status and body of an answer.
#[track_caller]
fn ask(up: &Up, host: &str, path: &str, arguments: &[&str]) -> (u16, String) {
    let output = curl(up, host, path, arguments)
        .args(["--write-out", "\n%{http_code}"])
        .output()
        .expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("the status is on the last line");
    let said = String::from_utf8_lossy(&output.stderr);
    (status.parse().unwrap_or_else(|_| panic!("{path}: {said}")), body.to_owned())
}

#[track_caller]
fn ask_json(up: &Up, host: &str, path: &str, arguments: &[&str]) -> (u16, Value) {
    let (status, body) = ask(up, host, path, arguments);
    match serde_json::from_str(&body) {
        Ok(value) => (status, value),
        Err(error) => panic!("{path}: {status} with no JSON ({error}): {body}"),
    }
}

/// A stream that is read line by line; the caller leaves when this is dropped.
struct Stream {
    curl: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Stream {
    fn open(up: &Up, host: &str, path: &str, arguments: &[&str]) -> Self {
        let mut command = curl(up, host, path, arguments);
        let mut curl = command.arg("--no-buffer").stdout(Stdio::piped()).spawn().expect("curl");
        let lines = BufReader::new(curl.stdout.take().expect("it is piped")).lines();
        Self { curl, lines }
    }

    /// The next line that is not empty.
    #[track_caller]
    fn line(&mut self) -> Option<String> {
        self.lines.by_ref().map(|line| line.expect("a line")).find(|line| !line.is_empty())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // It may have read to the end already.
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

const POST_JSON: [&str; 2] = ["--header", "content-type: application/json"];

fn post(body: &str) -> Vec<&str> {
    POST_JSON.into_iter().chain(["--data", body]).collect()
}

#[test]
fn hello_node_greets_by_query_and_by_body() {
    let Some((project, _)) = serve("hello-node", None, "hello_node") else { return };
    let up = Up::start(&project);
    let (status, answer) = ask_json(&up, "localhost", "/hello?name=Ada", &[]);
    assert_eq!((status, &answer["message"]), (200, &json!("Hello, Ada!")));
    let (_, answer) = ask_json(&up, "localhost", "/hello", &post(r#"{"name": "Grace"}"#));
    assert_eq!(answer["message"], "Hello, Grace!");
    assert_eq!(ask(&up, "localhost", "/hello", &post(r#"{"name": 7}"#)).0, 422);
}

#[test]
fn stream_python_sends_primes_and_stops_when_nobody_listens() {
    let Some((project, _)) = serve("stream-python", None, "stream_python") else { return };
    let up = Up::start(&project);
    assert_eq!(ask(&up, "localhost", "/stream?from=1&count=4", &[]), (200, "2\n3\n5\n7\n".into()));
    let mut stream = Stream::open(&up, "localhost", "/stream?from=1000000000&count=1000000", &[]);
    assert_eq!(stream.line().as_deref(), Some("1000000007"));
    drop(stream);
    up.admin.wait_in_flight("stream", 0);
    assert_eq!(ask(&up, "localhost", "/stream?from=x", &[]).0, 422);
}

#[test]
fn chat_sse_answers_word_by_word() {
    let Some((project, _)) = serve("chat-sse", None, "chat_sse") else { return };
    let up = Up::start(&project);
    let mut stream = Stream::open(&up, "localhost", "/chat", &post(r#"{"prompt": "hi"}"#));
    let mut words = String::new();
    let usage = loop {
        let line = stream.line().expect("it ends with a usage");
        let data = line.strip_prefix("data: ").expect("a server-sent event");
        let event: Value = serde_json::from_str(data).expect("JSON");
        match event["delta"].as_str() {
            Some(delta) => words.push_str(delta),
            None => break event,
        }
    };
    assert!(words.starts_with("Hello! I was not running"), "{words}");
    assert_eq!((&usage["done"], &usage["usage"]["prompt"]), (&json!(true), &json!(1)));
    assert_eq!(stream.line(), None);
}

#[test]
fn shop_express_sells() {
    let Some((project, _)) = serve("shop-express", Some("node_modules"), "shop_express") else {
        return;
    };
    let up = Up::start(&project);
    let host = "shop.localhost";
    let (status, products) = ask_json(&up, host, "/products", &[]);
    let first = &products[0];
    assert_eq!(status, 200);
    let id = first["id"].to_string();
    let path = format!("/products/{}", id.trim_matches('"'));
    assert_eq!(ask_json(&up, host, &path, &[]), (200, first.clone()));
    let order = format!(r#"{{"lines": [{{"id": {id}, "count": 2}}]}}"#);
    let (status, sold) = ask_json(&up, host, "/orders", &post(&order));
    assert_eq!((status, sold["total"].as_u64()), (201, first["price"].as_u64().map(|one| 2 * one)));
    assert_eq!(ask(&up, host, "/products/nothing", &[]).0, 404);
    assert_eq!(ask(&up, "localhost", "/products", &[]).0, 404, "it has a host of its own");
}

#[test]
fn notes_flask_remembers_while_it_lives() {
    let Some((project, _)) = serve("notes-flask", Some(".venv"), "notes_flask") else { return };
    let up = Up::start(&project);
    let host = "notes.localhost";
    assert_eq!(ask_json(&up, host, "/notes", &[]), (200, json!([])));
    let (status, note) = ask_json(&up, host, "/notes", &post(r#"{"text": "buy eggs"}"#));
    assert_eq!((status, &note["text"]), (201, &json!("buy eggs")));
    assert_eq!(ask_json(&up, host, "/notes", &[]).1[0]["text"], "buy eggs");
    assert!(ask(&up, host, "/", &[]).1.contains("buy eggs"), "the page shows it");
    assert_eq!(ask(&up, host, "/", &["--data", "text=hatch+them"]).0, 302);
    let path = format!("/notes/{}", note["id"]);
    assert_eq!(ask(&up, host, &path, &["--request", "DELETE"]).0, 204);
    assert_eq!(ask_json(&up, host, "/notes", &[]).1.as_array().map(Vec::len), Some(1));
}

#[test]
fn quotes_starlette_streams_until_the_caller_leaves() {
    let Some((project, _)) = serve("quotes-starlette", Some(".venv"), "quotes_starlette") else {
        return;
    };
    let up = Up::start(&project);
    let host = "quotes.localhost";
    let (status, answer) = ask_json(&up, host, "/", &[]);
    assert!(status == 200 && answer["quote"].is_string(), "{answer}");
    let mut stream = Stream::open(&up, host, "/stream", &[]);
    for _ in 0..2 {
        let line = stream.line().expect("it has no end");
        assert!(line.starts_with("data: {\"quote\""), "{line}");
    }
    drop(stream);
    up.admin.wait_in_flight("quotes", 0);
}

#[test]
fn hyper_rust_counts_what_it_is_sent() {
    let Some((project, _)) = serve("hyper-rust", Some("server"), "hyper_rust") else { return };
    let up = Up::start(&project);
    assert_eq!(ask(&up, "localhost", "/rust", &[]).0, 200);
    let readme = examples().join("../README.md");
    let bytes = std::fs::metadata(&readme).expect("it is there").len();
    let (status, answer) =
        ask(&up, "localhost", "/rust", &["--upload-file", &readme.display().to_string()]);
    assert!(status == 200 && answer.contains(&bytes.to_string()), "{bytes} bytes: {answer}");
}

#[test]
fn site_serves_its_files_without_its_function_and_asks_it_for_the_rest() {
    let Some((project, _)) = serve("site", None, "site") else { return };
    let up = Up::start(&project);
    let (status, page) = ask(&up, "localhost", "/site/", &[]);
    assert!(status == 200 && page.to_lowercase().contains("<!doctype html"), "{page}");
    let (status, script) = ask(&up, "localhost", "/site/oracle.js", &[]);
    let file = std::fs::read_to_string(examples().join("site/public/oracle.js"));
    assert_eq!((status, script), (200, file.expect("it is there")));
    assert_eq!(up.admin.sandboxes(), [], "files start nothing");
    assert_eq!(ask(&up, "localhost", "/site/ask?question=why", &[]).0, 200);
    assert_eq!(up.admin.hatches("site"), 1.0);
}

#[test]
fn all_examples_are_served_by_one_daemon() {
    for (name, brings) in
        [("shop-express", "node_modules"), ("notes-flask", ".venv"), ("hyper-rust", "server")]
    {
        if serve(name, Some(brings), "all_examples").is_none() {
            return;
        }
    }
    let project = Project::over(&examples());
    let up = Up::start(&project);
    for (host, path) in [
        ("localhost", "/hello"),
        ("localhost", "/stream?count=1"),
        ("localhost", "/rust"),
        ("localhost", "/site/"),
        ("shop.localhost", "/"),
        ("notes.localhost", "/"),
        ("quotes.localhost", "/"),
    ] {
        assert_eq!(ask(&up, host, path, &[]).0, 200, "{host}{path}");
    }
    up.stop();
}
