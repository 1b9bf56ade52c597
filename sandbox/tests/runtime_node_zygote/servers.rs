//! Unmodified servers: the fork point is their own `listen`.

use serde_json::json;

use crate::runtime_support::{Package, example, installed, node_main};

#[test]
fn an_express_application_is_not_changed_in_any_way() {
    installed(example("shop-express").join("node_modules"));
    let mut zygote = Package::example("shop-express").zygote(&node_main("server.js"));
    let mut children = [zygote.serve(), zygote.serve()];
    for child in &mut children {
        let products = child.get("/products").json();
        assert!(products.as_array().unwrap().len() > 1);
        let order = child.curl("/orders").body("application/json", r#"{"lines":[{"id":"none"}]}"#);
        assert_eq!(order.answer().status, 422);
        assert_eq!(child.log_line(), "the shop is open on port 8080\n");
    }
}

/// As `runtime_node_main.rs` has it for an ordinary start.
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
fn every_form_of_listen_is_made_by_each_child() {
    let any = json!({"address": "::", "family": "IPv6", "port": 3000});
    let local = json!({"address": "127.0.0.1", "family": "IPv4", "port": 3000});
    for (listen, address, seen) in [
        ("server.listen(3000, () => seen.push('callback'));", &any, json!(["event", "callback"])),
        (
            "server.listen('3000'); seen.push(server.listening, server.address().port);",
            &any,
            json!([true, 3000, "event"]),
        ),
        ("server.listen({ port: 3000, host: '127.0.0.1' });", &local, json!(["event"])),
        ("server.listen('/tmp/app.sock');", &json!("/tmp/app.sock"), json!(["event"])),
        ("setTimeout(() => server.listen(3000), 10);", &any, json!(["event"])),
        (
            "(async () => { server.listen(3000); await require('node:events').once(server, 'listening'); seen.push('promise'); })();",
            &any,
            json!(["event", "promise"]),
        ),
    ] {
        let mut zygote =
            Package::new(&[("server.js", &server(listen))]).zygote(&node_main("server.js"));
        let expected =
            json!({"address": address, "listening": true, "seen": seen, "url": "/a?b=1"});
        for child in [zygote.serve(), zygote.serve()] {
            assert_eq!(child.get("/a?b=1").json(), expected, "{listen}");
        }
    }
}

#[test]
fn a_script_may_be_a_module_that_waits_for_its_server() {
    let script = "import { createServer } from 'node:http';
        let waited = false;
        const server = createServer((_, response) => response.end(`esm ${waited}`));
        await new Promise((resolve) => server.listen(0, resolve));
        waited = true;";
    let mut zygote = Package::new(&[("server.mjs", script)]).zygote(&node_main("server.mjs"));
    assert_eq!(zygote.serve().get("/").text(), "esm true");
    assert_eq!(zygote.serve().get("/").text(), "esm true");
}

#[test]
fn what_starts_when_the_server_listens_starts_in_each_child() {
    let script = "const http = require('node:http');
        let ticks = 0;
        const server = http.createServer((_, response) => response.end(String(ticks)));
        server.listen(3000, () => {
          setInterval(() => ticks++, 1);
          http.createServer().listen(0, '127.0.0.1');
        });";
    let mut zygote = Package::new(&[("server.js", script)]).zygote(&node_main("server.js"));
    for child in [zygote.serve(), zygote.serve()] {
        while child.get("/").text() == "0" {}
    }
}

#[test]
fn a_cluster_has_workers_and_gets_another_kind_of_start() {
    let script = "const cluster = require('node:cluster');
        if (cluster.isPrimary) { cluster.fork(); } else {
          require('node:http').createServer((_, response) => response.end()).listen(3000);
        }";
    let mut zygote = Package::new(&[("server.js", script)]).spawn_zygote(&node_main("server.js"));
    assert_eq!(zygote.word()["failed"]["reason"], "unfit");
}
