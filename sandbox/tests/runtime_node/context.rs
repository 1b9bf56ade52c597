//! What a handler knows about its call, and whose its lines are.

use serde_json::json;

use crate::runtime_support::{Package, REQUEST_ID, node_handler};

const CONTEXT: &str = "export function context(ctx) {
  const { requestId, trace, tenant, caller, deadline } = ctx;
  return { requestId, trace, tenant, caller, deadline, function: ctx.function, remaining: ctx.remainingMs(),
    aborted: ctx.signal.aborted, env: Object.keys(process.env).sort() };
}";

#[test]
fn the_context_is_about_business_and_the_environment_is_clean() {
    let package = Package::new(&[("c.mjs", CONTEXT)]).env("GREETING", "hi");
    let function = package.start(&node_handler("c.mjs", "context"));
    let traced = function
        .curl("/")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("hatchway-deadline-ms", "4102444800000")
        .header("hatchway-caller", "partner");
    let context = traced.answer().json();
    let trace = json!({"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "parentId": "00f067aa0ba902b7", "sampled": true});
    assert_eq!(context["trace"], trace);
    assert_eq!(context["requestId"], REQUEST_ID);
    assert_eq!(
        (&context["tenant"], &context["function"], &context["caller"]),
        (&json!("acme"), &json!("tested"), &json!("partner"))
    );
    assert_eq!(
        (&context["deadline"], &context["aborted"]),
        (&json!("2100-01-01T00:00:00.000Z"), &json!(false))
    );
    assert!(context["remaining"].as_f64().unwrap() > 0.0);
    let names = [
        "GREETING",
        "HATCHWAY_CONCURRENCY",
        "HATCHWAY_FUNCTION",
        "HATCHWAY_SANDBOX",
        "HATCHWAY_TENANT",
        "HATCHWAY_VERSION",
    ];
    let names: Vec<&str> =
        names.into_iter().chain(["HOME", "LANG", "PATH", "PORT", "PWD", "TMPDIR"]).collect();
    let found: Vec<&str> = (context["env"].as_array().unwrap().iter())
        .filter_map(|name| name.as_str())
        .filter(|name| *name != "_" && *name != "OLDPWD" && *name != "SHLVL")
        .collect();
    assert_eq!(found, names);

    let bare = function
        .curl("/")
        .header("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01");
    let bare = bare.header("hatchway-deadline-ms", "0").answer().json();
    assert_eq!(
        (bare.get("trace"), bare.get("caller"), &bare["remaining"]),
        (None, None, &json!(0))
    );
}

const LOGS: &str = "import { setTimeout } from 'node:timers/promises';
console.log('loading');
let turn;
const both = new Promise((resolve) => { turn = resolve; });
let arrived = 0;
export async function logs(ctx, { name }) {
  if (++arrived === 2) turn();
  await both;
  process.stdout.write(`${name} begins `);
  await setTimeout(1);
  console.error('%s: two\\nlines', name);
  console.log('and ends');
  await new Promise((resolve) => setImmediate(resolve));
  ctx.log.warn('careful', { name, cause: new Map() });
  process.stdout.write('no end');
}";

#[test]
fn every_line_carries_the_request_that_wrote_it() {
    let mut function = Package::new(&[("l.mjs", LOGS)]).start(&node_handler("l.mjs", "logs"));
    let call = |name: &str| function.curl_as(name, &format!("/?name={name}")).open();
    let (ada, bob) = (call("ada"), call("bob"));
    ada.finish();
    bob.finish();
    function.terminate();
    assert!(function.wait().success());
    let log = function.rest_of_log();
    assert!(log.starts_with("loading\n"), "{log}");
    for name in ["ada", "bob"] {
        let prefix = format!("\x1e{name} ");
        let lines: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        let structured =
            format!(r#"{{"level":"warn","message":"careful","name":"{name}","cause":{{}}}}"#);
        let begins = format!("{name} begins and ends");
        let two = format!("{name}: two");
        assert_eq!(lines, [two.as_str(), "lines", &begins, &structured, "no end"], "{log}");
    }
}

const LEAVING: &str = "import { once } from 'node:events';
export async function leaving(ctx) {
  console.log('waiting');
  await once(ctx.signal, 'abort');
  console.log('left');
}";

#[test]
fn the_signal_fires_when_the_caller_leaves() {
    let mut function = Package::new(&[("l.mjs", LEAVING)]).start(&node_handler("l.mjs", "leaving"));
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("waiting\n"));
    call.hang_up();
    assert!(function.log_line().ends_with("left\n"));
}
