// The function of a trial: can this version of Node be forked? `drawn` has to differ between siblings, `can` has to be true
// in each. `runtime/trial.rs` plays the spawner, the gateway and the caller.

import crypto from 'node:crypto';
import fs from 'node:fs/promises';
import v8 from 'node:v8';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

const { random } = Math;
const drawing = {
  uuid: () => crypto.randomUUID(),
  int: () => crypto.randomInt(2 ** 47),
  math: () => Math.random(),
  kept: () => random(),
  bytes: () => crypto.randomBytes(16).toString('hex'),
  key: () => crypto.generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex'),
};

// Fills what caches there are, and starts the thread pool.
for (const draw of Object.values(drawing)) draw();
await fs.stat('/');

/** More than any cache holds. */
const DRAWS = { uuid: 300, int: 1500, math: 300 };

export async function answer(context, query) {
  if (query?.end) process.exit(0);
  const drawn = {};
  for (const [name, draw] of Object.entries(drawing)) drawn[name] = Array.from({ length: DRAWS[name] ?? 1 }, () => String(draw()));
  const can = { optimise: canOptimise(), tell: canTell() };
  Object.assign(can, { wait: await canWait(), compile: await canCompile(), thread: await canThread() });
  return { drawn, can };
}

/** True once V8 runs a function of ours by machine code that it has optimised: its compiler needs no thread. */
function canOptimise() {
  v8.setFlagsFromString('--allow-natives-syntax');
  const isOptimised = new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0');
  for (let i = 0; i < 10_000 && !isOptimised(sum); i++) sum(1000);
  return isOptimised(sum);
}

function sum(n) {
  let all = 0;
  for (let i = 0; i < n; i++) all = (all + i * n) % 1000003;
  return all;
}

/** The thread pool works for it, and its timers go off. */
async function canWait() {
  await promisify(setTimeout)(1);
  const worked = Promise.all([fs.stat('/'), promisify(crypto.randomBytes)(8)]);
  return (await Promise.race([worked, patience()])) !== undefined;
}

async function canCompile() {
  const compiled = WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  return (await Promise.race([compiled, patience()])) !== undefined;
}

/** A thread of its own comes and goes. */
async function canThread() {
  const ended = once(new Worker('', { eval: true }), 'exit');
  return (await Promise.race([ended, patience()])) !== undefined;
}

/** What waits for a thread that is not there waits for ever. */
function patience() {
  return new Promise((resolve) => setTimeout(resolve, 3000).unref());
}

/** It knows itself. */
function canTell() {
  process.kill(process.pid, 0);
  return process.env.HATCHWAY_SANDBOX === 'trial';
}
