'use strict';
// The life of a forked process as its code sees it: who it is, and how it ends. Node's own way to end joins threads, which
// a fork does not copy, and would wait for ever; so a child ends by the addon, after everything that the code may do at
// its end. What the code has kept of its first life stays with it: a process id in a logger's fields, `timeOrigin`.

const fs = require('node:fs');
const { inspect } = require('node:util');

let addon;
let quiet;
let isChild = false;
/** True while an exception is being judged: its text goes out after the code's `exit` listeners. */
let isJudging = false;

function begin(loaded) {
  addon = loaded;
  // The zygote's flags are not for the function's own processes.
  process.execArgv = process.execArgv.filter((flag) => flag.startsWith('--max-old-space-size='));
  const { emit } = process;
  const value = function emitAndEnd(name) {
    if (name === 'beforeExit' && quiet !== undefined) return void forkPoint();
    const heard = Reflect.apply(emit, this, arguments);
    if (name === 'exit' && isChild && process._exiting && !isJudging) leave();
    return heard;
  };
  Object.defineProperty(process, 'emit', { value, writable: true, configurable: true, enumerable: false });
}

/** Calls `reached` when nothing is left to wait for. The code is not told, for its process goes on. */
function onceQuiet(reached) {
  quiet = reached;
}

function forkPoint() {
  const reached = quiet;
  quiet = undefined;
  reached();
}

function becomeChild(pid) {
  isChild = true;
  const born = process.hrtime();
  Object.defineProperty(process, 'pid', { value: pid, enumerable: true, configurable: true });
  process.uptime = () => {
    const [seconds, nanoseconds] = process.hrtime(born);
    return seconds + nanoseconds / 1e9;
  };
  process.reallyExit = leave;
  if (addon.keep(runDry) < 0) throw new Error('the event loop of a child cannot be kept going');
  const judge = process._fatalException;
  process._fatalException = (error, fromPromise) => judgeAndEnd(judge, error, fromPromise);
}

/**
 * Nothing is left to do: in a child the addon says so, see keep.c. At first the code may find something, as by Node; then
 * it is the end.
 */
function runDry(stage) {
  try {
    if (stage === 1) process.exit();
    else if (quiet !== undefined) forkPoint();
    else process.emit('beforeExit', process.exitCode ?? 0);
  } catch (error) {
    process._fatalException(error, false);
  }
}

function leave(code = process.exitCode) {
  addon.leave(Number(code) || 0);
}

/** An exception that nothing has caught: the code's handlers, then its `exit` listeners, then its text, then the end. */
function judgeAndEnd(judge, error, fromPromise) {
  isJudging = true;
  try {
    if (judge(error, fromPromise)) return true;
  } catch (second) {
    print(second);
    // "Internal Exception Handler Run-Time Failure", as Node calls it.
    leave(7);
  } finally {
    isJudging = false;
  }
  print(error);
  leave(process.exitCode || 1);
}

function print(error) {
  const text = `${inspect(error)}\n\nNode.js ${process.version}\n`;
  try {
    fs.writeSync(2, text);
  } catch {
    // Nobody reads: that must not keep it from ending.
  }
}

module.exports = { begin, onceQuiet, becomeChild };
