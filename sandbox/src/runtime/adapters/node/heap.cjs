'use strict';
// While code is loaded, V8 forgets the flag by which the heap got its limit.
//
// Node's own modules come with compiled code that was made without flags, and V8 takes none that was made under other flags than
// it has at the moment. The limit was read when the heap was made, and stays. Processor time up to the first listen of an
// Express application with five large libraries on Node 20: 284 ms instead of 322; with no flag at all it is 268.
// Before the first request the flag is back: the heap of a worker is made by it. One that is started while code loads has no
// limit but that of the whole sandbox.

const FLAG = '--max-old-space-size=';
const given = process.execArgv.find((argument) => argument.startsWith(FLAG));

let isForgotten = false;

/** To be called before anything else is loaded. */
function forgetLimit() {
  if (given === undefined) return;
  isForgotten = true;
  require('node:v8').setFlagsFromString(`${FLAG}0`);
}

function recallLimit() {
  if (!isForgotten) return;
  isForgotten = false;
  require('node:v8').setFlagsFromString(given);
}

module.exports = { forgetLimit, recallLimit };
