'use strict';
// `ctx`: what a handler may know about its call. Business only; nothing in it tells which protocol the call came by.

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

class Context {
  #log;
  #abort;
  #left = false;

  constructor(headers, log) {
    this.#log = log;
    this.requestId = headers['hatchway-request-id'];
    this.function = process.env.HATCHWAY_FUNCTION;
    this.tenant = headers['hatchway-tenant'] ?? process.env.HATCHWAY_TENANT;
    /** Who calls, when the gateway has found out. */
    this.caller = headers['hatchway-caller'];
    /** `{ traceId, parentId, sampled }`, or undefined. */
    this.trace = parseTrace(headers.traceparent);
    /** A `Date`, or undefined when the call has no end set. */
    this.deadline = parseDeadline(headers['hatchway-deadline-ms']);
    this.log = {
      debug: (message, fields) => log.event('debug', message, fields),
      info: (message, fields) => log.event('info', message, fields),
      warn: (message, fields) => log.event('warn', message, fields),
      error: (message, fields) => log.event('error', message, fields),
    };
  }

  /** Milliseconds left to the deadline, 0 when it has passed, Infinity when there is none. */
  remainingMs() {
    return this.deadline === undefined ? Infinity : Math.max(0, this.deadline.getTime() - Date.now());
  }

  /** Fires when the caller has left. Made at first use: most handlers never look. */
  get signal() {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#left) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /** Called by the adapter, once. */
  static callerLeft(context) {
    context.#left = true;
    context.#abort?.abort();
  }
}

/** W3C Trace Context, section 3.2: a later version may have more fields after the four of version 00. */
function parseTrace(header) {
  const match = header === undefined ? null : TRACEPARENT.exec(header);
  if (match === null) return undefined;
  return { traceId: match[1], parentId: match[2], sampled: (parseInt(match[3], 16) & 1) === 1 };
}

function parseDeadline(header) {
  const ms = Number(header);
  return header === undefined || !Number.isFinite(ms) ? undefined : new Date(ms);
}

module.exports = { Context };
