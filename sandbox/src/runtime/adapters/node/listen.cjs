'use strict';
// Loaded before an unmodified server script: its first `listen`, on whatever port or path, takes the socket that the node
// scheduler made. Later calls (a metrics port, say) work as ever. In a zygote the call is held back, and each child makes it.

const { LISTENER, claim, isZygote, ready, failed, endedEarly } = require('./ready.cjs');
const isOurs = claim();

const net = require('node:net');

/** In a zygote: a script that waits this long before it listens waits for others, and holds connections to them. */
const LISTEN_LIMIT_MS = 20_000;

if (isOurs) {
  const started = performance.now();
  const zygote = isZygote() ? require('./zygote/fork.cjs') : undefined;
  zygote?.begin();
  const patience = zygote?.limit(LISTEN_LIMIT_MS, () => ({ what: 'handles', message: 'the script does not call listen()' }));
  const listen = net.Server.prototype.listen;

  net.Server.prototype.listen = function listenOnce(...args) {
    net.Server.prototype.listen = listen;
    if (typeof this.setSecureContext === 'function') {
      failed('bad_app', 'the server listens with TLS, which ends at the gateway: make it a plain HTTP server');
      process.exit(1);
    }
    const wanted = readArguments(args);
    standIn(this, wanted);
    const start = (since) => {
      this.once('listening', () => ready(performance.now() - since));
      return listen.call(this, { fd: LISTENER, backlog: wanted.backlog, signal: wanted.signal }, wanted.callback);
    };
    if (zygote === undefined) return start(started);
    clearTimeout(patience);
    hold(this, zygote, start);
    return this;
  };

  // A monitor, not a handler: what happens to an exception stays as the script left it, and it may not be the end.
  let thrown;
  process.on('uncaughtExceptionMonitor', (error) => (thrown = error));
  process.on('exit', (code) => {
    if (thrown) endedEarly('module_failed', thrown.message ?? thrown, thrown.stack);
    endedEarly('bad_app', `the script ended with code ${code} before it called listen()`);
  });
}

/** The rest of the script runs on as if the call had been made. */
function hold(server, zygote, start) {
  Object.defineProperty(server, 'listening', { value: true, configurable: true });
  const http = require('node:http');
  const makeServer = () => http.createServer((request, response) => response.end('warm'));
  zygote.forkWhenQuiet(server, makeServer, (since) => {
    delete server.listening;
    start(since);
  });
}

/** The forms of `listen`: (port, host, backlog, callback), (path, backlog, callback), (options, callback), (handle, ...). */
function readArguments(args) {
  const callback = args.findLast((arg) => typeof arg === 'function');
  const [first, ...rest] = args;
  if (typeof first === 'object' && first !== null) return { ...pick(first), callback };
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { path: first, backlog: rest.find(isNumber), callback };
  return { port: first, host: rest.find((arg) => typeof arg === 'string'), backlog: rest.find(isNumber), callback };
}

function pick({ port, host, path, backlog, signal }) {
  return { port, host, path, backlog, signal };
}

function isNumber(arg) {
  return typeof arg === 'number';
}

/** `address()` answers as if the wish had come true: scripts print it, and some read its port. */
function standIn(server, { port, host, path }) {
  const ip = host ?? '::';
  const address = path ?? {
    address: ip,
    family: ip.includes(':') ? 'IPv6' : 'IPv4',
    port: Number(port) || Number(process.env.PORT) || 8080,
  };
  Object.defineProperty(server, 'address', {
    value: () => (server.listening ? address : null),
    configurable: true,
    writable: true,
  });
}
