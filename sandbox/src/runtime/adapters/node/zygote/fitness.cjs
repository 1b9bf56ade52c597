'use strict';
// What a fork cannot copy, or would share where it must not be shared: descriptors, threads, child processes, and work
// under way. Code that leaves such a thing behind when it is loaded gets another kind of start.

const fs = require('node:fs');

/** A device without a state of its own may be open in several processes. */
const HARMLESS = new Set(['/dev/null', '/dev/zero', '/dev/random', '/dev/urandom']);
/** libuv's own number for the threads of its pool. */
const POOL_THREADS = 4;

let addon;
let descriptors;
let threads;

/** Remembers what is there before any code of the tenant runs. */
function begin(loaded) {
  addon = loaded;
  // libuv makes a pipe for signals at the first listener.
  const ignore = () => {};
  process.on('SIGTERM', ignore).removeListener('SIGTERM', ignore);
  descriptors = openDescriptors();
  threads = countThreads();
}

/** To be awaited before `check`: with the pool's threads there for certain, others can be told from them. */
function startPool() {
  return fs.promises.stat('/');
}

/** Why this process cannot be forked: `{ what, message }`, or undefined. */
function check() {
  const extra = countLastingThreads() - threads - poolSize();
  if (extra > 0) return { what: 'threads', message: `${extra} threads were started before the fork` };
  if (addon.children() === 1) return { what: 'children', message: 'a child process was started before the fork' };
  for (const [descriptor, target] of openDescriptors()) {
    if (descriptors.get(descriptor) === target || HARMLESS.has(target)) continue;
    const what = target.startsWith('/') ? 'files' : target.startsWith('socket:') ? 'sockets' : 'handles';
    return { what, message: `${target} was left open before the fork` };
  }
  return undefined;
}

/** Why the event loop does not come to rest. */
function busy() {
  const active = [...new Set(process.getActiveResourcesInfo())];
  const what = active.includes('Timeout') || active.includes('Immediate') ? 'timers' : 'handles';
  return check() ?? { what, message: `still at work before the fork: ${active.join(', ') || 'a task'}` };
}

function openDescriptors() {
  const open = new Map();
  for (const descriptor of fs.readdirSync('/proc/self/fd')) {
    try {
      open.set(descriptor, fs.readlinkSync(`/proc/self/fd/${descriptor}`));
    } catch {
      // The one by which the folder was read.
    }
  }
  return open;
}

function countThreads() {
  return fs.readdirSync('/proc/self/task').length;
}

/** One that was joined has run to its end, and may still be on its way out of the kernel, which tells nobody. */
function countLastingThreads() {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; round < 50 && countThreads() > threads + poolSize(); round++) Atomics.wait(pause, 0, 0, 2);
  return countThreads();
}

/** As libuv reads it. */
function poolSize() {
  const wanted = process.env.UV_THREADPOOL_SIZE;
  return wanted === undefined ? POOL_THREADS : Math.min(Math.max(parseInt(wanted, 10) || 0, 1), 1024);
}

module.exports = { begin, startPool, check, busy };
