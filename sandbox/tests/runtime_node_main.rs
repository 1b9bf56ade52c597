//! An unmodified Node server script, whose first `listen` is taken over.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod runtime_support;

use runtime_support::{Package, node_main};
use serde_json::json;

/// A server that tells what it believes about itself; `LISTEN` is the call under test.
fn server(listen: &str) -> String {
    format!(
        "const http = require('node:http');
        const seen = [];
        const server = http.createServer((request, response) => {{
          response.end(JSON.stringify({{ address: server.address(), listening: server.listening, seen, url: request.url }}));
        }});
        server.on('listening', () => seen.push('event'));
        {listen}"
    )
}

#[test]
fn every_form_of_listen_ends_at_the_nodes_socket() {
    let any = json!({"address": "::", "family": "IPv6", "port": 3000});
    let local = json!({"address": "127.0.0.1", "family": "IPv4", "port": 3000});
    for (listen, address, seen) in [
        ("server.listen(3000, () => seen.push('callback'));", &any, json!(["event", "callback"])),
        ("server.listen('3000');", &any, json!(["event"])),
        (
            "server.listen(3000, '127.0.0.1', 511, () => seen.push('callback'));",
            &local,
            json!(["event", "callback"]),
        ),
        ("server.listen({ port: 3000, host: '127.0.0.1' });", &local, json!(["event"])),
        ("server.listen('/tmp/app.sock');", &json!("/tmp/app.sock"), json!(["event"])),
        (
            "(async () => { server.listen(3000); await require('node:events').once(server, 'listening'); seen.push('promise'); })();",
            &any,
            json!(["event", "promise"]),
        ),
    ] {
        let function =
            Package::new(&[("server.js", &server(listen))]).start(&node_main("server.js"));
        let expected =
            json!({"address": address, "listening": true, "seen": seen, "url": "/a?b=1"});
        assert_eq!(function.get("/a?b=1").json(), expected, "{listen}");
    }
}

#[test]
fn a_server_without_a_port_of_its_own_is_told_the_platforms() {
    let function = Package::new(&[("server.js", &server("server.listen(process.env.PORT);"))]);
    let function = function.start(&node_main("server.js"));
    assert_eq!(function.get("/").json()["address"]["port"], 8080);
    let function =
        Package::new(&[("server.js", &server("server.listen();"))]).start(&node_main("server.js"));
    assert_eq!(function.get("/").json()["address"]["port"], 8080);
}

#[test]
fn a_script_may_be_a_module() {
    let script = "import { createServer } from 'node:http';
        const server = createServer((_, response) => response.end('esm'));
        await new Promise((resolve) => server.listen(0, resolve));";
    let function = Package::new(&[("server.mjs", script)]).start(&node_main("server.mjs"));
    assert_eq!(function.get("/").text(), "esm");
}

#[test]
fn only_the_first_listen_is_taken_over() {
    let second = "server.listen(3000, () => {
        const metrics = http.createServer((_, response) => response.end('metrics'));
        metrics.listen(0, '127.0.0.1', () => {
          http.get(metrics.address(), (response) => seen.push(metrics.address().family, response.statusCode));
        });
      });";
    let function = Package::new(&[("server.js", &server(second))]).start(&node_main("server.js"));
    let mut seen = json!(["event"]);
    // Its own call to its second server is answered within some turns of the event loop.
    while seen == json!(["event"]) {
        seen = function.get("/").json()["seen"].clone();
    }
    assert_eq!(seen, json!(["event", "IPv4", 200]));
}

#[test]
fn a_child_process_keeps_its_own_descriptors() {
    // The child gets the hook by `execArgv`; descriptor 3 is its channel to the parent.
    let script = "const { fork } = require('node:child_process');
        if (process.argv[2] === 'child') {
          const child = require('node:http').createServer();
          child.listen(0, '127.0.0.1', () => { process.send(child.address().family); process.disconnect(); child.close(); });
        } else {
          const answer = new Promise((resolve) => fork(__filename, ['child']).once('message', resolve));
          require('node:http').createServer(async (_, response) => response.end(await answer)).listen(3000);
        }";
    let function = Package::new(&[("server.js", script)]).start(&node_main("server.js"));
    assert_eq!(function.get("/").text(), "IPv4");
}

#[test]
fn the_workers_of_a_cluster_share_the_nodes_socket() {
    let script = "const cluster = require('node:cluster');
        if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else {
          require('node:http').createServer((_, response) => response.end(String(cluster.worker.id))).listen(3000);
        }";
    let function = Package::new(&[("server.js", script)]).start(&node_main("server.js"));
    let mut seen = std::collections::BTreeSet::new();
    // Each call is a new connection, and the primary deals them out in turn once both workers are
    // up.
    while seen.len() < 2 {
        seen.insert(function.get("/").text().to_owned());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn a_start_that_fails_says_why() {
    let failed = |script: &str| {
        let mut function = Package::new(&[("server.js", script)]).spawn(&node_main("server.js"));
        let word = function.word()["failed"].clone();
        assert!(!function.wait().success());
        (word["reason"].as_str().unwrap().to_owned(), word["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        failed("throw new Error('no database');"),
        ("module_failed".into(), "no database".into())
    );
    let (reason, message) = failed("console.log('done');");
    assert_eq!((reason.as_str(), message.contains("before it called listen()")), ("bad_app", true));
    let (reason, message) = failed("require('node:https').createServer().listen(443);");
    assert_eq!((reason.as_str(), message.contains("TLS")), ("bad_app", true));
}

#[test]
fn a_script_that_handles_its_exceptions_still_does() {
    let script = "process.on('uncaughtException', () => {});
        setImmediate(() => { throw new Error('shrugged off'); });
        setTimeout(() => require('node:http').createServer((_, r) => r.end('up')).listen(3000), 20);";
    let mut function = Package::new(&[("server.js", script)]).spawn(&node_main("server.js"));
    assert!(function.word()["ready"].is_object());
    assert_eq!(function.get("/").text(), "up");
}
