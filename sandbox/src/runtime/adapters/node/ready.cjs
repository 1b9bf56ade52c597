'use strict';
// Word to the node scheduler over the pipe it left at descriptor 4: one line of JSON, a record of
// compiled code where one is wanted (code.cjs), then the end of the pipe.

const fs = require('node:fs');
const { forgetLimit, recallLimit } = require('./heap.cjs');

const LISTENER = 3;
const PIPE = 4;
/** The answer that the start was made for is given by then, mostly. */
const RECORD_AFTER_MS = 1000;
/** What a request may have to wait for a piece of the record. */
const SLICE_MS = 3;
/** A pipe holds 64 KiB; a longer line would block a process whose start nobody reads to the end. */
const STACK_LIMIT = 8192;

let isOpen = false;
let isForked = false;
/** The module of that name, where the code of this version is recorded or recalled. */
let code;
let isRecording = false;

/**
 * Claims descriptors 3 and 4 for this process. False in a child process or a worker of the function: it has the flags
 * and the variables of the process that started it, but not the descriptors, and must not touch what stands there.
 *
 * To be called before anything else is loaded, for what it does to V8's flags until `ready`.
 */
function claim() {
  isForked = process.env.HATCHWAY_ZYGOTE_FD === String(LISTENER);
  isOpen = isForked || process.env.HATCHWAY_LISTENER === String(LISTENER);
  delete process.env.HATCHWAY_ZYGOTE_FD;
  delete process.env.HATCHWAY_LISTENER;
  // A zygote has flags of its own, under which there is no compiled code anyway.
  if (isOpen && !isForked) {
    forgetLimit();
    beginCode(process.env.HATCHWAY_CODE);
  }
  delete process.env.HATCHWAY_CODE;
  return isOpen;
}

function beginCode(word) {
  if (word === undefined) return;
  code = require('./code.cjs');
  if (!code.begin(word)) code = undefined;
  isRecording = code !== undefined && word === 'record';
}

/** True when this process is to be forked, once its code is loaded: descriptor 3 is a zygote's socket then. */
function isZygote() {
  return isForked;
}

/** In a child of a zygote: it has a pipe of its own at the same place. */
function again() {
  isOpen = true;
  isForked = false;
}

function ready(loadMs) {
  recallLimit();
  const counts = code && { ...code.counts };
  say({ ready: { load_ms: Math.round(loadMs * 10) / 10, runtime: `node ${process.versions.node}`, code: counts } });
  if (isRecording) setTimeout(record, RECORD_AFTER_MS).unref();
  else code?.settle();
}

/** Sends the record after the word, in pieces, with room for requests between them. */
function record() {
  const pieces = code.record();
  const end = () => {
    fs.closeSync(PIPE);
    code.settle();
  };
  const write = (bytes, error, written = 0) => {
    // The node scheduler does not want it, or is gone.
    if (error) return end();
    const left = bytes.subarray(written);
    if (left.length === 0) return setImmediate(step);
    fs.write(PIPE, left, (failed, count) => write(left, failed, count));
  };
  const step = () => {
    const until = performance.now() + SLICE_MS;
    // What is compiled is marked with the flags of the moment: those under which it will be loaded.
    forgetLimit();
    try {
      do {
        const { value, done } = pieces.next();
        if (done) return end();
        if (value !== undefined) return write(value);
      } while (performance.now() < until);
    } finally {
      recallLimit();
    }
    setImmediate(step);
  };
  step();
}

function failed(reason, message, stack) {
  say({ failed: { reason, message: String(message), stack: stack === undefined ? undefined : String(stack).slice(0, STACK_LIMIT) } });
}

/** Why code that is loaded cannot be forked: nothing that the function did wrong. */
function unfit(what, message) {
  say({ failed: { reason: 'unfit', what, message } });
}

/** For an `exit` listener: a process that ends before it is ready has failed, whatever its own code says. */
function endedEarly(reason, message, stack) {
  if (!isOpen) return;
  failed(reason, message, stack);
  process.exitCode ||= 1;
}

function say(word) {
  if (!isOpen) return;
  isOpen = false;
  fs.writeSync(PIPE, JSON.stringify(word) + '\n');
  if (!isRecording || word.ready === undefined) fs.closeSync(PIPE);
}

module.exports = { LISTENER, claim, isZygote, again, ready, failed, unfit, endedEarly };
