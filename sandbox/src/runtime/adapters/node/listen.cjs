'use strict';
// Loaded before an unmodified server script: its first `listen`, on whatever port or path, takes the socket that the node
// scheduler made. Later calls (a metrics port, say) work as ever.

const net = require('node:net');
const { LISTENER, claim, ready, failed, endedEarly } = require('./ready.cjs');

if (claim()) {
  const started = performance.now();
  const listen = net.Server.prototype.listen;

  net.Server.prototype.listen = function listenOnce(...args) {
    net.Server.prototype.listen = listen;
    if (typeof this.setSecureContext === 'function') {
      failed('bad_app', 'the server listens with TLS, which ends at the gateway: make it a plain HTTP server');
      process.exit(1);
    }
    const wanted = readArguments(args);
    standIn(this, wanted);
    this.once('listening', () => ready(performance.now() - started));
    return listen.call(this, { fd: LISTENER, backlog: wanted.backlog, signal: wanted.signal }, wanted.callback);
  };

  // A monitor, not a handler: what happens to an exception stays as the script left it, and it may not be the end.
  let thrown;
  process.on('uncaughtExceptionMonitor', (error) => (thrown = error));
  process.on('exit', (code) => {
    if (thrown) endedEarly('module_failed', thrown.message ?? thrown, thrown.stack);
    endedEarly('bad_app', `the script ended with code ${code} before it called listen()`);
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
