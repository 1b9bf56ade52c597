// A function in Node that tries to get out of its sandbox, with a native module, as any package may bring one.
//
// `run` makes the attempts in the body, a line for each, and answers [{"errno": 13, "got": ""}, ...]. The verbs are
// those of attempts.c; which attempts are made with them, and what has to come of each, is in tests/hostile/table.rs.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';

const LAST_PID = 512;
const native = createRequire(import.meta.url)('./native.node');

export async function run(ctx, lines = '') {
  const results = [];
  for (const line of lines.split('\n')) if (line !== '') results.push(await attempt(line));
  return results;
}

async function attempt(line) {
  const [verb, ...words] = line.split('\t');
  try {
    return { errno: 0, got: String((await verbs[verb](...words)) ?? '') };
  } catch (error) {
    if (error.errno === undefined) throw error;
    // Node counts them downwards.
    return { errno: Math.abs(error.errno), got: String(error.got ?? '') };
  }
}

function read(path) {
  const file = fs.openSync(path);
  try {
    const buffer = Buffer.alloc(4095);
    return buffer.toString('latin1', 0, fs.readSync(file, buffer));
  } finally {
    fs.closeSync(file);
  }
}

function write(path) {
  const file = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_CREAT);
  try {
    fs.writeSync(file, '1');
  } finally {
    fs.closeSync(file);
  }
}

function connect(where) {
  return new Promise((connected, failed) => {
    const client = net.connect(where);
    client.setTimeout(3000, () => client.destroy(Object.assign(new Error('silence'), { errno: 110 })));
    client.on('error', failed);
    client.on('connect', () => {
      client.destroy();
      connected();
    });
  });
}

function bind(name) {
  return new Promise((bound, failed) => {
    net.createServer().on('error', failed).listen({ path: `\0${name}` }, bound);
  });
}

function byNumber(number, words, pid = 0) {
  const given = words.map((word) => {
    if (word.startsWith('s:')) return Buffer.from(`${word.slice(2)}\0`);
    if (word.startsWith('z:')) return Buffer.alloc(Number(word.slice(2)));
    return word === 'n' ? pid : Number(word);
  });
  const result = native.call(Number(number), ...given);
  if (result < 0) throw Object.assign(new Error('refused'), { errno: result });
  return result;
}

/** What might be the number of another process: those of its own threads are not. */
function others() {
  const own = new Set(fs.readdirSync('/proc/self/task').map(Number));
  return Array.from({ length: LAST_PID }, (_, index) => index + 1).filter((process) => !own.has(process));
}

function works(action) {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

function isReadable(path) {
  try {
    return read(path) !== '';
  } catch {
    return false;
  }
}

/** Goes on until it fails; what it fails with carries how far that was. */
function exhaust(step, undo) {
  let got = 0;
  try {
    for (;;) got += step(got);
  } catch (error) {
    throw Object.assign(error, { got });
  } finally {
    undo(got);
  }
}

function files() {
  const opened = [];
  exhaust(() => opened.push(fs.openSync('/dev/null')) && 1, () => opened.forEach((file) => fs.closeSync(file)));
}

function names(folder) {
  const name = (number) => `${folder}/name-${number}`;
  const clear = (made) => {
    for (let number = 0; number < made; number += 1) fs.unlinkSync(name(number));
  };
  exhaust((number) => fs.closeSync(fs.openSync(name(number), 'wx')) ?? 1, clear);
}

function space(folder) {
  const path = `${folder}/filler`;
  const block = Buffer.alloc(65536);
  const file = fs.openSync(path, 'w');
  const clear = () => {
    fs.closeSync(file);
    fs.unlinkSync(path);
  };
  exhaust(() => fs.writeSync(file, block), clear);
}

function execute(program, ...words) {
  const ended = spawnSync(program, words, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'latin1' });
  if (ended.error) throw ended.error;
  return ended.stdout;
}

function memory(program, ...words) {
  const file = byNumber(native.memfdCreate, ['s:hostile', '0']);
  try {
    fs.writeSync(file, fs.readFileSync(program));
    return execute(`/proc/${process.pid}/fd/${file}`, ...words);
  } finally {
    fs.closeSync(file);
  }
}

const verbs = {
  read,
  write,
  list: (path) => fs.readdirSync(path).join(' '),
  tcp: (host, port) => connect({ host, port: Number(port) }),
  unix: (path) => connect({ path }),
  abstract: (name) => connect({ path: `\0${name}` }),
  bind,
  call: (number, ...words) => byNumber(number, words),
  each: (number, ...words) => others().filter((pid) => works(() => byNumber(number, words, pid))).join(' '),
  peek: (name) => others().filter((pid) => isReadable(`/proc/${pid}/${name}`)).join(' '),
  files,
  names,
  space,
  run: execute,
  memory,
};
