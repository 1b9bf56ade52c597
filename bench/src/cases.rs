//! What is asked of every gateway. One request at a time shows what a hop adds to a call; sixty-four
//! at a time show what it costs.

/// One shape of load.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) connections: u32,
    /// Lua for wrk: what each request is.
    pub(crate) request: &'static str,
    pub(crate) path: &'static str,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "one", label: "GET 1 KiB, one client", connections: 1, request: "", path: "/1k" },
    Case {
        name: "get",
        label: "GET 1 KiB, 64 connections kept alive",
        connections: 64,
        request: "",
        path: "/1k",
    },
    Case {
        name: "post",
        label: "POST 64 KiB, 64 connections kept alive",
        connections: 64,
        request: r#"wrk.method = "POST"; wrk.body = string.rep("x", 65536)"#,
        path: "/post",
    },
    Case {
        name: "large",
        label: "GET 1 MiB, 16 connections kept alive",
        connections: 16,
        request: "",
        path: "/1m",
    },
    Case {
        name: "connect",
        label: "GET 1 KiB, a new connection per request, 64 at a time",
        connections: 64,
        request: r#"wrk.headers["Connection"] = "close""#,
        path: "/1k",
    },
];
