//! As `zygotes.rs`, for Node: a handler, an application that is not changed in any way, and code that cannot be forked.

use std::path::Path;

use hatchway_tests::{Project, Up, eventually};
use serde_json::Value;

const HANDLER: &str = r#"
[function.forked]
runtime = "node"
handler = "forked.mjs#main"
http = { path = "/forked" }
idle_timeout = "200ms"
"#;

const CODE: &str = "
import { randomUUID, randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
const { pid } = process;
randomUUID(), randomInt(9);
export const main = async () => ({
  pid: process.pid, loadedBy: pid, math: Math.random(), uuid: randomUUID(), int: randomInt(2 ** 47),
  sandbox: process.env.HATCHWAY_SANDBOX, read: (await readFile('/etc/hosts')).length > 0,
});
";

const SERVER: &str = r#"
[function.forked]
runtime = "node"
main = "server.js"
http = { path = "/" }
idle_timeout = "200ms"
"#;

/// The row of the function among the zygotes, once it is in that state.
fn wait_for(up: &Up, state: &str) -> Value {
    eventually(&format!("a zygote that is {state}"), || {
        let rows: Vec<Value> = up.admin.get("/v1/zygotes").json();
        rows.into_iter().find(|row| row["function"] == "local/forked" && row["state"] == state)
    })
}

fn wait_until_reaped(up: &Up) {
    eventually("an idle sandbox is reaped", || up.admin.sandboxes().is_empty().then_some(()));
}

/// True when this machine can fork at all; says aloud when it cannot.
fn can_fork(up: &Up, test: &str) -> bool {
    let lacks =
        ["control group", "process-id namespace"].into_iter().find(|part| up.admin.lacks(part));
    if let Some(part) = lacks {
        hatchway_tests::skipped(test, part);
    }
    lacks.is_none()
}

/// Waits until so many forks are counted, which is after the first answer of the last one at times.
#[track_caller]
fn wait_for_forks(up: &Up, count: u32) {
    let labels = ["function=\"local/forked\"", "tier=\"fork\""];
    eventually(&format!("{count} forks"), || {
        let counted = up.admin.metrics().sum("node_starts_total", &labels);
        (counted == f64::from(count)).then_some(())
    });
}

#[test]
fn a_handler_is_forked_and_each_fork_draws_its_own_numbers() {
    let project = Project::new(HANDLER).file("forked.mjs", CODE);
    let up = Up::start(&project);
    if !can_fork(&up, "a_handler_is_forked") {
        return;
    }
    let mut answers = vec![up.get("/forked").ok()];
    wait_for(&up, "ready");
    for count in 1..=3 {
        wait_until_reaped(&up);
        let answer = up.get("/forked").ok();
        assert_ne!(answer["pid"], answer["loadedBy"]);
        assert_eq!(answer["read"], true);
        wait_for_forks(&up, count);
        answers.push(answer);
    }
    for name in ["math", "uuid", "int", "sandbox"] {
        for (index, one) in answers.iter().enumerate() {
            assert!(answers[index + 1..].iter().all(|other| one[name] != other[name]), "{name}");
        }
    }
    up.stop();
}

#[test]
fn an_express_application_is_forked_at_its_own_listen() {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop-express");
    assert!(
        shop.join("node_modules").is_dir(),
        "{} is not installed: run `make setup`",
        shop.display()
    );
    let mut project = Project::new(SERVER);
    for file in ["server.js", "products.js", "package.json"] {
        project = project.file(file, std::fs::read_to_string(shop.join(file)).expect("an example"));
    }
    copy(&shop.join("node_modules"), &project.folder().join("node_modules"));
    let up = Up::start(&project);
    if !can_fork(&up, "an_express_application_is_forked") {
        return;
    }
    let products = up.get("/products").ok();
    wait_for(&up, "ready");
    for count in 1..=2 {
        wait_until_reaped(&up);
        assert_eq!(up.get("/products").ok(), products);
        wait_for_forks(&up, count);
    }
    up.stop();
}

#[test]
fn a_server_that_is_warmed_up_has_been_asked_before_it_is_forked() {
    let server = "let visits = 0;
        require('node:http').createServer((request, response) => {
          visits += request.url === '/warm?me=1' ? 1 : 0;
          response.end(JSON.stringify({ visits }));
        }).listen(process.env.PORT);";
    let project =
        Project::new(&format!("{SERVER}warmup = \"/warm?me=1\"\n")).file("server.js", server);
    let up = Up::start(&project);
    if !can_fork(&up, "a_server_that_is_warmed_up") {
        return;
    }
    assert_eq!(up.get("/").ok()["visits"], 0, "an ordinary start serves at once");
    wait_for(&up, "ready");
    for _ in 0..2 {
        wait_until_reaped(&up);
        assert_eq!(up.get("/").ok()["visits"], 10);
    }
    up.stop();
}

#[test]
fn a_handler_with_a_timer_starts_as_before_and_says_why() {
    let code = format!("setInterval(() => {{}}, 1000);{CODE}");
    let project = Project::new(HANDLER).file("forked.mjs", code);
    let up = Up::start(&project);
    if !can_fork(&up, "a_handler_with_a_timer_starts_as_before") {
        return;
    }
    up.get("/forked").ok();
    let row = wait_for(&up, "barred");
    assert_eq!(row["reason"], "timers", "{row}");
    wait_until_reaped(&up);
    let answer = up.get("/forked");
    assert!(!answer.header("server-timing").contains("fork;dur="), "{answer:?}");
    up.stop();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder of the test's own");
    for entry in std::fs::read_dir(from).expect("it is installed") {
        let entry = entry.expect("it can be read");
        let (kind, to) = (entry.file_type().expect("it is there"), to.join(entry.file_name()));
        match kind.is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("a file of a package")),
        }
    }
}
