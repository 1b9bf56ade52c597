//! Bodies pass through: as they come, as slowly as they are read, and never collected.

use std::fs;
use std::io::{self, Read};

use hatchway_tests::{PUPPET, PUPPET_PY, Project, Raw, SERVER, Up, eventually, proc, puppet};
use serde_json::{Value, json};

const BOTH: [&str; 2] = ["/puppet", "/snake"];

fn project() -> Project {
    let snake = "[function.snake]\nruntime = \"python\"\nhandler = \"puppet.py#puppet\"\n\
                 http = { path = \"/snake\" }\nmax = 1\n";
    Project::new(&(puppet("puppet", "max = 1\n") + snake))
        .file("puppet.mjs", PUPPET)
        .file("puppet.py", PUPPET_PY)
}

fn event(n: usize) -> Vec<u8> {
    format!("data: {}\n\n", json!({ "n": n })).replace("\": ", "\":").into_bytes()
}

#[test]
fn server_sent_events_arrive_one_by_one() {
    let project = project();
    let up = Up::start(&project);
    for function in BOTH {
        let mut client = up.raw();
        client.get(&format!("{function}?do=events&count=4"));
        let head = client.head();
        assert_eq!(
            (head.status, head.field("content-type")),
            (200, "text/event-stream"),
            "{function}"
        );
        for n in 0..4 {
            // The function has not made the next one yet: it waits for the gate.
            assert_eq!(client.chunk().expect("an event"), event(n), "{function}");
            let gate = if function == "/snake" { format!("&gate={n}") } else { String::new() };
            up.get(&format!("{function}?do=open{gate}")).ok();
        }
        assert_eq!(client.chunk().expect("the end"), b"", "{function}");
    }
    up.stop();
}

#[test]
fn a_client_that_leaves_a_stream_frees_the_slot_and_the_function_sees_it() {
    let project = project();
    let up = Up::start(&project);
    for (function, order) in
        [("/puppet", "events&count=2"), ("/puppet", "endless"), ("/snake", "endless")]
    {
        let name = &function[1..];
        let seen = || up.get(&format!("{function}?do=seen")).ok().as_array().map_or(0, Vec::len);
        let before = seen();
        let mut client = up.raw();
        client.get(&format!("{function}?do={order}"));
        assert_eq!(client.head().status, 200);
        client.chunk().expect("the stream has begun");
        up.admin.wait_in_flight(name, 1);
        client.leave();
        up.admin.wait_in_flight(name, 0);
        eventually("the end of the generator", || (seen() > before).then_some(()));
    }
    up.stop();
}

#[test]
fn a_client_that_leaves_before_the_answer_cancels_the_call() {
    let project = project();
    let up = Up::start(&project);
    let seen = |what: Value| {
        eventually("word of it in the function", || {
            (up.get("/puppet?do=seen").ok() == what).then_some(())
        });
    };
    let mut client = up.raw();
    client.get("/puppet?do=wait");
    seen(json!(["waits"]));
    client.leave();
    up.admin.wait_in_flight("puppet", 0);
    seen(json!(["waits", "left"]));
    eventually("a request that was left", || {
        (up.admin.metrics().sum("gateway_requests_total", &["class=\"left\""]) == 1.0).then_some(())
    });
    up.stop();
}

#[test]
fn a_client_that_leaves_in_its_upload_frees_the_slot() {
    let project = project();
    let up = Up::start(&project);
    for function in BOTH {
        let mut client = up.raw();
        client.post(function, 1000).send("not all of it");
        up.admin.wait_in_flight(&function[1..], 1);
        client.leave();
        up.admin.wait_in_flight(&function[1..], 0);
    }
    up.stop();
}

fn server(lines: &str) -> Project {
    let manifest = format!(
        "[function.server]\nruntime = \"node\"\nmain = \"server.mjs\"\nhttp = {{ path = \"/\" }}\nmemory = \"192MiB\"\n{lines}\n"
    );
    Project::new(&manifest).file("server.mjs", SERVER)
}

const GIB: u64 = 1 << 30;

/// The highest that resident memory has been since [`forget_peak`].
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5)");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("proc(5)") * 1024
}

fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("proc(5), since Linux 4.0");
}

fn upload(up: &Up, bytes: u64) {
    let body = io::repeat(b'x').take(bytes);
    let mut response = up.upload("/", body).expect("an answer");
    let counted = response.body_mut().read_to_string().expect("a number");
    assert_eq!((response.status().as_u16(), counted), (200, bytes.to_string()));
}

fn download(up: &Up, bytes: u64) {
    let mut response = up.open(&format!("/?bytes={bytes}")).expect("an answer");
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let counted = io::copy(&mut body, &mut io::sink()).expect("the whole body");
    assert_eq!((response.status().as_u16(), counted), (200, bytes));
}

/// Up and down again; the daemon's memory stays where it was after a small transfer of each kind.
fn pass_through(bytes: u64) {
    let project = server("timeouts = { run = \"30m\", first_byte = \"30m\" }");
    let up = Up::start(&project);
    upload(&up, 16 << 20);
    download(&up, 16 << 20);
    let before = proc::resident_bytes(up.pid());
    forget_peak(up.pid());
    upload(&up, bytes);
    let after_upload = peak_bytes(up.pid());
    download(&up, bytes);
    let after_download = peak_bytes(up.pid());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{} GiB up and down: resident {:.1} MiB before, at most {:.1} MiB during the upload, {:.1} MiB by the end",
        bytes / GIB,
        mib(before),
        mib(after_upload),
        mib(after_download)
    );
    assert!(after_download.saturating_sub(before) < 8 << 20, "the daemon has grown");
    up.stop();
}

#[test]
fn a_gibibyte_passes_up_and_down_and_the_daemon_does_not_grow() {
    pass_through(GIB);
}

#[test]
#[ignore = "takes minutes: make soak runs it"]
fn ten_gibibytes_pass_up_and_down_and_the_daemon_does_not_grow() {
    pass_through(10 * GIB);
}

#[test]
fn a_client_that_does_not_read_holds_the_function_back() {
    let project = server("");
    let up = Up::start(&project);
    download(&up, 16 << 20);
    let before = proc::resident_bytes(up.pid());
    forget_peak(up.pid());
    let mut client = up.raw();
    client.get(&format!("/?bytes={GIB}"));
    assert_eq!(client.head().status, 200);
    client.exactly(1 << 20).expect("the beginning");
    // Others are served meanwhile, and the sockets between are as full as they get.
    for _ in 0..20 {
        download(&up, 1 << 20);
    }
    let grown = peak_bytes(up.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "the daemon holds {grown} bytes for a client that does not read");
    client.leave();
    up.admin.wait_in_flight("server", 0);
    up.stop();
}

#[test]
fn a_body_of_unknown_length_and_one_of_known_length_are_both_whole() {
    let project = server("");
    let up = Up::start(&project);
    upload(&up, 100_000);
    let answer = up.request("POST", "/", &[], &vec![b'x'; 100_000]).expect("an answer");
    assert_eq!(answer.text(), "100000");
    let head = up.request("HEAD", "/?bytes=5", &[], b"").expect("an answer");
    assert_eq!((head.status, head.body.len()), (200, 0));
    up.stop();
}

#[test]
fn a_client_that_waits_for_leave_to_send_is_given_it() {
    let project = server("");
    let up = Up::start(&project);
    let mut client = up.raw();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().status, 100);
    let head = client.send("12345").head();
    assert_eq!(head.status, 200);
    up.stop();
}

/// The handshake without its keys: no frame of the protocol is read here, only bytes.
const ECHO: &str = "
const server = require('http').createServer((request, response) => response.end('no echo'));
server.on('upgrade', (request, socket, head) => {
  const protocol = request.headers.upgrade;
  socket.write(`HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: ${protocol}\\r\\nConnection: Upgrade\\r\\n\\r\\n`);
  socket.write(head);
  socket.pipe(socket);
});
server.listen(3000);
";

#[test]
fn a_web_socket_is_a_tunnel_both_ways_and_no_other_protocol_is_switched_to() {
    let manifest =
        "[function.echo]\nruntime = \"node\"\nmain = \"echo.js\"\nhttp = { path = \"/\" }\n";
    let project = Project::new(manifest).file("echo.js", ECHO);
    let up = Up::start(&project);
    let ask = |client: &mut Raw, protocol: &str| {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        ));
        client.head()
    };
    let mut client = up.raw();
    let head = ask(&mut client, "websocket");
    assert_eq!((head.status, head.field("upgrade")), (101, "websocket"));
    for word in ["one", "two", "three"] {
        let back = client.send(word).exactly(word.len()).expect("an echo");
        assert_eq!(back, word.as_bytes());
    }
    up.admin.wait_in_flight("echo", 1);
    client.leave();
    up.admin.wait_in_flight("echo", 0);
    // Cleartext HTTP/2 by upgrade is one (RFC 9113 section 3.1 has dropped it).
    assert_eq!(ask(&mut up.raw(), "h2c").status, 200);
    up.stop();
}

#[test]
fn what_a_stream_is_made_of_decides_what_it_is_sent_as() {
    let project = project();
    let up = Up::start(&project);
    let mut response = up.open("/puppet?do=events&count=1").expect("an answer");
    let text = response.body_mut().read_to_string().expect("events");
    let data: Value = serde_json::from_str(text.trim_start_matches("data: ")).expect("JSON");
    assert_eq!(data, json!({ "n": 0 }));
    up.stop();
}
