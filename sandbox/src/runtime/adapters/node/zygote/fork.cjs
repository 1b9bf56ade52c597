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
const { warm, rehearse, visit } = require('./warm.cjs');

const SOCKET = 3;
const READY = 4;
/** What ends on its own (files being read, short timers) has ended by then, or the function gets another kind of start. */
const QUIET_LIMIT_MS = 2000;
/** For all requests that the manifest declares: an application that answers none of them is not worth forking. */
const VISITS_LIMIT_MS = 5000;
/** Longer than an order is. */
const ORDER_BYTES = 4096;

let started;
let addon;
/** The paths that the manifest declares. */
let paths;

/** To be called before any code of the tenant runs. */
function begin() {
  started = performance.now();
  paths = (process.env.HATCHWAY_WARMUP ?? '').split('\n').filter((path) => path !== '');
  delete process.env.HATCHWAY_WARMUP;
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
 * To be called when the code is loaded. Warms the process by requests to what `makeServer` makes, which answers without
 * the tenant's code, and by those that are declared to `application`, waits until there is nothing left to wait for, and
 * forks on request. In every child it calls `start` when that is let go, with the time. Garbage is not collected before:
 * it was tried, and children then sweep and copy more (0.5 MiB, 1.5 ms).
 */
async function forkWhenQuiet(application, makeServer, start) {
  await fitness.startPool();
  await warm(makeServer(), addon);
  if (paths.length > 0) await visitInTime(application);
  const patience = limit(QUIET_LIMIT_MS, fitness.busy);
  life.onceQuiet(() => {
    clearTimeout(patience);
    const found = fitness.check() ?? random.check();
    if (found !== undefined) end(found);
    random.settle();
    ready(performance.now() - started);
    const control = becomeChild(addon.park(SOCKET));
    const serve = () => start(waitToBeLetGo(control));
    if (addon.waits(control) === 1) return serve();
    // Nobody waits yet: the pages that a first request copies are copied before it comes.
    rehearse(makeServer(), addon);
    life.onceQuiet(serve);
  });
}

async function visitInTime(application) {
  const explain = () => ({ what: 'warmup', message: `GET ${paths.join(', GET ')}: not all answered within ${VISITS_LIMIT_MS / 1000} s` });
  const patience = limit(VISITS_LIMIT_MS, explain);
  await visit(application, addon, paths);
  clearTimeout(patience);
}

function end({ what, message }) {
  unfit(what, message);
  addon.leave(1);
}

/** What every child does before any code of the tenant runs. */
function becomeChild({ control, pid, errno }) {
  // The zygote has compiled all that it has loaded, see `ZYGOTE_FLAGS`; what a child loads is its own, and mostly not needed.
  v8.setFlagsFromString('--lazy');
  life.becomeChild(pid);
  random.reseed();
  const failed = errno < 0 ? errno : addon.confine();
  if (failed < 0) throw new Error(`a child cannot be made, error ${-failed}`);
  return control;
}

/** Parked: comes back when the child is to serve, with the time. */
function waitToBeLetGo(control) {
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

module.exports = { begin, limit, forkWhenQuiet };
