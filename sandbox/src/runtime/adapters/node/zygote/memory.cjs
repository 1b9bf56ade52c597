'use strict';
// What a child touches it gets a copy of, so the heap should be in order before the fork.

const v8 = require('node:v8');
const vm = require('node:vm');

/** Collects what loading has left, so that no child does it: a collection writes to every page that it keeps. */
function compact() {
  v8.setFlagsFromString('--expose-gc');
  vm.runInNewContext('gc')();
}

module.exports = { compact };
