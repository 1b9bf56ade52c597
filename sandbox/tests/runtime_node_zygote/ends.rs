//! Every way to end, as Node ends: the code's listeners, its exit code, its last words. Node's own
//! way would hang in a forked process.

use rustix::process::Signal;

use crate::runtime_support::zygote::Serving;
use crate::runtime_support::{Package, node_handler, node_main};

/// Ends in the way that is asked for; registers one listener before the fork and one after.
const ENDS: &str = "import { writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
const say = (...words) => writeSync(1, words.join(' ') + '\\n');
process.on('exit', (code) => say('early', code, process.exitCode));
process.on('SIGUSR2', () => say('heard'));
export async function end(ctx, { by }) {
  process.on('exit', (code) => say('late', code));
  const ways = {
    exit: () => process.exit(3),
    code: () => { process.exitCode = 4; process.exit(); },
    changed: () => { process.on('exit', () => { process.exitCode = 5; }); process.exit(2); },
    nested: () => { process.on('exit', () => process.exit(6)); process.exit(2); },
    thrown: () => { globalThis.setImmediate(() => { throw Object.assign(new Error('nobody catches me'), { code: 'E_X' }); }); },
    rejected: () => { Promise.reject(new Error('nobody waits for me')); },
    value: () => { globalThis.setImmediate(() => { throw 42; }); },
    caught: () => { process.on('uncaughtException', (error) => { say('caught', error.message); process.exit(8); }); globalThis.setImmediate(() => { throw new Error('ball'); }); },
    dropped: () => { process.on('uncaughtException', () => { throw new Error('butter fingers'); }); globalThis.setImmediate(() => { throw new Error('ball'); }); },
    abort: () => process.abort(),
    kill: () => process.kill(process.pid, 'SIGKILL'),
    own: () => { process.kill(process.pid, 'SIGTERM'); },
  };
  ways[by]();
  await setImmediate();
  await new Promise(() => {});
}";

fn end_of(by: &str) -> (i32, String) {
    let mut zygote = Package::new(&[("e.mjs", ENDS)]).zygote(&node_handler("e.mjs", "end"));
    let mut child = zygote.serve();
    child.curl(&format!("/?by={by}")).open().finish();
    (child.wait(), child.rest_of_log())
}

/// What wait(2) says of an exit code.
fn exited(code: i32) -> i32 {
    code << 8
}

#[test]
fn an_exit_runs_every_listener_and_keeps_its_code() {
    assert_eq!(end_of("exit"), (exited(3), "early 3 3\nlate 3\n".into()));
    assert_eq!(end_of("code"), (exited(4), "early 4 4\nlate 4\n".into()));
    assert_eq!(end_of("changed"), (exited(5), "early 2 2\nlate 2\n".into()));
    assert_eq!(end_of("nested"), (exited(6), "early 2 2\nlate 2\n".into()));
}

#[test]
fn an_exception_that_nobody_catches_is_told_and_ends_the_process() {
    let (status, log) = end_of("thrown");
    assert_eq!(status, exited(1), "{log}");
    assert!(
        log.starts_with("early 1 1\nlate 1\n") || log.starts_with("early 1 \nlate 1\n"),
        "{log}"
    );
    assert!(log.contains("Error: nobody catches me\n    at ") && log.contains("E_X"), "{log}");
    let (status, log) = end_of("rejected");
    assert!(status == exited(1) && log.contains("nobody waits for me"), "{status} {log}");
    let (status, log) = end_of("value");
    assert!(status == exited(1) && log.contains("42"), "{status} {log}");
}

#[test]
fn an_exception_that_is_caught_is_the_codes_own() {
    assert_eq!(end_of("caught"), (exited(8), "caught ball\nearly 8 8\nlate 8\n".into()));
    let (status, log) = end_of("dropped");
    assert!(status == exited(7) && log.contains("butter fingers"), "{status} {log}");
}

#[test]
fn a_process_that_kills_itself_does_not_kill_its_zygote() {
    const CORE: i32 = 0x80;
    let (status, _) = end_of("abort");
    assert_eq!(status & !CORE, 6);
    assert_eq!(end_of("kill").0, 9);
    // The adapter drains: its listener for SIGTERM was made in the child.
    let mut zygote = Package::new(&[("e.mjs", ENDS)]).zygote(&node_handler("e.mjs", "end"));
    let (doomed, sibling) = (zygote.serve(), zygote.serve());
    let call = doomed.curl("/?by=own").open();
    sibling.curl("/?by=exit").open().finish();
    assert_eq!(sibling.wait(), exited(3));
    drop(zygote.serve());
    doomed.signal(Signal::KILL);
    call.finish();
}

#[test]
fn a_listener_from_before_the_fork_hears_signals_after_it() {
    let mut zygote = Package::new(&[("e.mjs", ENDS)]).zygote(&node_handler("e.mjs", "end"));
    let (mut first, second) = (zygote.serve(), zygote.serve());
    first.signal(Signal::USR2);
    assert_eq!(first.log_line(), "heard\n");
    second.curl("/?by=exit").open().finish();
    assert_eq!(ended(second), (exited(3), "early 3 3\nlate 3\n".into()), "it heard nothing");
    first.signal(Signal::TERM);
    assert_eq!(first.wait(), 0);
}

#[test]
fn a_server_that_does_not_listen_to_sigterm_is_ended_by_it() {
    let script = "require('node:http').createServer((_, response) => response.end()).listen(3000);";
    let mut zygote = Package::new(&[("s.js", script)]).zygote(&node_main("s.js"));
    let child = zygote.serve();
    child.signal(Signal::TERM);
    assert_eq!(child.wait(), 15);
}

#[test]
fn a_process_with_nothing_left_to_do_ends_by_itself() {
    let script = "const { writeSync } = require('node:fs');
        process.on('beforeExit', () => writeSync(1, 'before\\n'));
        process.on('exit', (code) => writeSync(1, `exit ${code}\\n`));
        const server = require('node:http').createServer(async (_, response) => {
          // Both would be work for threads, which Node waits for at its end.
          await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
          for (let kept = [], i = 0; i < 300; i++) kept.push(new Array(10000).fill({ i }));
          response.end('closing');
          server.close();
        });
        process.exitCode = 9;
        server.listen(3000);";
    let mut zygote = Package::new(&[("s.js", script)]).zygote(&node_main("s.js"));
    let child = zygote.serve();
    assert_eq!(child.get("/").text(), "closing");
    assert_eq!(ended(child), (exited(9), "before\nexit 9\n".into()));
}

fn ended(mut child: Serving) -> (i32, String) {
    (child.wait(), child.rest_of_log())
}
