//! A Node handler behind its adapter, called with a real client.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod runtime_support;

use runtime_support::{Package, REQUEST_ID, node_handler};
use serde_json::json;

/// Answers with what it was called with.
const ECHO: &str = "export function echo(ctx, ...args) {
  return args.map((arg) => (Buffer.isBuffer(arg) ? { bytes: arg.toString('hex') } : arg));
}";

fn echo() -> runtime_support::Function {
    Package::new(&[("src/echo.mjs", ECHO)]).start(&node_handler("src/echo.mjs", "echo"))
}

#[test]
fn arguments_come_from_the_query_when_there_is_no_body() {
    let function = echo();
    assert_eq!(function.get("/").json(), json!([]));
    assert_eq!(function.get("/?").json(), json!([]));
    let query = "/?name=Ada+L&tag=a&tag=b&empty=&__proto__=x";
    let expected = r#"[{"name":"Ada L","tag":["a","b"],"empty":"","__proto__":"x"}]"#;
    assert_eq!(function.get(query).text(), expected);
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
    let latin1 = function.curl("/").header("content-type", "text/plain; charset=\"ISO-8859-1\"");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin1.txt");
    std::fs::write(&file, b"caf\xe9").unwrap();
    let latin1 = latin1.args(&["--data-binary", &format!("@{}", file.display())]).answer();
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

const RESULTS: &str = "export const results = {
  nothing: () => undefined,
  nil: () => null,
  text: () => 'Grüezi',
  bytes: () => Buffer.from([0, 255]),
  view: () => new Uint16Array([1, 2]),
  buffer: () => new Uint8Array([7]).buffer,
  later: async () => ({ at: new Date(0) }),
  list: () => [1, 2],
  impossible: () => () => {},
  cycle: () => { const a = {}; a.a = a; return a; },
};
export const result = (ctx, { of }) => results[of]();";

#[test]
fn a_result_becomes_an_answer_by_its_type() {
    let function = Package::new(&[("r.mjs", RESULTS)]).start(&node_handler("r.mjs", "result"));
    let expect = |of: &str, status: u16, kind: Option<&str>, body: &[u8]| {
        let answer = function.get(&format!("/?of={of}"));
        assert_eq!(
            (answer.status, answer.header("content-type"), &answer.body[..]),
            (status, kind, body),
            "{of}"
        );
    };
    expect("nothing", 204, None, b"");
    expect("nil", 200, Some("application/json"), b"null");
    expect("text", 200, Some("text/plain; charset=utf-8"), "Grüezi".as_bytes());
    expect("bytes", 200, Some("application/octet-stream"), b"\x00\xff");
    expect("view", 200, Some("application/octet-stream"), b"\x01\x00\x02\x00");
    expect("buffer", 200, Some("application/octet-stream"), b"\x07");
    expect("later", 200, Some("application/json"), b"{\"at\":\"1970-01-01T00:00:00.000Z\"}");
    expect("list", 200, Some("application/json"), b"[1,2]");
    assert_eq!(function.get("/?of=impossible").status, 500);
    assert_eq!(function.get("/?of=cycle").status, 500);
}

const STREAMS: &str = "import { once } from 'node:events';
export async function* events(ctx) {
  try {
    yield { n: 1 };
    yield 'two\\nlines';
    await once(ctx.signal, 'abort');
  } finally {
    console.log('closed', ctx.signal.aborted);
  }
}
export function* text() { yield 'a'; yield Buffer.from('b'); yield 'c'; }
export function* bytes() { yield Buffer.from([1]); yield Buffer.from([2]); }
export const web = () => new ReadableStream({ start(c) { c.enqueue('web'); c.close(); } });
export async function* none() {}
export async function* early() { throw Object.assign(new Error('no such thing'), { status: 404 }); }
export async function* late() { yield 'begun'; throw new Error('broke'); }
export function* unfit() { yield { big: 1n }; }
export async function* mixed() { yield 'text'; yield { an: 'object' }; }
let sent = 0;
export async function* endless() { for (;;) { sent += 65536; yield Buffer.alloc(65536); } }
export const stream = (ctx, { of }) => ({ events, text, bytes, web, none, early, late, unfit, mixed, endless, sent: () => sent })[of](ctx);";

fn streams() -> runtime_support::Function {
    Package::new(&[("s.mjs", STREAMS)]).start(&node_handler("s.mjs", "stream"))
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
    expect("text", "text/plain; charset=utf-8", b"abc");
    expect("bytes", "application/octet-stream", b"\x01\x02");
    expect("web", "text/plain; charset=utf-8", b"web");
    expect("none", "text/plain; charset=utf-8", b"");
    assert_eq!(function.curl("/?of=endless").head().answer().status, 200);
}

#[test]
fn events_arrive_one_by_one_and_leaving_ends_the_generator() {
    let mut function = streams();
    let mut call = function.curl("/?of=events").open();
    call.read_to("data: {\"n\":1}");
    call.read_to("data: two");
    call.read_to("data: lines");
    call.hang_up();
    assert_eq!(function.log_line(), format!("\x1e{REQUEST_ID} closed true\n"));
    assert_eq!(function.get("/?of=text").text(), "abc", "the function goes on");
}

#[test]
fn a_stream_that_fails_has_a_status_before_its_first_item_and_is_cut_off_after() {
    let function = streams();
    let early = function.get("/?of=early");
    assert_eq!((early.status, &early.json()["detail"]), (404, &json!("no such thing")));
    assert_eq!(function.get("/?of=unfit").status, 500);
    for of in ["late", "mixed"] {
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
    let mut stalled = std::os::unix::net::UnixStream::connect(function.socket()).unwrap();
    std::io::Write::write_all(&mut stalled, b"GET /?of=endless HTTP/1.1\r\nhost: t\r\n\r\n")
        .unwrap();
    // Some of the stream has arrived, and nobody reads on.
    std::io::Read::read_exact(&mut stalled, &mut [0; 1024]).unwrap();
    let sent = || function.get("/?of=sent").json().as_u64().unwrap();
    let mut last = sent();
    // Each call is a turn of the event loop: it settles once the socket's buffer is full, and would
    // never otherwise.
    while last != sent() {
        last = sent();
        assert!(last < 64 * 1024 * 1024, "the generator runs ahead of its reader");
    }
}

const ERRORS: &str =
    "const fail = (fields) => { throw Object.assign(new TypeError('secret'), fields); };
export const error = (ctx, { of }) => ({
  plain: () => fail({}),
  status: () => fail({ status: 409 }),
  statusCode: () => fail({ statusCode: 422 }),
  exposed: () => fail({ status: 503, expose: true }),
  hidden: () => fail({ status: 403, expose: false }),
  odd: () => fail({ status: 200 }),
  rejected: async () => fail({ status: 410 }),
  value: () => { throw { status: 404, message: 'nothing there' }; },
  nil: () => { throw null; },
})[of]();";

#[test]
fn a_thrown_error_becomes_a_problem_with_a_status() {
    let function = Package::new(&[("e.mjs", ERRORS)]).start(&node_handler("e.mjs", "error"));
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
        (&json!("Internal Server Error"), &json!("TypeError"))
    );
    expect("status", 409, "secret");
    expect("statusCode", 422, "secret");
    expect("exposed", 503, "secret");
    expect("hidden", 403, kept);
    expect("odd", 500, kept);
    expect("rejected", 410, "secret");
    expect("value", 404, "nothing there");
    expect("nil", 500, kept);
}

#[test]
fn the_log_of_a_failure_holds_the_message_and_the_stack() {
    let mut function = Package::new(&[("e.mjs", ERRORS)]).start(&node_handler("e.mjs", "error"));
    function.get("/?of=plain");
    let line = function.log_line();
    let json =
        line.strip_prefix(&format!("\x1e{REQUEST_ID} ")).expect("the line belongs to the request");
    let line: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["status"]),
        (&json!("error"), &json!("secret"), &json!(500))
    );
    assert!(line["stack"].as_str().unwrap().contains("e.mjs"));
}

const CONTEXT: &str = "export function context(ctx) {
  const { requestId, trace, tenant, caller, deadline } = ctx;
  return { requestId, trace, tenant, caller, deadline, function: ctx.function, remaining: ctx.remainingMs(),
    aborted: ctx.signal.aborted, env: Object.keys(process.env).sort() };
}";

#[test]
fn the_context_is_about_business_and_the_environment_is_clean() {
    let package = Package::new(&[("c.mjs", CONTEXT)]).env("GREETING", "hi");
    let function = package.start(&node_handler("c.mjs", "context"));
    let traced = function
        .curl("/")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("hatchway-deadline-ms", "4102444800000")
        .header("hatchway-caller", "partner");
    let context = traced.answer().json();
    let trace = json!({"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "parentId": "00f067aa0ba902b7", "sampled": true});
    assert_eq!(context["trace"], trace);
    assert_eq!(context["requestId"], REQUEST_ID);
    assert_eq!(
        (&context["tenant"], &context["function"], &context["caller"]),
        (&json!("acme"), &json!("tested"), &json!("partner"))
    );
    assert_eq!(
        (&context["deadline"], &context["aborted"]),
        (&json!("2100-01-01T00:00:00.000Z"), &json!(false))
    );
    assert!(context["remaining"].as_f64().unwrap() > 0.0);
    let names = [
        "GREETING",
        "HATCHWAY_CONCURRENCY",
        "HATCHWAY_FUNCTION",
        "HATCHWAY_SANDBOX",
        "HATCHWAY_TENANT",
        "HATCHWAY_VERSION",
    ];
    let names: Vec<&str> =
        names.into_iter().chain(["HOME", "LANG", "PATH", "PORT", "PWD", "TMPDIR"]).collect();
    let found: Vec<&str> = (context["env"].as_array().unwrap().iter())
        .filter_map(|name| name.as_str())
        .filter(|name| *name != "_" && *name != "OLDPWD" && *name != "SHLVL")
        .collect();
    assert_eq!(found, names);

    let bare = function
        .curl("/")
        .header("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01");
    let bare = bare.header("hatchway-deadline-ms", "0").answer().json();
    assert_eq!(
        (bare.get("trace"), bare.get("caller"), &bare["remaining"]),
        (None, None, &json!(0))
    );
}

const LOGS: &str = "import { setTimeout } from 'node:timers/promises';
console.log('loading');
let turn;
const both = new Promise((resolve) => { turn = resolve; });
let arrived = 0;
export async function logs(ctx, { name }) {
  if (++arrived === 2) turn();
  await both;
  process.stdout.write(`${name} begins `);
  await setTimeout(1);
  console.error('%s: two\\nlines', name);
  console.log('and ends');
  await new Promise((resolve) => setImmediate(resolve));
  ctx.log.warn('careful', { name, cause: new Map() });
  process.stdout.write('no end');
}";

#[test]
fn every_line_carries_the_request_that_wrote_it() {
    let mut function = Package::new(&[("l.mjs", LOGS)]).start(&node_handler("l.mjs", "logs"));
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
        let lines: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        let structured =
            format!(r#"{{"level":"warn","message":"careful","name":"{name}","cause":{{}}}}"#);
        let begins = format!("{name} begins and ends");
        let two = format!("{name}: two");
        assert_eq!(lines, [two.as_str(), "lines", &begins, &structured, "no end"], "{log}");
    }
}

const LEAVING: &str = "import { once } from 'node:events';
export async function leaving(ctx) {
  console.log('waiting');
  await once(ctx.signal, 'abort');
  console.log('left');
}";

#[test]
fn the_signal_fires_when_the_caller_leaves() {
    let mut function = Package::new(&[("l.mjs", LEAVING)]).start(&node_handler("l.mjs", "leaving"));
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("waiting\n"));
    call.hang_up();
    assert!(function.log_line().ends_with("left\n"));
}

#[test]
fn a_module_may_be_commonjs_and_its_export_the_default() {
    let function =
        Package::new(&[("m.cjs", "module.exports = { ['hel' + 'lo']: (ctx) => 'cjs' };")]);
    assert_eq!(function.start(&node_handler("m.cjs", "hello")).get("/").text(), "cjs");
    let function = Package::new(&[("m.js", "module.exports = (ctx) => 'default';")]);
    assert_eq!(function.start(&node_handler("m.js", "default")).get("/").text(), "default");
    let function = Package::new(&[("m.mjs", "export default async () => 'esm';")]);
    assert_eq!(function.start(&node_handler("m.mjs", "default")).get("/").text(), "esm");
}

#[test]
fn a_start_that_fails_says_why() {
    let failed = |text: &str| {
        let mut function = Package::new(&[("m.mjs", text)]).spawn(&node_handler("m.mjs", "hello"));
        let word = function.word()["failed"].clone();
        assert!(!function.wait().success());
        word
    };
    let word = failed("export const hallo = () => 1; export const hi = 2;");
    let message = "m.mjs exports no function hello; it exports hallo, hi";
    assert_eq!(word, json!({"reason": "handler_not_found", "message": message}));
    let word = failed("throw new Error('no database');");
    assert_eq!(
        (&word["reason"], &word["message"]),
        (&json!("module_failed"), &json!("no database"))
    );
    assert!(word["stack"].as_str().unwrap().contains("m.mjs:1"));
    let word = failed("import 'nowhere';");
    assert!(word["message"].as_str().unwrap().contains("Cannot find package 'nowhere'"), "{word}");
    assert_eq!(failed("process.exit(0);")["reason"], "module_failed");
    assert_eq!(failed("await new Promise(() => {});")["reason"], "module_failed");
}

const SLOW: &str = "setInterval(() => {}, 1000);
let go;
const gate = new Promise((resolve) => { go = resolve; });
export async function slow(ctx, args) {
  if (args?.go) return go();
  console.log('begun');
  await gate;
  return 'finished';
}";

#[test]
fn on_sigterm_what_runs_is_finished_and_the_process_ends() {
    let mut function = Package::new(&[("s.mjs", SLOW)]).start(&node_handler("s.mjs", "slow"));
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
    let url = "http://tested/?n=2";
    let answer = function.curl("/?n=1").args(&[url, "--write-out", "|%{num_connects}"]).answer();
    assert!(answer.text().ends_with("[{\"n\":\"2\"}]|0"), "{}", answer.text());
}
