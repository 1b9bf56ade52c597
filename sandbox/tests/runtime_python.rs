//! A Python handler behind its adapter, called with a real client. The rules are those of
//! `runtime_node.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod runtime_support;

use runtime_support::{Function, Package, REQUEST_ID, python_handler};
use rustix::process::Signal;
use serde_json::json;

/// Answers with what it was called with.
const ECHO: &str = "
def echo(ctx, *args):
    return [{'bytes': arg.hex()} if isinstance(arg, bytes) else arg for arg in args]
";

fn echo() -> Function {
    Package::new(&[("src/echo.py", ECHO)]).start(&python_handler("src/echo.py", "echo"))
}

#[test]
fn arguments_come_from_the_query_when_there_is_no_body() {
    let function = echo();
    assert_eq!(function.get("/").json(), json!([]));
    assert_eq!(function.get("/?").json(), json!([]));
    let query = "/?name=Ada+L&tag=a&tag=b&tag=c&empty=";
    assert_eq!(
        function.get(query).json(),
        json!([{"name": "Ada L", "tag": ["a", "b", "c"], "empty": ""}])
    );
    assert_eq!(function.curl("/?a=1").method("DELETE").answer().json(), json!([{"a": "1"}]));
    let empty = function.curl("/?a=1").header("content-length", "0").method("POST").answer();
    assert_eq!(empty.json(), json!([{"a": "1"}]));
    let head = function.curl("/?a=1").head().answer();
    assert_eq!((head.status, head.header("content-length")), (200, Some("11")));
}

#[test]
fn arguments_come_from_the_body_by_its_type() {
    let function = echo();
    let call = |kind: &str, body: &str| function.curl("/?ignored=1").body(kind, body).answer();
    assert_eq!(
        call("application/json", "[1, \"two\", {\"three\": 3}]").json(),
        json!([1, "two", {"three": 3}])
    );
    assert_eq!(call("application/json; charset=utf-8", "{\"a\": [1]}").json(), json!([{"a": [1]}]));
    assert_eq!(call("application/json", "null").json(), json!([null]));
    assert_eq!(call("application/cloudevents+json", "{\"id\": 1}").json(), json!([{"id": 1}]));
    assert_eq!(call("text/markdown", "# Grüezi").json(), json!(["# Grüezi"]));
    assert_eq!(
        call("application/x-www-form-urlencoded", "a=1&b=2&b=3").json(),
        json!([{"a": "1", "b": ["2", "3"]}])
    );
    assert_eq!(call("image/png", "PNG").json(), json!([{"bytes": "504e47"}]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin1.txt");
    std::fs::write(&file, b"caf\xe9").unwrap();
    let latin1 = function.curl("/").file("text/plain; charset=\"ISO-8859-1\"", &file).answer();
    assert_eq!(latin1.json(), json!(["café"]));
}

#[test]
fn a_body_that_cannot_be_an_argument_is_refused_with_its_reason() {
    let function = echo();
    let call = |kind: &str, body: &str| function.curl("/").body(kind, body);
    let bad = call("application/json", "{\"a\":").answer();
    assert_eq!((bad.status, bad.header("content-type")), (400, Some("application/problem+json")));
    assert!(bad.json()["detail"].as_str().unwrap().starts_with("the body is not JSON"));
    assert_eq!(
        call("application/json", "x").header("content-encoding", "gzip").answer().status,
        415
    );
    assert_eq!(call("text/plain; charset=klingon", "x").answer().status, 415);

    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'x'; 10 * 1024 * 1024 + 1]).unwrap();
    let declared = function.curl("/").file("text/plain", &large).answer();
    assert_eq!(declared.status, 413);
    let chunked = function
        .curl("/")
        .header("transfer-encoding", "chunked")
        .file("text/plain", &large)
        .answer();
    assert_eq!((chunked.status, chunked.json()["name"].as_str()), (413, Some("Refusal")));
    std::fs::write(&large, vec![b'x'; 10 * 1024 * 1024]).unwrap();
    let fits = function
        .curl("/")
        .header("transfer-encoding", "chunked")
        .file("text/plain", &large)
        .answer();
    assert_eq!((fits.status, fits.body.len()), (200, 10 * 1024 * 1024 + 4));
}

const RESULTS: &str = "
import datetime, dataclasses
@dataclasses.dataclass
class Point:
    x: int
    at: datetime.date
async def later(): return {'x': 'Grüezi'}
results = dict(
    nothing=lambda: None, text=lambda: 'Grüezi', bytes=lambda: b'\\x00\\xff', view=lambda: memoryview(b'ab'),
    later=later, list=lambda: [1, 2], false=lambda: False,
    point=lambda: Point(1, datetime.date(1970, 1, 1)),
    impossible=lambda: object(), nan=lambda: float('nan'),
)
def result(ctx, args): return results[args['of']]()
";

#[test]
fn a_result_becomes_an_answer_by_its_type() {
    let function = Package::new(&[("r.py", RESULTS)]).start(&python_handler("r.py", "result"));
    let expect = |of: &str, status: u16, kind: Option<&str>, body: &[u8]| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type"), &answer.body[..]),
            (status, kind, body),
            "{of}"
        );
    };
    expect("nothing", 204, None, b"");
    expect("text", 200, Some("text/plain; charset=utf-8"), "Grüezi".as_bytes());
    expect("bytes", 200, Some("application/octet-stream"), b"\x00\xff");
    expect("view", 200, Some("application/octet-stream"), b"ab");
    expect("later", 200, Some("application/json"), "{\"x\":\"Grüezi\"}".as_bytes());
    expect("list", 200, Some("application/json"), b"[1,2]");
    expect("false", 200, Some("application/json"), b"false");
    expect("point", 200, Some("application/json"), b"{\"x\":1,\"at\":\"1970-01-01\"}");
    assert_eq!(function.get("/?of=impossible").status, 500);
    assert_eq!(function.get("/?of=nan").status, 500);
}

const STREAMS: &str = "
import asyncio
def events(ctx):
    try:
        yield {'n': 1}
        yield 'two\\nlines'
        while not ctx.cancelled:
            yield {'n': 2}
    finally:
        print('closed', ctx.cancelled)
async def async_events(ctx):
    try:
        yield {'n': 1}
        yield 'two\\nlines'
        await asyncio.Event().wait()
    finally:
        print('closed', ctx.cancelled)
def text(ctx):
    yield 'a'
    yield b'b'
    yield 'c'
async def async_text(ctx):
    for item in ('a', b'b', 'c'):
        await asyncio.sleep(0)
        yield item
async def awaited(ctx): return text(ctx)
async def awaited_async(ctx): return async_text(ctx)
def bytes_(ctx):
    yield bytes([1])
    yield bytearray([2])
def mapped(ctx): return map(str, [1, 2])
def none(ctx): return iter(())
def early(ctx):
    error = ValueError('no such thing')
    error.status = 404
    raise error
    yield
async def async_early(ctx):
    for item in early(ctx): yield item
def late(ctx):
    yield 'begun'
    raise ValueError('broke')
async def async_late(ctx):
    for item in late(ctx): yield item
def unfit(ctx): yield {1, 2}
def mixed(ctx):
    yield 'text'
    yield {'an': 'object'}
sent = [0]
def endless(ctx):
    while True:
        sent[0] += 65536
        yield bytes(65536)
async def async_endless(ctx):
    for item in endless(ctx): yield item
def stream(ctx, args):
    return sent[0] if args['of'] == 'sent' else globals()[args['of']](ctx)
";

fn streams() -> Function {
    Package::new(&[("s.py", STREAMS)]).start(&python_handler("s.py", "stream"))
}

#[test]
fn an_iterator_streams_as_text_bytes_or_events() {
    let function = streams();
    let expect = |of: &str, kind: &str, body: &[u8]| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type"), &answer.body[..]),
            (200, Some(kind), body),
            "{of}"
        );
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{of}");
    };
    for of in ["text", "async_text", "awaited", "awaited_async"] {
        expect(of, "text/plain; charset=utf-8", b"abc");
    }
    expect("bytes_", "application/octet-stream", b"\x01\x02");
    expect("mapped", "text/plain; charset=utf-8", b"12");
    expect("none", "text/plain; charset=utf-8", b"");
    assert_eq!(function.curl("/?of=endless").head().answer().status, 200);
}

#[test]
fn events_arrive_one_by_one_and_leaving_ends_the_generator() {
    let mut function = streams();
    for of in ["events", "async_events"] {
        let mut call = function.curl(&format!("/?of={of}")).open();
        call.read_to("data: {\"n\":1}");
        call.read_to("data: two");
        call.read_to("data: lines");
        call.hang_up();
        assert_eq!(function.log_line(), format!("\x1e{REQUEST_ID} closed True\n"), "{of}");
    }
    assert_eq!(function.get("/?of=text").text(), "abc", "the function goes on");
}

#[test]
fn a_stream_that_fails_has_a_status_before_its_first_item_and_is_cut_off_after() {
    let function = streams();
    for of in ["early", "async_early"] {
        let early = function.get(&format!("/?of={of}"));
        assert_eq!((early.status, &early.json()["detail"]), (404, &json!("no such thing")), "{of}");
    }
    assert_eq!(function.get("/?of=unfit").status, 500);
    for of in ["late", "async_late", "mixed"] {
        let late = function.get(&format!("/?of={of}"));
        assert_eq!(
            (late.status, late.exit),
            (200, 18),
            "curl: transfer closed with outstanding data"
        );
    }
}

#[test]
fn a_stream_is_no_faster_than_its_reader() {
    let function = streams();
    for of in ["endless", "async_endless"] {
        let mut stalled = std::os::unix::net::UnixStream::connect(function.socket()).unwrap();
        let request = format!("GET /?of={of} HTTP/1.1\r\nhost: t\r\n\r\n");
        std::io::Write::write_all(&mut stalled, request.as_bytes()).unwrap();
        // Some of the stream has arrived, and nobody reads on.
        std::io::Read::read_exact(&mut stalled, &mut [0; 1024]).unwrap();
        let sent = || function.get("/?of=sent").json().as_u64().unwrap();
        let mut last = sent();
        // It settles once the socket's buffer is full, and would never otherwise.
        while last != sent() {
            last = sent();
            assert!(last < 64 * 1024 * 1024, "the generator runs ahead of its reader");
        }
    }
}

const ERRORS: &str = "
class Failure(Exception):
    def __init__(self, **fields):
        super().__init__('secret')
        vars(self).update(fields)
cases = dict(
    plain={}, status=dict(status=409), status_code=dict(status_code=422), exposed=dict(status=503, expose=True),
    hidden=dict(status=403, expose=False), odd=dict(status=200),
)
async def rejected(): raise Failure(status=410)
def error(ctx, args):
    of = args['of']
    if of == 'rejected': return rejected()
    if of == 'exit': raise SystemExit(3)
    if of == 'file': open('/nowhere')
    raise Failure(**cases[of])
";

#[test]
fn a_raised_exception_becomes_a_problem_with_a_status() {
    let function = Package::new(&[("e.py", ERRORS)]).start(&python_handler("e.py", "error"));
    let expect = |of: &str, status: u16, detail: &str| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{of}"
        );
        let problem = answer.json();
        assert_eq!(
            (&problem["status"], &problem["detail"]),
            (&json!(status), &json!(detail)),
            "{of}"
        );
        assert_eq!(problem["instance"], REQUEST_ID);
        problem
    };
    let kept = "the function failed; its log says why";
    let plain = expect("plain", 500, kept);
    assert_eq!(
        (&plain["title"], &plain["name"]),
        (&json!("Internal Server Error"), &json!("Failure"))
    );
    expect("status", 409, "secret");
    expect("status_code", 422, "secret");
    expect("exposed", 503, "secret");
    expect("hidden", 403, kept);
    expect("odd", 500, kept);
    expect("rejected", 410, "secret");
    expect("exit", 500, kept);
    assert_eq!(expect("file", 500, kept)["name"], "FileNotFoundError");
}

#[test]
fn the_log_of_a_failure_holds_the_message_and_the_stack() {
    let mut function = Package::new(&[("e.py", ERRORS)]).start(&python_handler("e.py", "error"));
    function.get("/?of=plain");
    let line = function.log_line();
    let json =
        line.strip_prefix(&format!("\x1e{REQUEST_ID} ")).expect("the line belongs to the request");
    let line: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["status"]),
        (&json!("error"), &json!("secret"), &json!(500))
    );
    assert!(line["stack"].as_str().unwrap().contains("e.py"));
}

const CONTEXT: &str = "
import os, sys
def context(ctx):
    trace = ctx.trace and [ctx.trace.trace_id, ctx.trace.parent_id, ctx.trace.sampled]
    return dict(id=ctx.request_id, trace=trace, tenant=ctx.tenant, caller=ctx.caller, function=ctx.function,
        deadline=ctx.deadline, remaining=min(ctx.remaining_ms(), 1e18), cancelled=ctx.cancelled,
        env=sorted(os.environ), path=sys.path[0])
";

#[test]
fn the_context_is_about_business_and_the_environment_is_clean() {
    let package = Package::new(&[("c.py", CONTEXT)]).env("GREETING", "hi");
    let folder = package.path().canonicalize().unwrap();
    let function = package.start(&python_handler("c.py", "context"));
    let traced = function
        .curl("/")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("hatchway-deadline-ms", "4102444800000")
        .header("hatchway-caller", "partner");
    let context = traced.answer().json();
    assert_eq!(
        context["trace"],
        json!(["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true])
    );
    assert_eq!((&context["id"], &context["tenant"]), (&json!(REQUEST_ID), &json!("acme")));
    assert_eq!((&context["function"], &context["caller"]), (&json!("tested"), &json!("partner")));
    assert_eq!(context["deadline"], "2100-01-01T00:00:00+00:00");
    assert_eq!((&context["cancelled"], &context["path"]), (&json!(false), &json!(folder)));
    assert!(context["remaining"].as_f64().unwrap() > 0.0);
    let env = context["env"].as_array().unwrap();
    assert!(
        env.contains(&json!("GREETING")) && !env.contains(&json!("HATCHWAY_LISTENER")),
        "{env:?}"
    );
    assert!(!env.contains(&json!("CARGO_PKG_NAME")), "{env:?}");

    let bare = function
        .curl("/")
        .header("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let bare = bare.header("hatchway-deadline-ms", "0").answer().json();
    assert_eq!(
        (&bare["trace"], &bare["caller"], &bare["remaining"]),
        (&json!(null), &json!(null), &json!(0.0))
    );
    assert_eq!(function.get("/").json()["remaining"], 1e18);
}

const LOGS: &str = "
import asyncio, logging, sys, threading
print('loading')
both = threading.Barrier(2)
logging.basicConfig(level=logging.INFO, format='%(message)s')
def pieces(ctx, name):
    sys.stdout.write(name + ' begins ')
    both.wait()
    print(name + ': two\\nlines', file=sys.stderr)
    print('and', 'ends')
    logging.info('%s by logging', name)
    thread = threading.Thread(target=lambda: ctx.log.warning('careful, %s', name, extra={'n': 1}))
    thread.start()
    thread.join()
    print('no end', end='')
def logs(ctx, args): pieces(ctx, args['name'])
async def async_logs(ctx, args):
    await asyncio.gather(asyncio.to_thread(pieces, ctx, args['name']))
    await asyncio.sleep(0)
";

#[test]
fn every_line_carries_the_request_that_wrote_it() {
    for handler in ["logs", "async_logs"] {
        let mut function = Package::new(&[("l.py", LOGS)]).start(&python_handler("l.py", handler));
        let call = |name: &str| function.curl_as(name, &format!("/?name={name}")).open();
        let (ada, bob) = (call("ada"), call("bob"));
        ada.finish();
        bob.finish();
        function.terminate();
        assert!(function.wait().success());
        let log = function.rest_of_log();
        assert!(log.starts_with("loading\n"), "{log}");
        for name in ["ada", "bob"] {
            let prefix = format!("\x1e{name} ");
            let lines: Vec<&str> =
                log.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
            let two = format!("{name}: two");
            let ends = format!("{name} begins and ends");
            let logging = format!("{name} by logging");
            let structured =
                format!(r#"{{"level": "warn", "message": "careful, {name}", "n": 1}}"#);
            assert_eq!(
                lines,
                [two.as_str(), "lines", &ends, &logging, &structured, "no end"],
                "{log}"
            );
        }
    }
}

const LEAVING: &str = "
import asyncio
async def leaving(ctx):
    print('waiting')
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print('left')
        raise
";

#[test]
fn a_coroutine_is_cancelled_when_the_caller_leaves() {
    let mut function = Package::new(&[("l.py", LEAVING)]).start(&python_handler("l.py", "leaving"));
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("waiting\n"));
    call.hang_up();
    assert!(function.log_line().ends_with("left\n"));
}

const CROWD: &str = "
import signal, threading
turn = threading.Semaphore(0)
signal.signal(signal.SIGUSR1, lambda *_: turn.release())
def crowd(ctx):
    print('in')
    turn.acquire()
    print('out')
";

#[test]
fn no_more_handlers_run_at_once_than_the_function_was_promised() {
    let package = Package::new(&[("c.py", CROWD)]).concurrency(3);
    let mut function = package.start(&python_handler("c.py", "crowd"));
    let calls: Vec<_> = (0..6).map(|_| function.curl("/").open()).collect();
    let mut inside = 0;
    for line in 0..12 {
        // All that can be inside are, or have been: let one out.
        if line >= 3 && inside == 3 || line >= 9 {
            function.signal(Signal::USR1);
        }
        inside += if function.log_line().ends_with("in\n") { 1 } else { -1 };
        assert!(inside <= 3, "{inside} handlers at once");
    }
    assert_eq!(inside, 0);
    calls.into_iter().for_each(|call| assert!(call.finish().contains("204")));
}

#[test]
fn a_handler_may_be_named_by_its_module_and_import_its_neighbours() {
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/mod.py", "import top\nclass A:\n  @staticmethod\n  def f(ctx): return top.word\n"),
        ("top.py", "word = 'dotted'"),
    ];
    assert_eq!(
        Package::new(&files).start(&python_handler("pkg.mod", "A.f")).get("/").text(),
        "dotted"
    );
    let files = [
        ("src/main.py", "import beside, top\ndef f(ctx): return beside.word + top.word"),
        ("src/beside.py", "word = 'be'"),
        ("top.py", "word = 'side'"),
    ];
    assert_eq!(
        Package::new(&files).start(&python_handler("src/main.py", "f")).get("/").text(),
        "beside"
    );
}

#[test]
fn a_start_that_fails_says_why() {
    let failed = |text: &str| {
        let mut function = Package::new(&[("m.py", text)]).spawn(&python_handler("m.py", "hello"));
        let word = function.word()["failed"].clone();
        assert_eq!(function.wait().code(), Some(1));
        word
    };
    let word = failed("def hallo(ctx): pass\n");
    assert_eq!(
        word,
        json!({"reason": "handler_not_found", "message": "m.py has no callable hello; it has hallo"})
    );
    let word = failed("raise RuntimeError('no database')");
    assert_eq!(
        (&word["reason"], &word["message"]),
        (&json!("module_failed"), &json!("RuntimeError: no database"))
    );
    assert!(word["stack"].as_str().unwrap().contains("m.py"));
    assert_eq!(
        failed("import nowhere")["message"],
        "ModuleNotFoundError: No module named 'nowhere'"
    );
    assert_eq!(failed("import sys; sys.exit(0)")["reason"], "module_failed");
}

const SLOW: &str = "
import threading
gate = threading.Event()
def slow(ctx, args=None):
    if args: return gate.set()
    print('begun')
    gate.wait()
    return 'finished'
";

#[test]
fn on_sigterm_what_runs_is_finished_and_the_process_ends() {
    let mut function = Package::new(&[("s.py", SLOW)]).start(&python_handler("s.py", "slow"));
    // A kept connection, to open the gate with once the listener is closed.
    let mut kept = std::os::unix::net::UnixStream::connect(function.socket()).unwrap();
    std::io::Write::write_all(
        &mut kept,
        b"POST /?go=1 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .unwrap();
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("begun\n"));
    function.terminate();
    std::io::Write::write_all(&mut kept, b"0\r\n\r\n").unwrap();
    assert!(call.finish().ends_with("finished"));
    assert!(function.wait().success());
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let function = echo();
    let answer = function
        .curl("/?n=1")
        .args(&["http://tested/?n=2", "--write-out", "|%{num_connects}"])
        .answer();
    assert!(answer.text().ends_with("[{\"n\":\"2\"}]|0"), "{}", answer.text());
}

#[test]
fn the_adapters_are_compiled_once_for_all_starts() {
    let dir = tempfile::tempdir().unwrap();
    let adapters = hatchway_sandbox::runtime::install_adapters(dir.path()).unwrap();
    let python = runtime_support::interpreters().python.unwrap();
    adapters.compile(&python).unwrap();
    let cache = dir.path().join("python/hatchway_adapter/__pycache__");
    let name = format!("server.cpython-{}{}.pyc", python.version.0, python.version.1);
    assert!(cache.join(&name).is_file(), "no {name}");
}
