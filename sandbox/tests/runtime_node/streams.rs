//! What becomes of an iterator.

use serde_json::json;

use crate::runtime_support::{Function, Package, REQUEST_ID, node_handler};

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

fn streams() -> Function {
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
