//! Start, connections, end.

use serde_json::json;

use crate::runtime_support::{Package, node_handler};

#[test]
fn a_module_may_be_commonjs_and_its_export_the_default() {
    let function =
        Package::new(&[("m.cjs", "module.exports = { ['hel' + 'lo']: (ctx) => 'cjs' };")]);
    assert_eq!(function.start(&node_handler("m.cjs", "hello")).get("/").text(), "cjs");
    let function = Package::new(&[("m.js", "module.exports = (ctx) => 'default';")]);
    assert_eq!(function.start(&node_handler("m.js", "default")).get("/").text(), "default");
    let function = Package::new(&[("m.mjs", "export default async () => 'esm';")]);
    assert_eq!(function.start(&node_handler("m.mjs", "default")).get("/").text(), "esm");
}

#[test]
fn a_start_that_fails_says_why() {
    let failed = |text: &str| {
        let mut function = Package::new(&[("m.mjs", text)]).spawn(&node_handler("m.mjs", "hello"));
        let word = function.word()["failed"].clone();
        assert!(!function.wait().success());
        word
    };
    let word = failed("export const hallo = () => 1; export const hi = 2;");
    let message = "m.mjs exports no function hello; it exports hallo, hi";
    assert_eq!(word, json!({"reason": "handler_not_found", "message": message}));
    let word = failed("throw new Error('no database');");
    assert_eq!(
        (&word["reason"], &word["message"]),
        (&json!("module_failed"), &json!("no database"))
    );
    assert!(word["stack"].as_str().unwrap().contains("m.mjs:1"));
    let word = failed("import 'nowhere';");
    assert!(word["message"].as_str().unwrap().contains("Cannot find package 'nowhere'"), "{word}");
    assert_eq!(failed("process.exit(0);")["reason"], "module_failed");
    assert_eq!(failed("await new Promise(() => {});")["reason"], "module_failed");
}

const LIMITS: &str = "import v8 from 'node:v8';
import { Worker } from 'node:worker_threads';
const limit = () => v8.getHeapStatistics().heap_size_limit / 1048576;
const loading = limit();
const code = `const v8 = require('node:v8');
require('node:worker_threads').parentPort.postMessage(v8.getHeapStatistics().heap_size_limit / 1048576)`;
export async function limits() {
  const worker = new Worker(code, { eval: true });
  return [loading, limit(), await new Promise((resolve) => worker.once('message', resolve))];
}";

#[test]
fn a_heap_has_its_limit_while_code_loads_and_later_and_in_a_worker() {
    let function = Package::new(&[("m.mjs", LIMITS)]).start(&node_handler("m.mjs", "limits"));
    let limits: Vec<f64> = serde_json::from_str(function.get("/").text()).unwrap();
    // 256 MiB, and what V8 adds for young objects; of a machine's memory it would be gigabytes.
    assert!(limits.iter().all(|limit| (250.0..450.0).contains(limit)), "{limits:?}");
}

const SLOW: &str = "setInterval(() => {}, 1000);
let go;
const gate = new Promise((resolve) => { go = resolve; });
export async function slow(ctx, args) {
  if (args?.go) return go();
  console.log('begun');
  await gate;
  return 'finished';
}";

#[test]
fn on_sigterm_what_runs_is_finished_and_the_process_ends() {
    let mut function = Package::new(&[("s.mjs", SLOW)]).start(&node_handler("s.mjs", "slow"));
    // A kept connection, to open the gate with once the listener is closed.
    let mut kept = std::os::unix::net::UnixStream::connect(function.socket()).unwrap();
    std::io::Write::write_all(
        &mut kept,
        b"POST /?go=1 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .unwrap();
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("begun\n"));
    function.terminate();
    std::io::Write::write_all(&mut kept, b"0\r\n\r\n").unwrap();
    assert!(call.finish().ends_with("finished"));
    assert!(function.wait().success());
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let function = crate::arguments::echo();
    let url = "http://tested/?n=2";
    let answer = function.curl("/?n=1").args(&[url, "--write-out", "|%{num_connects}"]).answer();
    assert!(answer.text().ends_with("[{\"n\":\"2\"}]|0"), "{}", answer.text());
}
