//! Code that would not survive a fork is named and refused; code that only seems so is not.

use serde_json::Value;

use crate::runtime_support::{Package, node_handler, node_main};

fn word_of(module: &str) -> Value {
    let module = format!("{module}\nexport const main = () => 'fine';");
    let mut zygote =
        Package::new(&[("u.mjs", &module)]).spawn_zygote(&node_handler("u.mjs", "main"));
    let word = zygote.word();
    if word.get("failed").is_some() {
        zygote.wait();
    }
    word
}

fn assert_unfit(what: &str, module: &str) {
    let word = word_of(module);
    let failed = &word["failed"];
    assert_eq!((&failed["reason"], &failed["what"]), (&"unfit".into(), &what.into()), "{word}");
    assert!(!failed["message"].as_str().unwrap().is_empty());
}

#[test]
fn open_sockets() {
    assert_unfit(
        "sockets",
        "import net from 'node:net'; net.createServer().listen(0, '127.0.0.1');",
    );
    assert_unfit(
        "sockets",
        "import net from 'node:net'; net.createServer().listen(0, '127.0.0.1').unref();",
    );
    assert_unfit(
        "sockets",
        "import dgram from 'node:dgram'; dgram.createSocket('udp4').bind(0).unref();",
    );
    assert_unfit(
        "sockets",
        "import http from 'node:http';
        const server = http.createServer((_, response) => response.end('x')).listen(0, '127.0.0.1');
        await new Promise((resolve) => server.once('listening', resolve));
        const agent = new http.Agent({ keepAlive: true });
        await new Promise((resolve) => http.get({ agent, port: server.address().port }, (r) => r.resume().on('end', resolve)));
        server.unref();",
    );
}

#[test]
fn open_files() {
    assert_unfit("files", "import fs from 'node:fs'; fs.openSync('/etc/passwd');");
    assert_unfit("handles", "import fs from 'node:fs'; fs.watch('/etc').unref();");
}

#[test]
fn timers_that_keep_the_process_alive() {
    assert_unfit("timers", "setInterval(() => {}, 1000);");
}

#[test]
fn threads() {
    let worker = "import { Worker } from 'node:worker_threads';
        const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
        await new Promise((resolve) => worker.once('online', resolve));";
    assert_unfit("threads", worker);
    assert_unfit("threads", &format!("{worker} worker.unref();"));
}

#[test]
fn child_processes() {
    let spawn = "import { spawn } from 'node:child_process'; const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
        process.on('exit', () => child.kill());";
    assert_unfit("children", spawn);
    assert_unfit(
        "children",
        &format!("{spawn} child.unref(); setTimeout(() => child.kill(), 60000).unref();"),
    );
}

#[test]
fn pools_of_random_bytes() {
    assert_unfit(
        "random",
        "import crypto from 'node:crypto'; globalThis.pool = crypto.randomFillSync(new Uint8Array(256));",
    );
    assert_unfit("random", "globalThis.pool = crypto.getRandomValues(new Uint8Array(256));");
    let key = "import crypto from 'node:crypto'; crypto.randomFillSync(new Uint8Array(64)); crypto.randomBytes(64);";
    assert!(word_of(key)["ready"].is_object(), "a key that it keeps is its own affair");
}

#[test]
fn what_has_ended_by_itself_is_no_obstacle() {
    let module = "import fs from 'node:fs';
        import { execSync } from 'node:child_process';
        import { Worker } from 'node:worker_threads';
        import net from 'node:net';
        import zlib from 'node:zlib';
        await fs.promises.readFile('/etc/passwd');
        fs.readFile('/etc/group', () => {});
        zlib.gzip('x', () => {});
        execSync('true');
        setTimeout(() => {}, 20);
        setInterval(() => {}, 10).unref();
        const worker = new Worker('1', { eval: true });
        await new Promise((resolve) => worker.once('exit', resolve));
        const server = net.createServer().listen(0);
        await new Promise((resolve) => server.close(resolve));
        process.on('SIGUSR2', () => {});
        console.log('loaded'); console.error('too');
        fs.closeSync(fs.openSync('/dev/null'));
        globalThis.kept = fs.openSync('/dev/urandom');";
    assert!(word_of(module)["ready"].is_object(), "{}", word_of(module));
}

#[test]
fn code_that_cannot_be_loaded_says_the_same_as_without_a_zygote() {
    let failed = |files: &[(&str, &str)], runtime| {
        let mut zygote = Package::new(files).spawn_zygote(&runtime);
        let word = zygote.word()["failed"].clone();
        assert!(!zygote.wait().success());
        (word["reason"].as_str().unwrap().to_owned(), word["message"].as_str().unwrap().to_owned())
    };
    let thrown =
        failed(&[("m.mjs", "throw new Error('no database');")], node_handler("m.mjs", "main"));
    assert_eq!(thrown, ("module_failed".into(), "no database".into()));
    let absent = failed(&[("m.mjs", "export const hi = 1;")], node_handler("m.mjs", "main"));
    assert_eq!(absent.0, "handler_not_found");
    let stuck = failed(&[("m.mjs", "await new Promise(() => {});")], node_handler("m.mjs", "main"));
    assert_eq!(stuck.0, "module_failed");
    let thrown = failed(&[("s.js", "throw new Error('no database');")], node_main("s.js"));
    assert_eq!(thrown, ("module_failed".into(), "no database".into()));
    let silent = failed(&[("s.js", "console.log('done');")], node_main("s.js"));
    assert!(silent.0 == "bad_app" && silent.1.contains("before it called listen()"), "{silent:?}");
    let tls =
        failed(&[("s.js", "require('node:https').createServer().listen(443);")], node_main("s.js"));
    assert!(tls.0 == "bad_app" && tls.1.contains("TLS"), "{tls:?}");
}

#[test]
fn a_second_server_listens_too_early() {
    let script = "const http = require('node:http');
        http.createServer().listen(3000);
        http.createServer().listen(0, '127.0.0.1');";
    let mut zygote = Package::new(&[("s.js", script)]).spawn_zygote(&node_main("s.js"));
    assert_eq!(zygote.word()["failed"]["what"], "sockets");
}
