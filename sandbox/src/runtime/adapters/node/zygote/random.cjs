'use strict';
// Everything random that a fork would copy. OpenSSL sees the new process id and seeds itself anew; what is kept in
// JavaScript does not, and siblings would draw the same numbers. Not covered: what the code drew while it was loaded
// (a pool of random bytes, say, see fitness.cjs), the hash seed, and `Math.random` of contexts made with node:vm.

const crypto = require('node:crypto');

/** `crypto.randomUUID` draws from a cache of this many; a call too many does no harm. */
const CACHED_UUIDS = 128;
/** `crypto.randomInt` draws six bytes at a time from a cache. */
const DRAW_BYTES = 6;

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
 * Before the fork: draws until the cache of randomInt is used up, so that every child fills its own. How far it is shows
 * when its bytes are read.
 */
function drain() {
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

module.exports = { begin, drain, reseed };
