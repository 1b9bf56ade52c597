//! Requests that a zygote makes of its own code: every child has what they have loaded.

use serde_json::json;

use crate::runtime_support::{Package, node_handler, node_main};

const LAZY: &str = "module.exports = { loadedBy: process.pid };";
const SERVER: &str = "const { randomUUID } = require('node:crypto');
    const visits = [];
    require('node:http').createServer((request, response) => {
      visits.push(`${request.method} ${request.url}`);
      const { loadedBy } = require('./lazy.js');
      response.end(JSON.stringify({ visits, loadedBy, pid: process.pid, uuid: randomUUID(), draw: Math.random() }));
    }).listen(3000);";

#[test]
fn a_server_has_loaded_what_its_declared_paths_load() {
    let package = Package::new(&[("server.js", SERVER), ("lazy.js", LAZY)]);
    let mut zygote = package.warmup(&["/a?b=1", "/"]).zygote(&node_main("server.js"));
    let zygote_pid = zygote.pid().as_raw_nonzero().get();
    let answers = [zygote.serve().get("/c").json(), zygote.serve().get("/c").json()];
    for answer in &answers {
        let visits = answer["visits"].as_array().unwrap();
        assert_eq!(visits.len(), 2 * 10 + 1, "{visits:?}");
        assert_eq!(visits[..3], [json!("GET /a?b=1"), json!("GET /"), json!("GET /a?b=1")]);
        assert_eq!(answer["loadedBy"], zygote_pid);
        assert_ne!(answer["pid"], zygote_pid);
    }
    for drawn in ["uuid", "draw"] {
        assert_ne!(answers[0][drawn], answers[1][drawn]);
    }
}

#[test]
fn a_handler_is_called_as_by_a_request() {
    let module = "const calls = [];
        export const main = (ctx, query) => { calls.push(query?.name ?? 'nobody'); return calls; };";
    let package = Package::new(&[("h.mjs", module)]).warmup(&["/any?name=ada"]);
    let mut zygote = package.zygote(&node_handler("h.mjs", "main"));
    let calls = zygote.serve().get("/").json();
    let calls = calls.as_array().unwrap();
    assert_eq!((calls.len(), &calls[9], &calls[10]), (11, &json!("ada"), &json!("nobody")));
}

#[test]
fn a_path_that_is_not_there_is_told_and_no_obstacle() {
    let server = "require('node:http').createServer((request, response) => {
          if (request.url === '/broken') return request.destroy();
          response.writeHead(request.url === '/' ? 200 : 404).end();
        }).listen(3000);";
    let package = Package::new(&[("server.js", server)]).warmup(&["/", "/helth", "/broken"]);
    let mut zygote = package.zygote(&node_main("server.js"));
    assert_eq!(zygote.log_line(), "warmup: GET /helth was answered by 404\n");
    assert_eq!(zygote.log_line(), "warmup: GET /broken was answered by nothing\n");
    assert_eq!(zygote.serve().get("/").status, 200);
}

#[test]
fn what_a_request_leaves_behind_is_found_before_the_fork() {
    for (handler, what) in [
        ("setInterval(() => {}, 1000); response.end();", "timers"),
        ("require('node:net').createServer().listen(0, '127.0.0.1'); response.end();", "sockets"),
        ("", "warmup"),
    ] {
        let server = format!(
            "require('node:http').createServer((request, response) => {{ {handler} }}).listen(3000);"
        );
        let package = Package::new(&[("server.js", &server)]).warmup(&["/"]);
        let word = package.spawn_zygote(&node_main("server.js")).word();
        assert_eq!((&word["failed"]["what"]), (&json!(what)), "{word}");
    }
}
