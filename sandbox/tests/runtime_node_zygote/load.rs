//! A child under load: collections of garbage and the compiler, which have threads in other processes.

use serde_json::json;

use crate::runtime_support::{Package, node_handler};

/// The bit of `%GetOptimizationStatus` that says "runs optimised code" (V8, src/runtime/runtime.h).
const LOAD: &str = "import v8 from 'node:v8';
const kept = new Map();
let calls = 0;
function churn(n) {
  const made = [];
  for (let i = 0; i < 2000; i++) made.push({ n, i, text: `item ${i} of ${n}`, list: [i, i + 1] });
  kept.set(n % 500, made.filter((item) => item.i % 40 === 0));
  return made.reduce((sum, item) => sum + item.list[1] - item.list[0], 0);
}
function hot(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum = (sum + i * n) % 1000003;
  return sum;
}
const isOptimised = (() => {
  v8.setFlagsFromString('--allow-natives-syntax');
  return new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0');
})();
export const work = () => churn(++calls);
export const load = (ctx, { tries }) => {
  for (let i = 0; i < Number(tries) && !isOptimised(hot); i++) hot(1000);
  const { number_of_native_contexts } = v8.getHeapStatistics();
  return { calls, optimised: isOptimised(hot), contexts: number_of_native_contexts > 0 };
};
export const any = (ctx, query) => (query ? load(ctx, query) : work());";

#[test]
fn ten_thousand_requests_that_make_garbage() {
    let mut zygote = Package::new(&[("l.mjs", LOAD)]).zygote(&node_handler("l.mjs", "any"));
    let child = zygote.serve();
    let url = "http://tested/[1-9999]";
    let answers =
        child.curl("/").args(&[url, "--no-include", "--parallel", "--parallel-max", "8"]).output();
    assert_eq!(answers.matches("2000").count(), 10_000);
    assert_eq!(child.get("/?tries=1").json()["calls"], 10_000);
}

#[test]
fn a_function_that_runs_often_is_optimised() {
    let mut zygote = Package::new(&[("l.mjs", LOAD)]).zygote(&node_handler("l.mjs", "any"));
    let child = zygote.serve();
    let state = child.get("/?tries=100000").json();
    assert_eq!(state, json!({"calls": 0, "optimised": true, "contexts": true}));
}
