'use strict';
// A stem cell: Node that has booted and loaded our half of every function, and waits at descriptor 3 to be told what to
// become. What is said, and what it may do before and after, is told in sandbox/src/protocol/stem.rs. It then carries out an
// ordinary start in its own process: the same arguments, the same environment, the same adapter.

// First, as in an ordinary start.
require('./heap.cjs').forgetLimit();

const fs = require('node:fs');
const http = require('node:http');
const Module = require('node:module');
// What an application loads that is like most, and what the adapters do.
for (const name of ['crypto', 'fs/promises', 'https', 'os', 'querystring', 'stream/promises', 'string_decoder', 'url', 'util', 'zlib']) {
  require(`node:${name}`);
}
for (const name of ['answer', 'arguments', 'code', 'context', 'log', 'problem', 'ready', 'record']) require(`./${name}.cjs`);
const { warm } = require('./zygote/warm.cjs');

const SOCKET = 3;
const READY = 4;

async function boot() {
  const addon = load();
  // The cell's own; what starts by itself later gets neither.
  addon.closeAtExec(SOCKET);
  addon.closeAtExec(READY);
  await warm(http.createServer((request, response) => response.end('warm')), addon);
  fs.writeSync(READY, JSON.stringify({ ready: { runtime: `node ${process.versions.node}` } }) + '\n');
  const order = addon.await(SOCKET);
  // By itself: an exception is thrown to nobody of ours, as by a script that Node runs.
  setImmediate(become, JSON.parse(order), addon);
}

function load() {
  const module = { exports: {} };
  process.dlopen(module, `${__dirname}/zygote/addon.node`);
  return module.exports;
}

function become({ argv, env, cwd, files, processes }, addon) {
  const failed = addon.limit(files, processes ?? -1);
  if (failed < 0) throw new Error(`the limits of the function cannot be set, error ${-failed}`);
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const [name, value] of env) process.env[name] = value;
  // The program, flags, then a script with its arguments; one flag has a word of its own.
  const at = argv.findIndex((word, index) => index > 0 && !word.startsWith('--') && argv[index - 1] !== '--require');
  process.argv.splice(0, Infinity, argv[0], ...argv.slice(at));
  process.execArgv = argv.slice(1, at);
  const hook = process.execArgv.indexOf('--require');
  delete require.cache[__filename];
  if (hook !== -1) require(process.execArgv[hook + 1]);
  Module.runMain();
}

boot();
