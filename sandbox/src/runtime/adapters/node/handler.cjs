'use strict';
// Runs `handler(ctx, ...args)` behind HTTP on the socket that the node scheduler made.
// A request in order: arguments.cjs, context.cjs, the handler, answer.cjs; log.cjs beside it, problem.cjs when it throws.

const { LISTENER, claim, isZygote, ready, failed, endedEarly } = require('./ready.cjs');
claim();

const http = require('node:http');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { RequestLog, current, attribute } = require('./log.cjs');
const { Context } = require('./context.cjs');
const { readArguments, hasNoBody, fromQuery } = require('./arguments.cjs');
const { answer } = require('./answer.cjs');
const { Refusal, toProblem } = require('./problem.cjs');

/** The node scheduler closes idle connections and stops slow ones; a second clock here would only race with it. */
const NO_CLOCKS = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0, connectionsCheckingInterval: 2 ** 31 - 1 };

async function main([modulePath, exportName]) {
  const started = performance.now();
  const zygote = isZygote() ? require('./zygote/fork.cjs') : undefined;
  zygote?.begin();
  attribute();
  process.on('exit', (code) => endedEarly('module_failed', `the process ended with code ${code} while the module was loaded`));
  const handler = await load(modulePath, exportName);
  const start = (since) => {
    const server = createServer(handler);
    process.once('SIGTERM', () => drain(server));
    server.listen({ fd: LISTENER }, () => ready(performance.now() - since));
  };
  if (zygote === undefined) start(started);
  else await zygote.forkWhenQuiet(createServer(handler), () => createServer(warmHandler), start);
}

/** In a zygote, answers in each way but with the tenant's code. */
async function warmHandler(context, ...args) {
  return args.length === 0 ? 'warm' : { args };
}

async function load(modulePath, exportName) {
  let module;
  try {
    module = await import(pathToFileURL(path.resolve(modulePath)));
  } catch (error) {
    console.error(error);
    failed('module_failed', error?.message ?? error, error?.stack);
    process.exit(1);
  }
  // What a CommonJS module exports stands under `default`, whether or not its names were found by reading it.
  const handler = module[exportName] ?? module.default?.[exportName];
  if (typeof handler !== 'function') {
    const exported = Object.keys({ ...module.default, ...module }).join(', ');
    const message = `${modulePath} exports no function ${exportName}; it exports ${exported || 'nothing'}`;
    console.error(message);
    failed('handler_not_found', message);
    process.exit(1);
  }
  return handler;
}

/** The server of a handler, which does not listen yet. */
function createServer(handler) {
  const server = http.createServer(NO_CLOCKS, (request, response) => serve(server, handler, request, response));
  return server;
}

function serve(server, handler, request, response) {
  const log = new RequestLog(request.headers['hatchway-request-id'] ?? '-');
  const context = new Context(request.headers, log);
  response.once('close', () => {
    if (!response.writableFinished) Context.callerLeft(context);
    log.finish();
    if (!server.listening) server.closeIdleConnections();
  });
  current.run(log, call, handler, context, log, request, response);
}

async function call(handler, context, log, request, response) {
  try {
    const args = hasNoBody(request) ? fromQuery(request.url) : await readArguments(request);
    await answer(response, await handler(context, ...args));
  } catch (error) {
    // The caller has left: nobody to answer, and an error that follows from leaving is no news.
    if (response.destroyed) return;
    fail(error, context, log, request, response);
  }
}

function fail(error, context, log, request, response) {
  const problem = toProblem(error, context.requestId);
  if (problem.status >= 500) log.event('error', error, { status: problem.status });
  // Too late for a status. What was sent still goes out; without its last chunk, the answer is seen to be cut off.
  if (response.headersSent) return void response.socket.destroySoon();
  const body = JSON.stringify(problem);
  const headers = { 'content-type': 'application/problem+json', 'content-length': Buffer.byteLength(body) };
  // The rest of a body that was refused is not worth reading.
  if (error instanceof Refusal && !request.complete) headers.connection = 'close';
  response.writeHead(problem.status, headers).end(body);
}

/** Stops to accept, lets what runs finish, then leaves, whatever timers the function still has. */
function drain(server) {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}

main(process.argv.slice(2));
