// Says which names JavaScript files export, by compiling them. Nothing of them is run.
//
// Questions on stdin, [{ path, name }]; answers on stdout, in the same order.

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import vm from "node:vm";

// Names a module could import from another: every word of its text, so that linking finds whatever it asks for.
const WORD = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu;

async function moduleNames(source, identifier, name) {
  const module = new vm.SourceTextModule(source, { identifier });
  const words = [...new Set([...source.matchAll(WORD)].map((match) => match[0]).concat("default"))];
  const empty = () => new vm.SyntheticModule(words, () => {});
  try {
    await module.link(empty);
  } catch {
    // It imports something under a name that is no word of its text: legal, rare, and known only to a run.
    return { names: { names: [], is_open: true } };
  }
  // What `export *` passes on stands in files that are not looked at; a function may also be a property of a
  // default export.
  const isProperty = /\bexport\s+default\s*\{/u.test(source) && words.includes(name);
  const isOpen = isProperty || /\bexport\s*\*\s*from\b/u.test(source);
  const names = Reflect.ownKeys(module.namespace).filter((key) => typeof key === "string");
  return { names: { names, is_open: isOpen } };
}

// CommonJS says what it exports only by running. A name that is no word of the text is exported by nobody.
function scriptNames(source, identifier, name) {
  new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: identifier,
  });
  const assigned = [...source.matchAll(/\bexports\.([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*=/gu)];
  const names = [...new Set(assigned.map((match) => match[1]))];
  const isWord = [...source.matchAll(WORD)].some((match) => match[0] === name);
  return { names: { names, is_open: name === null || name === "default" || isWord } };
}

// As node decides it: by the ending, else by the nearest package.json, else by what the text is.
function kindOf(file) {
  if (file.endsWith(".mjs")) return "module";
  if (file.endsWith(".cjs")) return "script";
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      const { type } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
      return type === "module" ? "module" : type === "commonjs" ? "script" : "either";
    } catch (error) {
      if (error instanceof SyntaxError || folder === path.dirname(folder)) return "either";
    }
  }
}

async function names(source, { path: file, name }) {
  const kind = kindOf(file);
  if (kind === "module") return moduleNames(source, file, name);
  try {
    return scriptNames(source, file, name);
  } catch (error) {
    if (kind === "script" || !(error instanceof SyntaxError)) throw error;
    return moduleNames(source, file, name).catch((second) => {
      throw /\bimport\b|\bexport\b|\bawait\b/u.test(error.message) ? second : error;
    });
  }
}

// A script's error begins with its place; that of a module has none, and a check of its syntax says it.
function lineOf(file, error) {
  let text = error.stack ?? "";
  if (error instanceof SyntaxError && !text.startsWith(file)) {
    text = spawnSync(process.execPath, ["--check", file], { encoding: "utf8" }).stderr ?? "";
  }
  const [first] = text.split("\n", 1);
  const line = /:(\d+)$/u.exec(first);
  return line && first.includes(path.basename(file)) ? Number(line[1]) : null;
}

async function answer(question) {
  try {
    const source = fs.readFileSync(question.path, "utf8").replace(/^#!.*/u, "");
    return await names(source, question);
  } catch (error) {
    return { broken: { line: lineOf(question.path, error), message: error.message } };
  }
}

const questions = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await Promise.all(questions.map(answer))));
