'use strict';
// Compiled code of a version's CommonJS modules: recorded by one of its ordinary starts, taken up by later ones.
//
// A record holds, for every module of the package that was loaded, its text and what V8 had compiled of it by then, and for
// every `require` of one where it led. A start that has one opens a single file in place of thousands, asks the file system
// nothing, and compiles nothing that was compiled before. The package is never written to, and a record is its version's alone,
// so neither can be out of date; what V8 does not take (its flags have changed, say) it compiles, and that is told.
//
// Node's own `module.enableCompileCache` keeps a folder per user id, and each sandbox has another; it knows no paths, and
// Node 20 does not have it. ECMAScript modules are left to Node: it lets nobody give it their compiled code.

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const Module = require('node:module');
const { pack, unpack } = require('./record.cjs');

const [HEAD] = Module.wrapper;
/** What a first request loads is loaded by then. */
const SETTLE_MS = 10_000;
/** Where the package is. */
let within;

/** A program of its first line; or one that calls `import()`, which V8 does not lead to Node in code that it was given. */
const FOR_NODE = /^#!|\bimport\s*[(/]/;

/** By file name: { text, code }, and `script` of those that were compiled here. */
const files = new Map();
/** By the folder of who requires, then by what is required. */
const places = new Map();
const counts = { used: 0, rejected: 0 };
let isRecording = false;

/** To be called before any code of the function is loaded. `word` is `record`, or where a record is. False when that cannot be read. */
function begin(word) {
  within = process.cwd() + path.sep;
  isRecording = word === 'record';
  if (!isRecording) {
    try {
      unpack(fs.readFileSync(word), files, places);
    } catch (error) {
      console.error(`the compiled code of this version is not used: ${error.message}`);
      return false;
    }
  }
  hookPlaces();
  hookFiles();
  return true;
}

/** Where a `require` leads: as it did before, or as it does now. */
function hookPlaces() {
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function resolveFilename(request, parent, isMain, options) {
    const folder = parent?.path;
    if (isMain || options !== undefined || !isOurs(parent?.filename)) return resolve.apply(this, arguments);
    const known = places.get(folder)?.get(request);
    if (known !== undefined) return known;
    const found = resolve.apply(this, arguments);
    if (isRecording && isOurs(found)) {
      if (!places.has(folder)) places.set(folder, new Map());
      places.get(folder).set(request, found);
    }
    return found;
  };
}

function isOurs(filename) {
  return typeof filename === 'string' && filename.startsWith(within);
}

function hookFiles() {
  const load = Module._extensions['.js'];
  Module._extensions['.js'] = function loadKnown(module, filename) {
    const text = files.get(filename)?.text;
    // By way of the module's own `_compile`: there are packages that put themselves in between.
    return text === undefined ? load.apply(this, arguments) : module._compile(text, filename);
  };
  const compile = Module.prototype._compile;
  Module.prototype._compile = function compileKnown(text, filename, format) {
    const file = isOurs(filename) && (format ?? 'commonjs') === 'commonjs' ? known(text, filename) : undefined;
    const body = file && wrap(file, filename);
    // What cannot be compiled is Node's to explain.
    if (body === undefined) return compile.apply(this, arguments);
    return body.call(this.exports, this.exports, makeRequire(this), this, filename, path.dirname(filename));
  };
}

/** What is to be compiled here. What is loaded may be another text than the file's: some packages make others of them. */
function known(text, filename) {
  if (typeof text !== 'string') return undefined;
  if (isRecording && !files.has(filename)) files.set(filename, { text, isForNode: FOR_NODE.test(text) });
  const file = files.get(filename);
  return file?.text === text && !file.isForNode ? file : undefined;
}

function wrap(file, filename) {
  const options = { filename, columnOffset: -HEAD.length, cachedData: file.code };
  try {
    const script = new vm.Script(Module.wrap(file.text), options);
    if (file.code !== undefined) counts[script.cachedDataRejected ? 'rejected' : 'used'] += 1;
    file.script = script;
    return script.runInThisContext();
  } catch {
    file.isForNode = true;
    return undefined;
  }
}

/** As Node makes it for a module, from what it gives to others. */
function makeRequire(module) {
  const require = (request) => module.require(request);
  require.resolve = (request, options) => Module._resolveFilename(request, module, false, options);
  require.resolve.paths = (request) => Module._resolveLookupPaths(request, module);
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

/** The pieces of a record, each when it is asked for: compiling is over in between. */
function* record() {
  for (const file of files.values()) {
    yield;
    file.code = file.script?.createCachedData();
  }
  yield* pack(files, places);
}

/** Lets go of what only a start needs, once it is over. What is loaded later is loaded as ever. */
function settle() {
  setTimeout(() => files.clear(), SETTLE_MS).unref();
}

module.exports = { begin, counts, record, settle };
