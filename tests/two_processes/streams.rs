//! What is long or large passes through both, and costs no more the longer it lasts.

use std::io;
use std::io::Read as _;

use hatchway_tests::{PUPPET, Pair, Project, Raw, SERVER, eventually, proc, puppet};
use serde_json::json;

const STREAMS: usize = 1_000;

/// Writes a piece to every open stream whenever it is told.
const TICKER: &str = "
const streams = [];
const piece = 'x'.repeat(1000);
require('http').createServer((request, response) => {
  if (request.url === '/stream') {
    streams.push(response);
    return void response.write(piece);
  }
  for (const stream of streams) stream.write(piece);
  response.end(String(streams.length));
}).listen(process.env.PORT);
";

fn resident(pair: &Pair) -> u64 {
    proc::resident_bytes(pair.gateway.pid()) + proc::resident_bytes(pair.node.pid())
}

fn server(name: &str, text: &str, lines: &str) -> Project {
    let manifest = format!(
        "[function.server]\nruntime = \"node\"\nmain = \"{name}\"\nhttp = {{ path = \"/\" }}\nmemory = \"256MiB\"\n{lines}\n"
    );
    Project::new(&manifest).file(name, text)
}

#[test]
fn a_thousand_slow_streams_on_one_link_do_not_grow() {
    let project = server("ticker.cjs", TICKER, "concurrency = 1024\nmax = 1");
    let pair = Pair::start(&project);
    let mut streams: Vec<Raw> = (0..STREAMS)
        .map(|_| {
            let mut client = pair.gateway.raw();
            client.get("/stream");
            assert_eq!(client.head().status, 200);
            client
        })
        .collect();
    let mut round = || {
        assert_eq!(pair.gateway.get("/tick").text(), STREAMS.to_string());
        for client in &mut streams {
            assert_eq!(client.chunk().expect("a piece").len(), 1000);
        }
        resident(&pair)
    };
    // Spare buffers are kept, up to 4 MiB by each core; it takes some rounds until they are there.
    let early = (0..20).map(|_| round()).max().expect("twenty rounds");
    let late = (0..40).map(|_| round()).max().expect("forty rounds");
    // Forty rounds are 40 MB.
    assert!(late < early + (16 << 20), "{early} bytes became {late}");
    drop(streams);
    pair.node.admin.wait_in_flight("server", 0);
}

/// Up and down again through both.
fn pass_through(bytes: u64) {
    let limits = "timeouts = { run = \"30m\", first_byte = \"30m\" }";
    let project = server("server.mjs", SERVER, limits);
    let pair = Pair::start(&project);
    let pass = |bytes: u64| {
        let mut answer = pair.gateway.upload("/", io::repeat(b'x').take(bytes)).expect("an answer");
        assert_eq!(answer.body_mut().read_to_string().expect("a number"), bytes.to_string());
        let mut answer = pair.gateway.open(&format!("/?bytes={bytes}")).expect("an answer");
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        assert_eq!(io::copy(&mut body, &mut io::sink()).expect("the whole body"), bytes);
    };
    pass(16 << 20);
    let before = resident(&pair);
    pass(bytes);
    let after = resident(&pair);
    println!("{bytes} bytes up and down: {before} bytes resident in both before, {after} after");
    // Each core of both keeps up to 4 MiB of spare buffers; what was passed is many times that.
    assert!(after < before + (24 << 20), "{before} became {after}");
}

#[test]
fn large_bodies_pass_and_neither_program_keeps_them() {
    pass_through(256 << 20);
}

#[test]
#[ignore = "takes minutes: make soak runs it"]
fn ten_gibibytes_pass_up_and_down_through_both() {
    pass_through(10 << 30);
}

#[test]
fn a_client_that_does_not_read_holds_nobody_else_back() {
    let project = server("server.mjs", SERVER, "");
    let pair = Pair::start(&project);
    let mut stalled = pair.gateway.raw();
    stalled.get(&format!("/?bytes={}", 1 << 30));
    assert_eq!(stalled.head().status, 200);
    let pass = || {
        let mut answer = pair.gateway.open("/?bytes=1048576").expect("an answer");
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        assert_eq!(io::copy(&mut body, &mut io::sink()).expect("the whole body"), 1 << 20);
        resident(&pair)
    };
    // Until the spare buffers of both are there.
    let before = (0..20).map(|_| pass()).max().expect("twenty answers");
    for _ in 0..50 {
        pass();
    }
    let after = resident(&pair);
    // What was kept for the client that does not read would be a gibibyte; spare buffers come and go.
    assert!(after < before + (24 << 20), "{before} became {after}");
    stalled.leave();
    pair.node.admin.wait_in_flight("server", 0);
}

#[test]
fn a_client_that_leaves_is_noticed_by_the_function_behind_both() {
    let project = Project::new(&puppet("puppet", "max = 1")).file("puppet.mjs", PUPPET);
    let pair = Pair::start(&project);
    let seen = |what: serde_json::Value| {
        eventually("word of it in the function", || {
            (pair.gateway.get("/puppet?do=seen").ok() == what).then_some(())
        });
    };
    let mut client = pair.gateway.raw();
    client.get("/puppet?do=wait");
    seen(json!(["waits"]));
    client.leave();
    pair.node.admin.wait_in_flight("puppet", 0);
    seen(json!(["waits", "left"]));
}

#[test]
fn a_node_that_is_killed_in_the_middle_of_a_body_cuts_the_answer_visibly() {
    let project = Project::new(&puppet("puppet", "")).file("puppet.mjs", PUPPET);
    let pair = Pair::start(&project);
    let mut client = pair.gateway.raw();
    client.get("/puppet?do=events&count=2");
    assert_eq!(client.head().status, 200);
    client.chunk().expect("it has begun");
    let Pair { gateway, node } = pair;
    node.kill();
    assert!(client.chunk().is_err(), "no last chunk was sent");
    let cut = || gateway.admin.metrics().sum("gateway_failures_total", &["reason=\"cut-short\""]);
    eventually("a cut that is counted", || (cut() == 1.0).then_some(()));
    drop(gateway);
    // What the node has left is cleared by its next start.
    hatchway_tests::NodeProgram::start_again(&project).stop();
}

#[test]
fn what_http_has_beside_bodies_passes_through_both() {
    const ECHO: &str = "
const server = require('http').createServer((request, response) => {
  response.writeEarlyHints({ link: '</style.css>; rel=preload' });
  response.writeHead(200, { trailer: 'x-sum' });
  response.write('hello');
  response.addTrailers({ 'x-sum': '5' });
  response.end();
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n');
  socket.pipe(socket);
});
server.listen(process.env.PORT);
";
    let project = server("echo.cjs", ECHO, "");
    let pair = Pair::start(&project);
    let mut client = pair.gateway.raw();
    client.get("/");
    assert_eq!(client.head().status, 103);
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().expect("the body"), b"hello");
    assert_eq!(client.line().expect("the last chunk"), "0");
    assert_eq!(client.line().expect("a trailer").to_lowercase(), "x-sum: 5");
    assert_eq!(client.line().expect("the end"), "");

    let ask = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(client.send(ask).head().status, 101);
    for word in ["one", "two"] {
        assert_eq!(client.send(word).exactly(word.len()).expect("an echo"), word.as_bytes());
    }
    pair.node.admin.wait_in_flight("server", 1);
    client.leave();
    pair.node.admin.wait_in_flight("server", 0);
}

#[test]
fn a_node_that_is_restarted_under_load_loses_no_request() {
    let project = Project::new(&puppet("puppet", "concurrency = 16")).file("puppet.mjs", PUPPET);
    let pair = Pair::start(&project);
    pair.gateway.get("/puppet").ok();
    let Pair { gateway, node } = pair;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let over = || is_over.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let load: Vec<_> = (0..6)
            .map(|_| {
                let client = hatchway_tests::Client::new(gateway.address);
                scope.spawn(move || {
                    let (mut served, mut others) = (0, Vec::new());
                    while !over() || served == 0 {
                        match client.get("/puppet?do=work&ms=2").status {
                            200 => served += 1,
                            status => others.push(status),
                        }
                    }
                    others
                })
            })
            .collect();
        for _ in 0..3 {
            let served =
                || gateway.admin.metrics().sum("gateway_requests_total", &["class=\"2xx\""]);
            let before = served();
            eventually("some requests", || (served() > before + 50.0).then_some(()));
        }
        node.stop();
        let node = hatchway_tests::NodeProgram::start(&project);
        gateway.get("/puppet");
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        for load in load {
            let others = load.join().expect("a client does not panic");
            // While nobody listens there is no node; nothing that was begun is lost.
            assert!(others.iter().all(|status| *status == 503), "{others:?}");
        }
        node.stop();
    });
    let lost = gateway.admin.metrics().sum("gateway_failures_total", &["reason=\"node-lost\""]);
    assert_eq!(lost, 0.0);
}
