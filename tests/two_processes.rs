//! A gateway and a node as processes of their own behave as one.

use hatchway_tests::{
    GatewayProgram, NodeProgram, PUPPET, Pair, Project, apply, eventually, puppet, together,
};
use serde_json::json;

#[path = "two_processes/streams.rs"]
mod streams;

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

#[test]
fn a_cold_call_and_a_warm_one_go_through_both() {
    let project = project("");
    let pair = Pair::start(&project);
    let first = pair.gateway.get("/puppet?name=Ada").ok();
    assert_eq!(first["order"], json!({ "name": "Ada" }));
    let second = pair.gateway.get("/puppet").ok();
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!(pair.node.admin.hatches("puppet"), 1.0);
    let answer = pair.gateway.get("/puppet");
    assert_eq!(answer.ok()["requestId"], answer.header("x-request-id"));
    for between_them in ["hatchway-start", "hatchway-sandbox", "server-timing"] {
        assert_eq!(answer.header(between_them), "", "{between_them}");
    }
}

#[test]
fn a_head_that_the_node_has_written_is_right_for_every_client() {
    const FUNCTION: &str = "require('http').createServer((request, response) => {
      response.setHeader('X-Request-Id', 'mine');
      response.setHeader('Hatchway-Node', 'mine');
      response.setHeader('Keep-Alive', 'timeout=5');
      if (request.url === '/none') return response.writeHead(204).end();
      response.setHeader('Content-Length', '5');
      response.end('hello');
    }).listen(process.env.PORT);";
    let manifest = "[function.f]\nruntime = \"node\"\nmain = \"f.cjs\"\nhttp = { path = \"/\" }\n";
    let project = Project::new(manifest).file("f.cjs", FUNCTION);
    let pair = Pair::start(&project);
    for (line, fields, connection) in [
        ("GET / HTTP/1.1", "", ""),
        ("HEAD / HTTP/1.1", "", ""),
        ("GET /none HTTP/1.1", "", ""),
        ("GET / HTTP/1.1", "Connection: close\r\n", "close"),
        ("GET / HTTP/1.0", "Connection: keep-alive\r\n", "keep-alive"),
    ] {
        let mut client = pair.gateway.raw();
        client.send(format!("{line}\r\nHost: h\r\nX-Request-Id: ours\r\n{fields}\r\n"));
        let head = client.head();
        let values = |name| head.fields.iter().filter(move |(found, _)| found == name);
        assert_eq!(values("x-request-id").map(|(_, id)| &**id).collect::<Vec<_>>(), ["ours"]);
        assert_eq!(head.field("connection"), connection, "{line} {fields}");
        assert_eq!(values("hatchway-node").chain(values("keep-alive")).count(), 0, "{head:?}");
        match line {
            "HEAD / HTTP/1.1" => assert_eq!(head.field("content-length"), "5"),
            "GET /none HTTP/1.1" => assert_eq!(head.status, 204),
            _ => assert_eq!(client.exactly(5).expect("a body"), b"hello"),
        }
        if connection.is_empty() {
            client.get("/");
            assert_eq!(
                (client.head().status, client.exactly(5).expect("a body")),
                (200, b"hello".into())
            );
        }
    }
}

#[test]
fn a_gateway_knows_how_full_its_node_is() {
    let project = project("concurrency = 4\nmax = 1");
    let pair = Pair::start(&project);
    let node =
        |gauge: &str| pair.gateway.admin.metrics().sum(&format!("gateway_node_{gauge}"), &[]);
    eventually("a link, before anybody asks for it", || (node("up") == 1.0).then_some(()));
    pair.gateway.get("/puppet").ok();
    let mut client = pair.gateway.raw();
    client.get("/puppet?do=wait");
    eventually("one request there, and room for three", || {
        let seen = ["up", "requests_in_flight", "room", "draining"].map(node);
        (seen == [1.0, 1.0, 3.0, 0.0]).then_some(())
    });
    client.leave();
    eventually("none", || (node("requests_in_flight") == 0.0).then_some(()));
    let Pair { gateway, node } = pair;
    node.stop();
    eventually("no node", || {
        (gateway.admin.metrics().sum("gateway_node_up", &[]) == 0.0).then_some(())
    });
}

#[test]
fn bodies_stream_through_both() {
    let project = project("max = 1");
    let pair = Pair::start(&project);
    let mut client = pair.gateway.raw();
    client.get("/puppet?do=events&count=3");
    assert_eq!(client.head().status, 200);
    for n in 0..3 {
        let event = format!("data: {{\"n\":{n}}}\n\n");
        assert_eq!(client.chunk().expect("an event"), event.as_bytes());
        pair.gateway.get("/puppet?do=open").ok();
    }
    assert_eq!(client.chunk().expect("the end"), b"");

    let mut client = pair.gateway.raw();
    client.get("/puppet?do=endless");
    assert_eq!(client.head().status, 200);
    client.chunk().expect("it has begun");
    pair.node.admin.wait_in_flight("puppet", 1);
    client.leave();
    pair.node.admin.wait_in_flight("puppet", 0);
}

#[test]
fn refusals_of_the_node_reach_the_caller_as_they_are() {
    let project =
        project("concurrency = 1\nmax = 1\nqueue = 1\ntimeouts = { first_byte = \"300ms\" }");
    let pair = Pair::start(&project);
    let late = pair.gateway.get("/puppet?do=wait");
    let problem = late.problem();
    assert_eq!((late.status, problem.reason.as_str()), (504, "first-byte-clock"));
    assert_eq!(problem.component, "sandbox");
    let missing = pair.gateway.get("/nothing").problem();
    assert_eq!((missing.status, missing.component.as_str()), (404, "gateway"));
    let crashed = pair.gateway.get("/puppet?do=exit&code=1").problem();
    assert_eq!((crashed.status, crashed.reason.as_str()), (502, "crashed"));
}

#[test]
fn many_at_once_share_few_sandboxes() {
    let project = project("concurrency = 8\nmax = 2");
    let pair = Pair::start(&project);
    let address = pair.gateway.address;
    together(60, |_| hatchway_tests::Client::new(address).get("/puppet?do=work").ok());
    assert!(pair.node.admin.hatches("puppet") <= 2.0);
    pair.node.admin.wait_in_flight("puppet", 0);
}

#[test]
fn without_a_node_the_gateway_says_so_and_goes_on_when_it_is_back() {
    let project = project("");
    apply(&project);
    let gateway = GatewayProgram::start(&project);
    let answer = gateway.get("/puppet");
    assert_eq!((answer.status, answer.proxy_error()), (503, "destination_unavailable"));
    let problem = answer.problem();
    assert_eq!((problem.reason.as_str(), problem.component.as_str()), ("no-node", "gateway"));
    assert!(!answer.header("retry-after").is_empty());

    for _ in 0..2 {
        let node = NodeProgram::start(&project);
        gateway.get("/puppet").ok();
        node.stop();
        assert_eq!(gateway.get("/puppet").problem().reason, "no-node");
    }
}

#[test]
fn a_node_that_is_killed_takes_what_was_under_way_with_it_and_no_more() {
    let project = project("");
    let pair = Pair::start(&project);
    pair.gateway.get("/puppet").ok();
    let mut client = pair.gateway.raw();
    client.post("/puppet", 2);
    pair.node.admin.wait_in_flight("puppet", 1);
    pair.node.kill();
    let head = client.head();
    assert_eq!(head.status, 502);
    assert!(head.field("proxy-status").contains("error=connection_terminated"), "{head:?}");

    let node = NodeProgram::start_again(&project);
    pair.gateway.get("/puppet").ok();
    node.stop();
}

#[test]
fn both_follow_the_catalog() {
    let source = |word: &str| format!("export function word() {{ return '{word}'; }}\n");
    let manifest = "[function.word]\nruntime = \"node\"\nhandler = \"word.mjs#word\"\nhttp = { path = \"/word\" }\n";
    let project = Project::new(manifest).file("word.mjs", source("one"));
    let pair = Pair::start(&project);
    assert_eq!(pair.gateway.get("/word").text(), "one");

    project.write("word.mjs", source("two"));
    apply(&project);
    eventually("the new version", || (pair.gateway.get("/word").text() == "two").then_some(()));

    project.write("hatchway.toml", manifest.replace("/word", "/moved"));
    apply(&project);
    eventually("the new route", || (pair.gateway.get("/moved").status == 200).then_some(()));
    assert_eq!(pair.gateway.get("/word").status, 404);
    eventually("one sandbox of the last version", || {
        (pair.node.admin.sandboxes().len() == 1).then_some(())
    });
}

#[test]
fn a_gateway_that_ends_lets_its_requests_finish() {
    let project = project("");
    let pair = Pair::start(&project);
    let mut client = pair.gateway.raw();
    client.post("/puppet", 2);
    pair.node.admin.wait_in_flight("puppet", 1);
    let Pair { gateway, node } = pair;
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| gateway.stop());
        eventually("a closed door", || {
            std::net::TcpStream::connect(client.peer()).is_err().then_some(())
        });
        client.send("{}");
        assert_eq!(client.head().status, 200);
        ending.join().expect("it ends");
    });
    node.stop();
}
