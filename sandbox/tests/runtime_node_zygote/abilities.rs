//! What a function may do, done in a child: everything that needs a thread, a process, a clock or the
//! event loop's own descriptors.

use serde_json::{Value, json};

use crate::runtime_support::zygote::{Serving, Zygote};
use crate::runtime_support::{Package, node_handler};

/// Reads a file while it is loaded, so that libuv's threads were there before the fork.
const ABLE: &str = "import { Worker } from 'node:worker_threads';
import { spawn, exec, execSync, fork } from 'node:child_process';
import { once, EventEmitter } from 'node:events';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import crypto from 'node:crypto';
import dns from 'node:dns/promises';
import fs from 'node:fs/promises';
import { watch } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import zlib from 'node:zlib';

await fs.readFile('/etc/passwd');
const loadedAt = performance.now();
const ticks = { before: 0 };
setInterval(() => ticks.before++, 5).unref();

const ADD = Uint8Array.of(0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11);
const text = async (stream) => { let all = ''; for await (const part of stream) all += part; return all; };

const abilities = {
  worker: async () => {
    const worker = new Worker(`const { parentPort, workerData } = require('node:worker_threads');
      require('node:fs').promises.readFile('/etc/passwd').then((bytes) => parentPort.postMessage([workerData, bytes.length > 0, process.pid]))`,
      { eval: true, workerData: 'hi' });
    const [[[echo, read, pid]], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    return { echo, read, samePid: pid === process.pid, code };
  },
  workerExit: async () => {
    const worker = new Worker('process.exit(3)', { eval: true });
    return (await once(worker, 'exit'))[0];
  },
  spawn: async () => {
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end('through a pipe');
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    return { said, code };
  },
  exec: async () => (await promisify(exec)('echo $0 $((6 * 7)); exit 0')).stdout,
  execSync: () => execSync('echo sync').toString(),
  spawnFails: async () => (await once(spawn('/nowhere/program'), 'error'))[0].code,
  descriptors: async () => {
    const listener = await fs.readlink('/proc/self/fd/3');
    return [listener.startsWith('socket:'), execSync('ls -l /proc/self/fd').includes(listener)];
  },
  fork: async () => {
    const file = path.join(os.tmpdir(), `child-${process.pid}.cjs`);
    await fs.writeFile(file, 'process.send([process.execArgv.length, process.argv.length]); process.disconnect();');
    const [said] = await once(fork(file), 'message');
    await fs.unlink(file);
    return said;
  },
  files: async () => {
    const file = path.join(os.tmpdir(), `file-${process.pid}`);
    await fs.writeFile(file, 'written');
    const read = await fs.readFile(file, 'utf8');
    await fs.unlink(file);
    return read;
  },
  watch: async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'watched-'));
    const watcher = watch(folder);
    const seen = once(watcher, 'change');
    await fs.writeFile(path.join(folder, 'new'), '');
    const [, name] = await seen;
    watcher.close();
    await fs.rm(folder, { recursive: true });
    return name;
  },
  dns: async () => (await dns.lookup('localhost')).address.length > 0,
  zlib: async () => (await promisify(zlib.gunzip)(await promisify(zlib.gzip)('squeezed'))).toString(),
  crypto: async () => {
    const derived = await promisify(crypto.pbkdf2)('a', 'b', 1000, 16, 'sha256');
    const { publicKey } = await promisify(crypto.generateKeyPair)('ed25519');
    const digest = await globalThis.crypto.subtle.digest('SHA-256', Buffer.from('x'));
    return [derived.length, publicKey.type, digest.byteLength, (await promisify(crypto.scrypt)('a', 'b', 8)).length];
  },
  many: async () => (await Promise.all(Array.from({ length: 64 }, () => fs.stat('/')))).length,
  timers: async () => {
    const order = [];
    setTimeout(() => order.push('timeout'), 1);
    setImmediate(() => order.push('immediate'));
    process.nextTick(() => order.push('tick'));
    queueMicrotask(() => order.push('microtask'));
    await sleep(10);
    const before = ticks.before;
    while (ticks.before === before) await sleep(1);
    return { order: order.sort(), intervals: 'go on' };
  },
  clocks: async () => {
    const [started, began, at] = [performance.now(), process.hrtime.bigint(), Date.now()];
    await sleep(20);
    const [passed, elapsed, wall] = [performance.now() - started, Number(process.hrtime.bigint() - began) / 1e6, Date.now() - at];
    return [passed >= 19 && elapsed >= 19 && wall >= 19, started > loadedAt, Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000,
      process.uptime() > 0 && process.uptime() < performance.now() / 1000];
  },
  wasm: async () => {
    const { instance } = await WebAssembly.instantiate(ADD);
    const again = await WebAssembly.instantiate(await WebAssembly.compile(ADD));
    let sum = 0;
    for (let i = 0; i < 200000; i++) sum = instance.exports.add(sum, 1);
    return [instance.exports.add(2, 3), again.exports.add(4, 5), sum];
  },
  client: async () => {
    const server = http.createServer((request, response) => response.end('served')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const said = await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text();
    server.close();
    server.closeAllConnections();
    return said;
  },
  identity: async () => {
    process.title = 'renamed';
    const title = (await fs.readFile('/proc/self/cmdline', 'utf8')).replaceAll('\\0', '');
    const { pid, ppid } = process;
    const status = await fs.readFile('/proc/self/stat', 'utf8');
    return { title: [process.title, title], pid: status.startsWith(`${pid} `), ppid: status.split(') ')[1].split(' ')[1] === String(ppid), argv: process.execArgv };
  },
  context: () => vm.runInNewContext('typeof Math.random() + [1, 2].map((n) => n * 2)'),
  dynamic: async () => (await import('data:text/javascript,export default 7')).default,
  emitter: async () => { const e = new EventEmitter(); setImmediate(() => e.emit('x', 1)); return (await once(e, 'x'))[0]; },
  input: async () => text(process.stdin),
};
export const able = (ctx, { to }) => abilities[to]();";

/// The child, and the zygote whose folder it lives in.
fn child() -> (Serving, Zygote) {
    let mut zygote = Package::new(&[("a.mjs", ABLE)]).zygote(&node_handler("a.mjs", "able"));
    (zygote.serve(), zygote)
}

fn expect(of: &Serving, to: &str, wanted: Value) {
    let answer = of.get(&format!("/?to={to}"));
    let got = match answer.header("content-type") {
        Some("text/plain; charset=utf-8") => Value::String(answer.text().to_owned()),
        _ => answer.json(),
    };
    assert_eq!(got, wanted, "{to}");
}

#[test]
fn threads_of_its_own() {
    let (child, _zygote) = child();
    expect(&child, "worker", json!({"echo": "hi", "read": true, "samePid": true, "code": 0}));
    expect(&child, "workerExit", json!(3));
    expect(&child, "wasm", json!([5, 9, 200_000]));
}

#[test]
fn processes_of_its_own() {
    let (child, _zygote) = child();
    expect(&child, "spawn", json!({"said": "through a pipe", "code": 0}));
    expect(&child, "exec", json!("/bin/sh 42\n"));
    expect(&child, "execSync", json!("sync\n"));
    expect(&child, "spawnFails", json!("ENOENT"));
    expect(&child, "descriptors", json!([true, false]));
    expect(&child, "fork", json!([0, 2]));
}

#[test]
fn work_in_the_thread_pool() {
    let (child, _zygote) = child();
    expect(&child, "files", json!("written"));
    expect(&child, "dns", json!(true));
    expect(&child, "zlib", json!("squeezed"));
    expect(&child, "crypto", json!([16, "public", 32, 8]));
    expect(&child, "many", json!(64));
}

#[test]
fn the_event_loop_and_its_clocks() {
    let (child, _zygote) = child();
    let order = json!(["immediate", "microtask", "tick", "timeout"]);
    expect(&child, "timers", json!({"order": order, "intervals": "go on"}));
    expect(&child, "clocks", json!([true, true, true, true]));
    expect(&child, "watch", json!("new"));
    expect(&child, "client", json!("served"));
    expect(&child, "emitter", json!(1));
    expect(&child, "input", json!(""));
}

#[test]
fn who_it_is_and_what_it_loads_later() {
    let (child, _zygote) = child();
    let identity = json!({"title": ["renamed", "renamed"], "pid": true, "ppid": true, "argv": []});
    expect(&child, "identity", identity);
    expect(&child, "context", json!("number2,4"));
    expect(&child, "dynamic", json!(7));
}
