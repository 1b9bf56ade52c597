'use strict';
// Which request wrote a line. The node scheduler reads stdout and stderr by lines, and takes one that begins with the
// record separator as `<separator><request id> <text>`.

const { AsyncLocalStorage } = require('node:async_hooks');
const { inspect } = require('node:util');

const SEPARATOR = '\x1e';
/** A line without an end is passed on in parts of this many characters. */
const PARTIAL_LIMIT = 65536;

/** The lines of one request. What is written in pieces is kept until its line ends, for requests run side by side. */
class RequestLog {
  #prefix;
  #partial = { stdout: '', stderr: '' };

  constructor(requestId) {
    this.#prefix = `${SEPARATOR}${requestId} `;
  }

  /** Takes a piece of text; gives back the lines that are now whole, each with its prefix. */
  take(stream, text) {
    const all = this.#partial[stream] + text;
    const end = all.lastIndexOf('\n') + 1;
    this.#partial[stream] = all.slice(end);
    let lines = end === 0 ? '' : this.#prefix + all.slice(0, end - 1).replaceAll('\n', `\n${this.#prefix}`) + '\n';
    if (this.#partial[stream].length > PARTIAL_LIMIT) lines += this.#rest(stream);
    return lines;
  }

  /** Writes what has no end of line yet; called when the request is over. */
  finish() {
    for (const stream of ['stdout', 'stderr']) {
      if (this.#partial[stream] !== '') write(stream, this.#rest(stream));
    }
  }

  /** One structured line, wherever in the process it is called from. */
  event(level, message, fields) {
    const line = message instanceof Error ? { level, ...describe(message) } : { level, message: textOf(message) };
    write('stdout', `${this.#prefix}${stringify(line, fields)}\n`);
  }

  #rest(stream) {
    const line = `${this.#prefix}${this.#partial[stream]}\n`;
    this.#partial[stream] = '';
    return line;
  }
}

/** `stack` is the error as Node prints it: with its properties and its causes. */
function describe(error) {
  return { message: error.message, error: error.name, stack: inspect(error) };
}

function textOf(value) {
  return typeof value === 'string' ? value : inspect(value, { breakLength: Infinity });
}

function stringify(line, fields) {
  try {
    return JSON.stringify({ ...line, ...expand(fields) });
  } catch {
    // A cycle or a BigInt: better shown roughly than lost.
    return JSON.stringify({ ...line, fields: inspect(fields, { breakLength: Infinity }) });
  }
}

function expand(fields) {
  if (fields instanceof Error) return { error: fields.name, stack: inspect(fields) };
  return typeof fields === 'object' && fields !== null ? fields : fields === undefined ? {} : { value: fields };
}

/** The request that the running code works for, through every await, timer and callback. */
const current = new AsyncLocalStorage();

/** The stream's own `write`, by stream, once the stream has been opened. */
const writers = {};

function write(stream, text) {
  const target = process[stream];
  writers[stream].call(target, text);
}

/**
 * Puts the prefix on what `console` and others write while a request is handled. The streams are opened at their first
 * use, as Node does it: opening both costs a cold start more than it is worth to a function that is silent.
 */
function attribute() {
  for (const stream of ['stdout', 'stderr']) {
    const open = Object.getOwnPropertyDescriptor(process, stream).get;
    let opened;
    Object.defineProperty(process, stream, {
      configurable: true,
      enumerable: true,
      get() {
        opened ??= wrap(stream, open.call(process));
        return opened;
      },
    });
  }
}

function wrap(stream, target) {
  const own = target.write;
  writers[stream] = own;
  target.write = function writeAttributed(chunk, encoding, callback) {
    const log = current.getStore();
    if (log === undefined) return own.apply(target, arguments);
    const done = typeof encoding === 'function' ? encoding : callback;
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return own.call(target, log.take(stream, text), done);
  };
  return target;
}

module.exports = { RequestLog, current, attribute };
