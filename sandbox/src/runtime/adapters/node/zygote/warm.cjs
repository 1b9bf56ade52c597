'use strict';
// Requests before the fork, to a server of ours that runs no code of the tenant: V8 compiles the way of a request once,
// in the zygote, instead of in every child. An application's own way could be warmed by a server that hands its requests
// on to it; that takes a path which the manifest declares to be harmless.

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

/** Sends `server`, an http.Server that does not listen yet, some requests, and closes it. */
async function warm(server, addon) {
  await exercise(server, addon, REQUESTS);
  // The way of a timer.
  await setTimeout(2);
}

/** The same in a child: one of each kind. What goes wrong makes its first request slower, no more. */
function rehearse(server, addon) {
  exercise(server, addon, KINDS.length).catch(() => {});
}

async function exercise(server, addon, count) {
  const socket = path.join(os.tmpdir(), `hatchway-warm-${randomBytes(8).toString('hex')}`);
  // A descriptor, as in a child that serves.
  const descriptor = addon.listen(socket);
  // No place for a socket: the children are slower then, not wrong.
  if (descriptor < 0) return;
  try {
    server.listen({ fd: descriptor });
    await once(server, 'listening');
    for (let i = 0; i < count; i++) await request(socket, KINDS[i % KINDS.length]);
  } finally {
    server.close();
    fs.unlinkSync(socket);
  }
}

async function request(socket, text) {
  const connection = net.connect(socket);
  connection.write(text);
  connection.resume();
  await once(connection, 'close');
}

module.exports = { warm, rehearse };
