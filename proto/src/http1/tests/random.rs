//! The claims of `check` on messages that are put together at random from the words that matter.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::check;

const REQUEST_WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "/",
    "/a?b=c ",
    "* ",
    "http://b:1/c?d ",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    "a",
    "Host: a\r\n",
    "Host: [::1]:80\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: ",
    "close",
    "keep-alive",
    "Upgrade",
    "x-a",
    "X-A: b\r\n",
    "X-B:c \r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "TE: trailers\r\n",
    "Trailer: x-a\r\n",
    "Hatchway-Node: n\r\n",
    "hatchway_load: 1\r\n",
    "Keep-Alive: 5\r\n",
    "X-Drop: 1\r\n",
    "\u{fc}",
    "\0",
];

const RESPONSE_WORDS: &[&str] = &[
    "HTTP/1.1 ",
    "HTTP/1.0 ",
    "200 OK",
    "204 No Content",
    "304 Not Modified",
    "100 Continue",
    "101 S",
    "099",
    "999 X",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    ": ",
    "a",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: upgrade, x-a\r\n",
    "Connection: keep-alive\r\n",
    "Upgrade: websocket\r\n",
    "X-A: b\r\n",
    "X-B:c \r\n",
    "Trailer: x\r\n",
    "Hatchway-Node: n\r\n",
    "Set-Cookie: a\r\n",
    "\u{fc}",
];

const CHUNK_WORDS: &[&str] = &[
    "0",
    "1",
    "5",
    "a",
    "F",
    "00",
    "7fffffffffffffff",
    "8",
    "\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "1\r\nx\r\n",
    "x",
    "hello",
    "\n",
    "\r",
    ";",
    ";a=b",
    ";a=\"b\\\"\"",
    "\"",
    "=",
    " ",
    "X: 1\r\n",
    "Y:2\r\n",
    "Content-Length: 1\r\n",
    "hatchway-x: 1\r\n",
    ":",
    "\0",
];

fn words(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(from), 0..most).prop_map(|words| words.concat().into_bytes())
}

/// Good beginnings, so that most of the work is done behind the first line.
fn after(start: &'static str, from: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    words(from, 12).prop_map(move |rest| [start.as_bytes(), &rest, b"\r\n\r\n"].concat())
}

/// A good message with some bytes changed.
fn damaged(good: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    vec((0..good.len(), any::<u8>()), 0..4).prop_map(move |changes| {
        let mut bytes = good.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

const REQUEST: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: a:80\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nX-B: 2\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nServer: b\r\n\r\n";
const CHUNKS: &[u8] =
    b"5;a=\"b\\c\";d\r\nhello\r\n1\r\nx\r\n0\r\nX: 1\r\nLonger-Name: 2\r\n\r\nGET";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_as_a_request(data in vec(any::<u8>(), 0..200)) {
        check::request_head(&data);
    }

    #[test]
    fn requests_from_words(
        data in prop_oneof![words(REQUEST_WORDS, 16), after("GET / HTTP/1.1\r\nHost: a\r\n", REQUEST_WORDS), damaged(REQUEST)]
    ) {
        check::request_head(&data);
    }

    #[test]
    fn responses_from_words(
        data in prop_oneof![words(RESPONSE_WORDS, 16), after("HTTP/1.1 200 OK\r\n", RESPONSE_WORDS), damaged(RESPONSE)]
    ) {
        check::response_head(&data);
    }

    #[test]
    fn chunks_from_words(data in prop_oneof![words(CHUNK_WORDS, 24), damaged(CHUNKS), vec(any::<u8>(), 0..64)]) {
        check::chunked_body(&data);
    }
}
