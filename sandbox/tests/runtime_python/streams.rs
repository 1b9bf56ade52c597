//! What becomes of an iterator.

use serde_json::json;

use crate::runtime_support::{Function, Package, REQUEST_ID, python_handler};

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
