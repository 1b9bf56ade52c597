'use strict';
// Everything random that a fork would copy. OpenSSL sees the new process id and seeds itself anew; what is kept in
// JavaScript does not, and siblings would draw the same numbers. Shared all the same: what the code itself drew while it
// was loaded, V8's hash seed, and `Math.random` of contexts made with node:vm.

const crypto = require('node:crypto');
const { syncBuiltinESMExports } = require('node:module');

/** `crypto.randomUUID` draws from a cache of this many; a call too many does no harm. */
const CACHED_UUIDS = 128;
/** `crypto.randomInt` draws six bytes at a time from a cache. */
const DRAW_BYTES = 6;

/** Until V8 has compiled the drawing, which every child does 128 times: 0.4 ms instead of 0.8. */
const WARM_DRAWS = 3000;

/** More than a key is long. Who draws this much at once hands it out in pieces, as `uuid` and `nanoid` do. */
const POOL_BYTES = 128;

/** State of the generator behind Math.random: three random words and a counter. */
const state = new Int32Array(4);

/** Replaces Math.random, whose own state cannot be set, before anyone keeps a reference to it. */
function begin() {
  seed();
  // A method, so that it can be no more constructed than the original.
  const { random } = {
    random() {
      return ((draw() >>> 5) * 0x4000000 + (draw() >>> 6)) / 0x20000000000000;
    },
  };
  Object.defineProperty(Math, 'random', { value: random, writable: true, configurable: true, enumerable: false });
  const web = Object.getPrototypeOf(crypto.webcrypto);
  const watched = [watch(crypto, 'randomFillSync'), watch(crypto, 'randomFill'), watch(web, 'getRandomValues')];
  syncBuiltinESMExports();
  unwatch = () => {
    for (const restore of watched) restore();
    syncBuiltinESMExports();
  };
}

/** Bytes that the code has put into memory of its own, the most at once. */
let filled = 0;
let unwatch;

function watch(owner, name) {
  const original = owner[name];
  const { [name]: value } = {
    [name](target) {
      filled = Math.max(filled, target?.byteLength ?? 0);
      return Reflect.apply(original, this, arguments);
    },
  };
  owner[name] = value;
  return () => {
    if (owner[name] === value) owner[name] = original;
  };
}

/** Why siblings would hand out the same values: `{ what, message }`, or undefined. */
function check() {
  if (filled < POOL_BYTES) return undefined;
  return { what: 'random', message: `${filled} random bytes were drawn into a pool before the fork` };
}

/** The generator sfc32 of PractRand: small, fast, and it passes the tests that V8's own was chosen by. */
function draw() {
  const result = (state[0] + state[1] + state[3]) | 0;
  state[3] += 1;
  state[0] = state[1] ^ (state[1] >>> 9);
  state[1] = state[2] + (state[2] << 3);
  state[2] = ((state[2] << 21) | (state[2] >>> 11)) + result;
  return result;
}

function seed() {
  crypto.randomFillSync(state);
  state[3] = 1;
  for (let i = 0; i < 12; i++) draw();
}

/**
 * Before the fork: lets go of what watched the loading, and draws until the cache of randomInt is used up, so that every child fills its own. How far it is shows
 * when its bytes are read.
 */
function settle() {
  unwatch();
  for (let i = 0; i < WARM_DRAWS; i++) crypto.randomUUID();
  const read = Buffer.prototype.readUIntBE;
  let left = 0;
  Buffer.prototype.readUIntBE = function readAndSee(offset, length) {
    left = this.length - offset - length;
    return Reflect.apply(read, this, [offset, length]);
  };
  do crypto.randomInt(2);
  while (left >= DRAW_BYTES);
  Buffer.prototype.readUIntBE = read;
}

/** In a child, before code of the tenant runs. */
function reseed() {
  seed();
  for (let i = 0; i < CACHED_UUIDS; i++) crypto.randomUUID();
}

module.exports = { begin, check, settle, reseed };
