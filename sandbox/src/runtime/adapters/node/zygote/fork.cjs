'use strict';
// The fork point of a zygote: the moment at which Node finds nothing left to wait for (`beforeExit`), once the code is
// loaded. No callback is on the stack then, and no work is under way that a fork would tear apart. What is said is told
// in sandbox/src/protocol/zygote.rs; the addon, in sandbox/zygote-node, does what JavaScript cannot.

const fs = require('node:fs');
const v8 = require('node:v8');
const { again, ready, unfit } = require('../ready.cjs');
const fitness = require('./fitness.cjs');
const life = require('./life.cjs');
const random = require('./random.cjs');
const { warm } = require('./warm.cjs');

const SOCKET = 3;
const READY = 4;
/** What ends on its own (files being read, short timers) has ended by then, or the function gets another kind of start. */
const QUIET_LIMIT_MS = 2000;
/** Longer than an order is. */
const ORDER_BYTES = 4096;

let started;
let addon;

/** To be called before any code of the tenant runs. */
function begin() {
  started = performance.now();
  try {
    addon = load();
  } catch (error) {
    unfit('runtime', `the addon for zygotes cannot be loaded: ${error.message}`);
    process.exit(1);
  }
  addon.closeAtExec(SOCKET);
  addon.closeAtExec(READY);
  life.begin(addon);
  random.begin();
  fitness.begin(addon);
}

function load() {
  const module = { exports: {} };
  process.dlopen(module, `${__dirname}/addon.node`);
  return module.exports;
}

/** Ends this zygote after `ms`, unless what is returned is cleared before. Does not keep it alive for that. */
function limit(ms, explain) {
  return setTimeout(() => end(explain()), ms).unref();
}

/**
 * To be called when the code is loaded. Warms the process with `server`, which answers without the tenant's code, waits
 * until there is nothing left to wait for, and forks on request: in every child calls `start`, with the time at which it
 * was let go. Garbage is not collected before: it was tried, and children then sweep and copy more (0.5 MiB, 1.5 ms).
 */
async function forkWhenQuiet(server, start) {
  await fitness.startPool();
  await warm(server, addon);
  const patience = limit(QUIET_LIMIT_MS, fitness.busy);
  life.onceQuiet(() => {
    clearTimeout(patience);
    const found = fitness.check() ?? random.check();
    if (found !== undefined) end(found);
    random.settle();
    ready(performance.now() - started);
    start(parkAndFork());
  });
}

function end({ what, message }) {
  unfit(what, message);
  addon.leave(1);
}

/** Comes back in a child that has been let go, with the time. */
function parkAndFork() {
  const { child, control, pid, errno } = addon.park(SOCKET);
  const failed = errno < 0 ? errno : becomeChild(pid);
  const word = failed < 0 ? { failed: child, errno: -failed } : { here: child };
  fs.writeSync(control, JSON.stringify(word));
  if (failed < 0) addon.leave(1);
  const order = Buffer.alloc(ORDER_BYTES);
  const length = fs.readSync(control, order);
  // The spawner is gone, or has no use for this child.
  if (length === 0) addon.leave(0);
  const released = performance.now();
  fs.closeSync(control);
  process.env.HATCHWAY_SANDBOX = JSON.parse(order.toString('utf8', 0, length)).sandbox;
  again();
  return released;
}

function becomeChild(pid) {
  // The zygote has compiled all that it has loaded, see `ZYGOTE_FLAGS`; what a child loads is its own, and mostly not needed.
  v8.setFlagsFromString('--lazy');
  life.becomeChild(pid);
  random.reseed();
  return addon.confine();
}

module.exports = { begin, limit, forkWhenQuiet };
