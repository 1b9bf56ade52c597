//! The way out of a sandbox: what its manifest lists is reached through the node, by clients that know nothing but the usual
//! variables; all else is refused by name and by address.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use hatchway_tests::{Project, Up, eventually, skipped};
use serde_json::{Value, json};

/// A server outside, which answers every request with "outside" and keeps its head.
struct Outside {
    port: u16,
    heads: Receiver<String>,
}

impl Outside {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback is up");
        let port = listener.local_addr().expect("it listens").port();
        let (sender, heads) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || answer(stream, &sender));
            }
        });
        Self { port, heads }
    }
}

/// One request; whoever comes back comes by another connection.
fn answer(mut stream: TcpStream, heads: &Sender<String>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    heads.send(String::from_utf8(head).ok()?).ok()?;
    let text =
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\nkeep-alive: 1\r\n\r\noutside";
    stream.write_all(text.as_bytes()).ok()
}

/// A function of each runtime that may reach `hosts`.
fn project(hosts: &[String]) -> Project {
    let lines =
        format!("network = \"egress-proxy\"\negress = {hosts:?}\nidle_timeout = \"200ms\"\n");
    let function = |name: &str, run: &str| {
        format!("[function.{name}]\n{run}\nhttp = {{ path = \"/{name}\" }}\n{lines}")
    };
    let python = function("python", "runtime = \"python\"\nhandler = \"way_out.py#main\"");
    let node = function("node", "runtime = \"node\"\nhandler = \"way_out.mjs#main\"");
    Project::new(&(python + &node))
        .file("way_out.py", include_str!("functions/way_out.py"))
        .file("way_out.mjs", include_str!("functions/way_out.mjs"))
}

/// A daemon that lets functions reach this machine's loopback; none where it cannot keep them from the rest of it.
fn start(project: &Project, arguments: &[&str], test: &str) -> Option<Up> {
    let up = Up::start_with(project, arguments);
    if up.admin.lacks("network namespace") {
        skipped(test, "network namespaces");
        return None;
    }
    Some(up)
}

fn go(up: &Up, by: &str, words: &[&str]) -> Value {
    up.post("/python", &json!([{ "by": by, "words": words }])).ok()
}

const LOOPBACK: [&str; 2] = ["--egress-allow", "127.0.0.0/8"];

#[test]
fn what_is_listed_is_reached_by_stock_clients() {
    let outside = Outside::open();
    let host = format!("127.0.0.1:{}", outside.port);
    let project = project(&[host.clone(), format!("localhost:{}", outside.port)]);
    let Some(up) = start(&project, &LOOPBACK, "what_is_listed_is_reached_by_stock_clients") else {
        return;
    };
    // Theirs is the loopback of the sandbox: these are told to ask the proxy for it.
    let url = format!("http://{host}/a/b?c");
    let plain =
        go(&up, "curl", &["--noproxy", "", "-H", "Connection: x-mine", "-H", "x-mine: 1", &url]);
    assert_eq!((&plain["status"], &plain["body"]), (&json!(200), &json!("outside")), "{plain}");
    let head = outside.heads.recv().expect("a request").to_lowercase();
    assert!(head.starts_with("get /a/b?c http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
    assert!(head.contains("\r\nvia: 1.1 hatchway\r\n"), "{head}");
    assert!(!head.contains("x-mine") && !head.contains("proxy-connection"), "{head}");

    let tunnel = go(&up, "curl", &["--noproxy", "", "--proxytunnel", &url]);
    assert_eq!((&tunnel["status"], &tunnel["connect"]), (&json!(200), &json!(200)), "{tunnel}");
    let posted = go(&up, "curl", &["--noproxy", "", "-d", "some body", &url]);
    assert_eq!(posted["status"], 200, "{posted}");

    let name = format!("http://localhost:{}/", outside.port);
    let named = go(&up, "curl", &["--noproxy", "", &name]);
    assert_eq!(named["body"], "outside", "{named}");
    let sent = up.post("/node", &json!([{ "url": url }])).ok();
    assert_eq!((&sent["status"], &sent["body"]), (&json!(200), &json!("outside")), "{sent}");

    let metrics = up.admin.metrics();
    let of = |name: &str, label: &str| metrics.sum(name, &["function=\"local/python\"", label]);
    assert_eq!(of("node_egress_requests_total", "result=\"ok\""), 4.0);
    // Three answers of 64 bytes and more each way.
    assert!(of("node_egress_bytes_total", "direction=\"in\"") > 256.0);
    assert!(of("node_egress_bytes_total", "direction=\"out\"") > 256.0);
    up.stop();
}

#[test]
fn what_is_not_listed_is_refused_and_told_what_would_allow_it() {
    let outside = Outside::open();
    let project = project(&["api.example.com".to_owned()]);
    let test = "what_is_not_listed_is_refused_and_told_what_would_allow_it";
    let Some(up) = start(&project, &LOOPBACK, test) else { return };
    // As every client sees it that asks for some host by its name.
    let refused = go(&up, "urllib", &["http://other.example.com/"]);
    assert_eq!(refused["status"], 403, "{refused}");
    let problem: Value =
        serde_json::from_str(refused["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(problem["reason"], "egress-not-listed");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("`egress` would have to list \"other.example.com:80\""), "{detail}");

    let tunnel = go(&up, "curl", &["https://other.example.com/"]);
    assert_eq!(tunnel["connect"], 403, "{tunnel}");
    let port = go(&up, "curl", &["http://api.example.com:8080/"]);
    assert_eq!(port["status"], 403, "another port: {port}");
    let node = up.post("/node", &json!([{ "url": "http://other.example.com/" }])).ok();
    assert_eq!(node["status"], 403, "{node}");
    for host in ["127.0.0.1", "192.0.2.1"] {
        let direct = go(&up, "socket", &[host, &outside.port.to_string()]);
        assert_ne!(direct["error"], "", "past the proxy");
    }
    let direct = go(&up, "curl", &["-x", "", &format!("http://127.0.0.1:{}/", outside.port)]);
    assert_eq!(direct["status"], 0, "past the proxy: {direct}");
    up.stop();
}

/// Whatever a list says: what a name stands for is for others to say.
#[test]
fn nobody_is_led_to_the_node_its_cloud_or_its_network() {
    let outside = Outside::open();
    let port = outside.port;
    let project = project(&["*".to_owned(), format!("*:{port}")]);
    let test = "nobody_is_led_to_the_node_its_cloud_or_its_network";
    let Some(up) = start(&project, &[], test) else { return };
    for (url, reason) in [
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "egress-address"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), "egress-address"),
        ("http://[64:ff9b::a9fe:a9fe]/".to_owned(), "egress-address"),
        ("http://100.100.100.200/".to_owned(), "egress-address"),
        (format!("http://127.0.0.1:{port}/"), "egress-address"),
        (format!("http://[::1]:{port}/"), "egress-address"),
        (format!("http://localhost:{port}/"), "egress-address"),
        (format!("http://0.0.0.0:{port}/"), "egress-address"),
        ("http://10.0.0.1/".to_owned(), "egress-address"),
        ("http://224.0.0.1/".to_owned(), "egress-address"),
        // Addresses to the C library, in forms that nobody means.
        (format!("http://2130706433:{port}/"), "egress-request"),
        (format!("http://127.1:{port}/"), "egress-request"),
        ("http://nobody.invalid/".to_owned(), "egress-unresolved"),
    ] {
        // By its own spelling: curl reads numbers as addresses before it asks.
        let told = go(&up, "curl", &["--noproxy", "", "--request-target", &url, "http://outside/"]);
        let problem = told["body"].as_str().and_then(|body| serde_json::from_str(body).ok());
        let problem: Value = problem.unwrap_or_else(|| panic!("{url}: {told}"));
        assert_eq!(problem["reason"], reason, "{url}: {told}");
    }
    let tunnel = format!("http://127.0.0.1:{port}/");
    let tunnel = go(&up, "curl", &["--noproxy", "", "--proxytunnel", &tunnel]);
    assert_eq!(tunnel["connect"], 403, "{tunnel}");
    assert!(outside.heads.try_recv().is_err(), "somebody got there");
    up.stop();
}

/// A zygote and its children have one loopback, and one listener: it stays for as long as any of them.
#[test]
fn what_is_forked_goes_out_as_well() {
    let outside = Outside::open();
    let project = project(&[format!("127.0.0.1:{}", outside.port)]);
    let Some(up) = start(&project, &LOOPBACK, "what_is_forked_goes_out_as_well") else { return };
    if up.admin.lacks("control group") {
        return skipped("what_is_forked_goes_out_as_well", "control groups");
    }
    let url = format!("http://127.0.0.1:{}/", outside.port);
    let order = json!([{ "by": "curl", "words": ["--noproxy", "", url] }]);
    for (path, order) in [("/python", order), ("/node", json!([{ "url": url }]))] {
        assert_eq!(up.post(path, &order).ok()["body"], "outside", "{path}");
        let function = format!("local{path}");
        eventually("a zygote", || {
            let rows: Vec<Value> = up.admin.get("/v1/zygotes").json();
            let is_ready = |row: &Value| row["function"] == *function && row["state"] == "ready";
            rows.iter().any(is_ready).then_some(())
        });
        eventually("it is reaped", || up.admin.sandboxes().is_empty().then_some(()));
        assert_eq!(up.post(path, &order).ok()["body"], "outside", "{path}, forked");
        let labels = [format!("function=\"{function}\""), "tier=\"fork\"".to_owned()];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        eventually("the fork is counted", || {
            (up.admin.metrics().sum("node_starts_total", &labels) == 1.0).then_some(())
        });
    }
    up.stop();
}
