//! What is counted. Every case is a shape of load whose cost has an own reason to grow.

use super::client::Load;
use super::stage::Group;

/// One shape of load.
#[derive(Debug)]
pub(crate) struct Case {
    /// The name in the budget's file.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) stage: Group,
    pub(crate) load: Load,
    /// Rounds before the count begins: every connection is open, every pool is full.
    pub(crate) warm_up: usize,
    /// Rounds that are counted.
    pub(crate) rounds: usize,
}

/// As many as `make bench` keeps open.
const CONNECTIONS: usize = 64;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "get",
        what: "GET 1 KiB, 64 connections kept alive",
        stage: Group::Up,
        load: Load::Kept { connections: CONNECTIONS, at_once: 1, request: |_| get("bench", "") },
        warm_up: 4,
        rounds: 40,
    },
    Case {
        name: "one",
        what: "GET 1 KiB, one client",
        stage: Group::Up,
        load: Load::Kept { connections: 1, at_once: 1, request: |_| get("bench", "") },
        warm_up: 50,
        rounds: 1000,
    },
    Case {
        name: "post",
        what: "POST 64 KiB, 16 connections kept alive",
        stage: Group::Up,
        load: Load::Kept { connections: 16, at_once: 1, request: |_| post(64 * 1024) },
        warm_up: 4,
        rounds: 40,
    },
    Case {
        name: "fields",
        what: "GET 1 KiB with 20 field lines, 64 connections kept alive",
        stage: Group::Up,
        load: Load::Kept {
            connections: CONNECTIONS,
            at_once: 1,
            request: |_| get("bench", FIELDS),
        },
        warm_up: 4,
        rounds: 40,
    },
    Case {
        name: "pipelined",
        what: "GET 1 KiB, 8 connections, 16 requests in one write",
        stage: Group::Up,
        load: Load::Kept { connections: 8, at_once: 16, request: |_| get("bench", "") },
        warm_up: 4,
        rounds: 20,
    },
    Case {
        name: "connect",
        what: "GET 1 KiB, a new connection per request, 16 at a time",
        stage: Group::Up,
        load: Load::Fresh { at_a_time: 16, request: |_| close() },
        warm_up: 10,
        rounds: 60,
    },
    Case {
        name: "http2",
        what: "HTTP/2 GET 1 KiB, 8 connections x 8 streams",
        stage: Group::Up,
        load: Load::Streams { connections: 8, at_once: 8, path: "/1k" },
        warm_up: 4,
        rounds: 40,
    },
    Case {
        name: "two",
        what: "GET 1 KiB through a gateway and a node, 64 connections; both programs",
        stage: Group::Pair,
        load: Load::Kept { connections: CONNECTIONS, at_once: 1, request: |_| get("bench", "") },
        warm_up: 4,
        rounds: 40,
    },
    Case {
        name: "routes",
        what: "the same with 100,000 routes hit evenly; both programs",
        stage: Group::Routes,
        load: Load::Kept {
            connections: CONNECTIONS,
            at_once: 1,
            request: |index| get(&super::stage::host(index), ""),
        },
        warm_up: 4,
        rounds: 40,
    },
];

/// What a browser sends, twenty lines with the host.
const FIELDS: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.8,de;q=0.5,fr;q=0.3\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    referer: https://shop.example/list?page=3&sort=price\r\n\
    dnt: 1\r\n\
    cookie: session=6f1d0c6d2b0e4d0d9d4ce0c4a3b5f1aa; theme=dark; seen=17\r\n\
    upgrade-insecure-requests: 1\r\n\
    sec-fetch-dest: document\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-site: same-origin\r\n\
    sec-fetch-user: ?1\r\n\
    sec-gpc: 1\r\n\
    priority: u=0, i\r\n\
    te: trailers\r\n\
    if-modified-since: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
    if-none-match: \"6f1d0c6d2b0e4d0d\"\r\n\
    cache-control: max-age=0\r\n\
    pragma: no-cache\r\n";

fn get(host: &str, fields: &str) -> Vec<u8> {
    format!("GET /1k HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n").into_bytes()
}

fn close() -> Vec<u8> {
    b"GET /1k HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n".to_vec()
}

fn post(length: usize) -> Vec<u8> {
    let head = format!("POST /post HTTP/1.1\r\nhost: bench\r\ncontent-length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; length]].concat()
}
