//! What is asked of every gateway. One request at a time shows what a hop adds to a call; sixty-four
//! at a time show what it costs.

use crate::front::Front;
use crate::peers::Peer;

/// One shape of load.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) connections: u32,
    pub(crate) front: Front,
    /// Lua for wrk: what each request is.
    pub(crate) request: &'static str,
    pub(crate) path: &'static str,
    pub(crate) peers: &'static [Peer],
}

/// Everybody with a program of their own, and the function alone.
const ONE_HOP: &[Peer] = &[Peer::Direct, Peer::Hatchway, Peer::Nginx, Peer::Haproxy, Peer::Envoy];

/// Those who speak something that the function does not.
const GATEWAYS: &[Peer] = &[Peer::Hatchway, Peer::Nginx, Peer::Haproxy, Peer::Envoy];

/// A host of its own for each request, of the 100,000 that [`Peer::Routes`] has a route for.
const HOSTS: &str = r#"
local at = 0
request = function()
    at = (at + 7919) % 100000
    return wrk.format("GET", "/1k", {["Host"] = "h" .. at .. ".example"})
end"#;

const CLOSE: &str = r#"wrk.headers["Connection"] = "close""#;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "one",
        label: "GET 1 KiB, one client",
        connections: 1,
        front: Front::Plain,
        request: "",
        path: "/1k",
        peers: ONE_HOP,
    },
    Case {
        name: "paced",
        label: "GET 1 KiB, 256 connections with 100 requests a second each",
        connections: 256,
        front: Front::Paced { rate: 100 },
        request: "",
        path: "/1k",
        peers: &[Peer::Direct, Peer::Hatchway, Peer::Pair, Peer::Nginx, Peer::Haproxy, Peer::Envoy],
    },
    Case {
        name: "get",
        label: "GET 1 KiB, 64 connections kept alive",
        connections: 64,
        front: Front::Plain,
        request: "",
        path: "/1k",
        peers: ONE_HOP,
    },
    Case {
        name: "post",
        label: "POST 64 KiB, 64 connections kept alive",
        connections: 64,
        front: Front::Plain,
        request: r#"wrk.method = "POST"; wrk.body = string.rep("x", 65536)"#,
        path: "/post",
        peers: ONE_HOP,
    },
    Case {
        name: "upload",
        label: "POST 1 MiB, 16 connections kept alive",
        connections: 16,
        front: Front::Plain,
        request: r#"wrk.method = "POST"; wrk.body = string.rep("x", 1048576)"#,
        path: "/post",
        peers: ONE_HOP,
    },
    Case {
        name: "large",
        label: "GET 1 MiB, 16 connections kept alive",
        connections: 16,
        front: Front::Plain,
        request: "",
        path: "/1m",
        peers: ONE_HOP,
    },
    Case {
        name: "connect",
        label: "GET 1 KiB, a new connection per request, 64 at a time",
        connections: 64,
        front: Front::Plain,
        request: CLOSE,
        path: "/1k",
        peers: ONE_HOP,
    },
    Case {
        name: "http2",
        label: "HTTP/2: GET 1 KiB, 16 connections with 8 streams each",
        connections: 16,
        front: Front::Http2 { streams: 8 },
        request: "",
        path: "/1k",
        peers: GATEWAYS,
    },
    Case {
        name: "tls",
        label: "TLS: GET 1 KiB, 64 connections kept alive",
        connections: 64,
        front: Front::Tls,
        request: "",
        path: "/1k",
        peers: GATEWAYS,
    },
    Case {
        name: "tls-connect",
        label: "TLS: GET 1 KiB, a new connection and a full handshake per request, 64 at a time",
        connections: 64,
        front: Front::Tls,
        request: CLOSE,
        path: "/1k",
        peers: GATEWAYS,
    },
    Case {
        name: "tls-resume",
        label: "TLS: GET 1 KiB, a new connection and a resumed session per request, 16 at a time",
        connections: 16,
        front: Front::TlsResumed,
        request: "",
        path: "/1k",
        peers: GATEWAYS,
    },
    Case {
        name: "two",
        label: "GET 1 KiB through a gateway and a node in two processes, beside one hop of others",
        connections: 64,
        front: Front::Plain,
        request: "",
        path: "/1k",
        peers: &[Peer::Pair, Peer::Hatchway, Peer::Nginx],
    },
    Case {
        name: "two-post",
        label: "POST 64 KiB through a gateway and a node in two processes, beside one hop of others",
        connections: 64,
        front: Front::Plain,
        request: r#"wrk.method = "POST"; wrk.body = string.rep("x", 65536)"#,
        path: "/post",
        peers: &[Peer::Pair, Peer::Hatchway, Peer::Nginx, Peer::Haproxy],
    },
    Case {
        name: "two-large",
        label: "GET 1 MiB through a gateway and a node in two processes, beside one hop of others",
        connections: 16,
        front: Front::Plain,
        request: "",
        path: "/1m",
        peers: &[Peer::Pair, Peer::Hatchway, Peer::Nginx, Peer::Haproxy],
    },
    Case {
        name: "routes",
        label: "GET 1 KiB with a host of 100,000 each, in two processes",
        connections: 64,
        front: Front::Plain,
        request: HOSTS,
        path: "/1k",
        peers: &[Peer::Routes, Peer::Pair],
    },
];
