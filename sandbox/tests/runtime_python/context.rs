//! What a handler knows about its call, and whose its lines are.

use rustix::process::Signal;
use serde_json::json;

use crate::runtime_support::{Package, REQUEST_ID, python_handler};

const CONTEXT: &str = "
import os, sys
def context(ctx):
    trace = ctx.trace and [ctx.trace.trace_id, ctx.trace.parent_id, ctx.trace.sampled]
    return dict(id=ctx.request_id, trace=trace, tenant=ctx.tenant, caller=ctx.caller, function=ctx.function,
        deadline=ctx.deadline, remaining=min(ctx.remaining_ms(), 1e18), cancelled=ctx.cancelled,
        env=sorted(os.environ), path=sys.path[0])
";

#[test]
fn the_context_is_about_business_and_the_environment_is_clean() {
    let package = Package::new(&[("c.py", CONTEXT)]).env("GREETING", "hi");
    let folder = package.path().canonicalize().unwrap();
    let function = package.start(&python_handler("c.py", "context"));
    let traced = function
        .curl("/")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("hatchway-deadline-ms", "4102444800000")
        .header("hatchway-caller", "partner");
    let context = traced.answer().json();
    assert_eq!(
        context["trace"],
        json!(["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true])
    );
    assert_eq!((&context["id"], &context["tenant"]), (&json!(REQUEST_ID), &json!("acme")));
    assert_eq!((&context["function"], &context["caller"]), (&json!("tested"), &json!("partner")));
    assert_eq!(context["deadline"], "2100-01-01T00:00:00+00:00");
    assert_eq!((&context["cancelled"], &context["path"]), (&json!(false), &json!(folder)));
    assert!(context["remaining"].as_f64().unwrap() > 0.0);
    let env = context["env"].as_array().unwrap();
    assert!(
        env.contains(&json!("GREETING")) && !env.contains(&json!("HATCHWAY_LISTENER")),
        "{env:?}"
    );
    assert!(!env.contains(&json!("CARGO_PKG_NAME")), "{env:?}");

    let bare = function
        .curl("/")
        .header("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let bare = bare.header("hatchway-deadline-ms", "0").answer().json();
    assert_eq!(
        (&bare["trace"], &bare["caller"], &bare["remaining"]),
        (&json!(null), &json!(null), &json!(0.0))
    );
    assert_eq!(function.get("/").json()["remaining"], 1e18);
}

const LOGS: &str = "
import asyncio, logging, sys, threading
print('loading')
both = threading.Barrier(2)
logging.basicConfig(level=logging.INFO, format='%(message)s')
def pieces(ctx, name):
    sys.stdout.write(name + ' begins ')
    both.wait()
    print(name + ': two\\nlines', file=sys.stderr)
    print('and', 'ends')
    logging.info('%s by logging', name)
    thread = threading.Thread(target=lambda: ctx.log.warning('careful, %s', name, extra={'n': 1}))
    thread.start()
    thread.join()
    print('no end', end='')
def logs(ctx, args): pieces(ctx, args['name'])
async def async_logs(ctx, args):
    await asyncio.gather(asyncio.to_thread(pieces, ctx, args['name']))
    await asyncio.sleep(0)
";

#[test]
fn every_line_carries_the_request_that_wrote_it() {
    for handler in ["logs", "async_logs"] {
        let mut function = Package::new(&[("l.py", LOGS)]).start(&python_handler("l.py", handler));
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
            let lines: Vec<&str> =
                log.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
            let two = format!("{name}: two");
            let ends = format!("{name} begins and ends");
            let logging = format!("{name} by logging");
            let structured =
                format!(r#"{{"level": "warn", "message": "careful, {name}", "n": 1}}"#);
            assert_eq!(
                lines,
                [two.as_str(), "lines", &ends, &logging, &structured, "no end"],
                "{log}"
            );
        }
    }
}

const LEAVING: &str = "
import asyncio
async def leaving(ctx):
    print('waiting')
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print('left')
        raise
";

#[test]
fn a_coroutine_is_cancelled_when_the_caller_leaves() {
    let mut function = Package::new(&[("l.py", LEAVING)]).start(&python_handler("l.py", "leaving"));
    let call = function.curl("/").open();
    assert!(function.log_line().ends_with("waiting\n"));
    call.hang_up();
    assert!(function.log_line().ends_with("left\n"));
}

const CROWD: &str = "
import signal, threading
turn = threading.Semaphore(0)
signal.signal(signal.SIGUSR1, lambda *_: turn.release())
def crowd(ctx):
    print('in')
    turn.acquire()
    print('out')
";

#[test]
fn no_more_handlers_run_at_once_than_the_function_was_promised() {
    let package = Package::new(&[("c.py", CROWD)]).concurrency(3);
    let mut function = package.start(&python_handler("c.py", "crowd"));
    let calls: Vec<_> = (0..6).map(|_| function.curl("/").open()).collect();
    let mut inside = 0;
    for line in 0..12 {
        // All that can be inside are, or have been: let one out.
        if line >= 3 && inside == 3 || line >= 9 {
            function.signal(Signal::USR1);
        }
        inside += if function.log_line().ends_with("in\n") { 1 } else { -1 };
        assert!(inside <= 3, "{inside} handlers at once");
    }
    assert_eq!(inside, 0);
    calls.into_iter().for_each(|call| assert!(call.finish().contains("204")));
}
