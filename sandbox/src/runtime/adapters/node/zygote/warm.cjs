'use strict';
// Requests before the fork: V8 compiles the way of a request once, in the zygote, instead of in every child. Those to a
// server of ours run no code of the tenant. Those to the application itself are for paths that its manifest has declared to
// be harmless (`warmup`): what it loads for them, every child has.

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { setTimeout } = require('node:timers/promises');

/**
 * Enough for V8 to have seen every kind of object on the way. With a thousand the compiler is so sure of this one server
 * that the first request to a real one throws its work away: 12 ms of processor time for an Express application instead of 8.
 */
const REQUESTS = 50;
const HEAD = 'host: warm\r\nhatchway-request-id: warm\r\nconnection: close\r\n';
const KINDS = [
  `GET /warm HTTP/1.1\r\n${HEAD}\r\n`,
  `GET /?warm=1 HTTP/1.1\r\n${HEAD}\r\n`,
  `POST /warm HTTP/1.1\r\n${HEAD}content-type: application/json\r\ncontent-length: 2\r\n\r\n[]`,
];

/** Of each path that the manifest declares: V8 compiles at the second, and knows what passes by the tenth. */
const VISITS = 10;

/** Sends `server`, an http.Server that does not listen yet, some requests, and closes it. */
async function warm(server, addon) {
  await exercise(server, addon, cycle(KINDS, REQUESTS));
  // The way of a timer.
  await setTimeout(2);
}

/** The same in a child: one of each kind. What goes wrong makes its first request slower, no more. */
function rehearse(server, addon) {
  exercise(server, addon, KINDS).catch(() => {});
}

/** Asks `application`, an http.Server whose own `listen` is each child's, for `paths`. A path that it does not have is told. */
async function visit(application, addon, paths) {
  const kinds = paths.map((path) => `GET ${path} HTTP/1.1\r\n${HEAD}\r\n`);
  const connect = (connection) => application.emit('connection', connection);
  const statuses = await exercise(net.createServer({ allowHalfOpen: true, noDelay: true }, connect), addon, cycle(kinds, VISITS * kinds.length));
  for (const [index, path] of paths.entries()) {
    const status = statuses[statuses.length - paths.length + index];
    if (!(status >= 100 && status < 400)) console.error(`warmup: GET ${path} was answered by ${status || 'nothing'}`);
  }
}

function cycle(kinds, count) {
  return Array.from({ length: count }, (_, index) => kinds[index % kinds.length]);
}

/** Gives the status of each answer. */
async function exercise(server, addon, requests) {
  const socket = path.join(os.tmpdir(), `hatchway-warm-${randomBytes(8).toString('hex')}`);
  // A descriptor, as in a child that serves.
  const descriptor = addon.listen(socket);
  const statuses = [];
  // No place for a socket: the children are slower then, not wrong.
  if (descriptor < 0) return statuses;
  try {
    server.listen({ fd: descriptor });
    await once(server, 'listening');
    for (const text of requests) statuses.push(await request(socket, text));
    return statuses;
  } finally {
    server.close();
    fs.unlinkSync(socket);
  }
}

async function request(socket, text) {
  const connection = net.connect(socket);
  let head = '';
  // The status line comes first, and whole: it is the beginning of a packet.
  connection.on('data', (chunk) => (head ||= chunk.toString('latin1', 0, 12)));
  // Whoever breaks off has given no answer, and is told of by that.
  connection.on('error', () => {});
  connection.write(text);
  await new Promise((resolve) => connection.once('close', resolve));
  return Number(head.slice(9));
}

module.exports = { warm, rehearse, visit };
