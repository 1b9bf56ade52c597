'use strict';
// From a result to an answer.
//
//   undefined                            204
//   string                               text/plain
//   Buffer, any view, ArrayBuffer        application/octet-stream
//   iterator, generator, stream          sent item by item, see `stream`
//   anything else                        JSON

const TEXT = 'text/plain; charset=utf-8';
const BYTES = 'application/octet-stream';
const EVENTS = 'text/event-stream';
const JSON_TYPE = 'application/json';

/** Sends `result`; settles when the answer is handed over or the caller has left. */
async function answer(response, result) {
  const iterator = iteratorOf(result);
  if (iterator !== undefined) return stream(response, iterator);
  if (result === undefined) return void response.writeHead(204).end();
  const [type, body] = encode(result);
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}

function encode(result) {
  if (typeof result === 'string') return [TEXT, result];
  const bytes = asBytes(result);
  if (bytes !== undefined) return [BYTES, bytes];
  return [JSON_TYPE, toJson(result)];
}

function asBytes(value) {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
}

function toJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} cannot be sent as JSON`);
  return text;
}

/** Arrays and maps are values; what is a stream has `next` itself, or is asynchronous. */
function iteratorOf(result) {
  if (typeof result !== 'object' || result === null) return undefined;
  if (typeof result[Symbol.asyncIterator] === 'function') return result[Symbol.asyncIterator]();
  if (typeof result[Symbol.iterator] === 'function' && typeof result.next === 'function') return result[Symbol.iterator]();
  return undefined;
}

/**
 * Sends the items as they come, no faster than the caller reads. The first item decides: a string makes it text, bytes
 * make it bytes, anything else makes it server-sent events, an event per item. It also decides when the head goes out, so
 * that an error before it is still a proper answer.
 */
async function stream(response, iterator) {
  const leave = () => {
    // Runs the generator's `finally`. It may be waiting for something that never comes, so nobody waits for it here.
    if (!response.writableFinished) Promise.resolve(iterator.return?.()).catch(() => {});
  };
  response.once('close', leave);
  let item = await iterator.next();
  if (response.destroyed) return;
  const type = typeOf(item);
  let chunk = item.done ? '' : toChunk(item.value, type);
  response.writeHead(200, { 'content-type': type, ...(type === EVENTS ? { 'cache-control': 'no-cache' } : {}) });
  // An answer to HEAD has no body, so nothing would ever slow an endless stream down.
  if (response.req.method === 'HEAD') item = await abandon(iterator);
  while (!item.done) {
    if (!response.write(chunk)) await drained(response);
    if (response.destroyed) return;
    item = await iterator.next();
    if (response.destroyed) return;
    if (!item.done) chunk = toChunk(item.value, type);
  }
  response.end();
}

function typeOf({ done, value }) {
  if (done || typeof value === 'string') return TEXT;
  return asBytes(value) === undefined ? EVENTS : BYTES;
}

async function abandon(iterator) {
  await iterator.return?.();
  return { done: true };
}

function toChunk(item, type) {
  if (type === EVENTS) return toEvent(item);
  const chunk = typeof item === 'string' ? item : asBytes(item);
  if (chunk === undefined) throw new TypeError(`a stream of ${type} cannot hold a ${typeof item}`);
  return chunk;
}

/** A string may have several lines, and each is a `data` line; JSON has none (HTML, section 9.2.6). */
function toEvent(item) {
  const text = typeof item === 'string' ? item : toJson(item);
  return `data: ${text.replace(/\r\n?|\n/g, '\ndata: ')}\n\n`;
}

function drained(response) {
  return new Promise((resolve) => {
    const settle = () => {
      response.off('drain', settle).off('close', settle);
      resolve();
    };
    response.on('drain', settle).on('close', settle);
  });
}

module.exports = { answer };
