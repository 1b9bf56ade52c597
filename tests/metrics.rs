//! What is counted, and that Prometheus can read it.

use std::io::Write;
use std::process::{Command, Stdio};

use hatchway_tests::{Admin, PUPPET, Pair, Project, Up, eventually, puppet, skipped};

fn project() -> Project {
    Project::new(&puppet("puppet", "idle_timeout = \"1s\"\nmax = 1")).file("puppet.mjs", PUPPET)
}

/// A little of everything that is counted.
fn make_news(up: &Up) {
    for path in ["/puppet", "/puppet?do=throw", "/puppet?do=throw&status=404", "/nothing"] {
        up.get(path);
    }
    assert_eq!(up.get("/puppet?do=exit&code=1").status, 502);
    up.get("/puppet").ok();
}

/// `promtool check metrics`: syntax and naming. False when it is not installed.
fn is_checked(admin: &Admin) -> bool {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else { return false };
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(admin.metrics().text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    true
}

#[test]
fn promtool_finds_nothing_to_say_about_a_scrape() {
    let project = project();
    let up = Up::start(&project);
    make_news(&up);
    if !is_checked(&up.admin) {
        skipped("promtool_finds_nothing_to_say_about_a_scrape", "promtool (apt: prometheus)");
    }
    up.stop();
}

#[test]
fn promtool_finds_nothing_to_say_about_a_gateway_and_a_node_by_themselves() {
    let project = project();
    let pair = Pair::start(&project);
    pair.gateway.get("/puppet").ok();
    if !(is_checked(&pair.gateway.admin) && is_checked(&pair.node.admin)) {
        skipped("promtool_finds_nothing_to_say", "promtool (apt: prometheus)");
    }
}

#[test]
fn every_request_is_counted_once_where_it_belongs() {
    let project = project();
    let up = Up::start(&project);
    make_news(&up);
    // Counted once the last byte is gone, which the client may read first.
    let metrics = eventually("all of them", || {
        let metrics = up.admin.metrics();
        (metrics.sum("gateway_requests_total", &["local/puppet"]) == 5.0).then_some(metrics)
    });
    let class = |class: &str| {
        metrics.sum("gateway_requests_total", &["local/puppet", &format!("class=\"{class}\"")])
    };
    assert_eq!((class("2xx"), class("4xx"), class("5xx")), (2.0, 1.0, 2.0));
    assert_eq!(metrics.sum("gateway_request_seconds_count", &["local/puppet"]), 5.0);
    assert_eq!(metrics.sum("gateway_requests_in_flight", &["local/puppet"]), 0.0);
    assert_eq!(metrics.sum("gateway_refusals_total", &["reason=\"no-route\""]), 1.0);
    assert_eq!(metrics.sum("gateway_failures_total", &["reason=\"crashed\""]), 1.0);
    assert_eq!(metrics.sum("gateway_cold_start_seconds_count", &["local/puppet"]), 2.0);
    for bytes in ["gateway_request_bytes_total", "gateway_response_bytes_total"] {
        assert!(metrics.sum(bytes, &["local/puppet"]) > 500.0, "{bytes}");
    }
    up.stop();
}

#[test]
fn the_life_of_sandboxes_is_counted_with_its_phases() {
    let project = project();
    let up = Up::start(&project);
    make_news(&up);
    let metrics = eventually("a death and an idle sandbox in the metrics", || {
        let metrics = up.admin.metrics();
        let idle = metrics.sum("node_sandboxes", &["phase=\"idle\""]);
        // On a very busy machine it may be reaped already.
        let is_seen = idle == 1.0 || metrics.sum("node_reaps_total", &["why=\"idle\""]) == 1.0;
        (metrics.sum("node_deaths_total", &[]) == 1.0 && is_seen).then_some(metrics)
    });
    assert_eq!(metrics.sum("node_hatches_total", &["result=\"ok\""]), 2.0);
    assert_eq!(metrics.sum("node_deaths_total", &["how=\"code\""]), 1.0);
    assert_eq!(metrics.sum("node_start_seconds_count", &["local/puppet"]), 2.0);
    for phase in ["isolate", "exec", "load"] {
        let label = format!("phase=\"{phase}\"");
        assert_eq!(metrics.sum("node_start_phase_seconds_count", &[&label]), 2.0, "{phase}");
    }
    assert!(metrics.sum("node_memory_budget_bytes", &[]) > 0.0);
    eventually("a reap in the metrics", || {
        let metrics = up.admin.metrics();
        let is_over = metrics.sum("node_sandboxes", &[]) == 0.0;
        (is_over && metrics.sum("node_reaps_total", &["why=\"idle\""]) == 1.0).then_some(())
    });
    up.stop();
}

#[test]
fn what_is_under_way_and_what_waits_is_seen_while_it_does() {
    let project =
        Project::new(&puppet("puppet", "concurrency = 1\nmax = 1")).file("puppet.mjs", PUPPET);
    let up = Up::start(&project);
    let mut running = up.raw();
    running.post("/puppet", 2);
    up.admin.wait_in_flight("puppet", 1);
    let mut waiting = up.raw();
    waiting.get("/puppet");
    eventually("one that runs and one that waits", || {
        let metrics = up.admin.metrics();
        let seen = (
            metrics.sum("gateway_requests_in_flight", &["local/puppet"]),
            metrics.sum("node_queued_requests", &["local/puppet"]),
            metrics.sum("node_sandboxes", &["phase=\"busy\""]),
        );
        (seen == (2.0, 1.0, 1.0)).then_some(())
    });
    running.send("{}");
    assert_eq!(running.head().status, 200);
    assert_eq!(waiting.head().status, 200);
    up.stop();
}

#[test]
fn the_status_names_what_is_served_and_health_and_readiness_answer() {
    let project = project();
    let up = Up::start(&project);
    for page in ["/healthz", "/readyz"] {
        assert_eq!(up.admin.get(page).status, 200, "{page}");
    }
    assert_eq!(up.admin.get("/nothing").status, 404);
    make_news(&up);
    let function = eventually("all five requests", || {
        let function = up.admin.function("puppet");
        (function["requests"] == 5).then_some(function)
    });
    assert_eq!(function["errors"], 2);
    assert_eq!(function["sandboxes"], 1);
    assert_eq!(function["urls"], serde_json::json!([format!("http://{}/puppet", up.address)]));
    let why = up.admin.get(&format!("/v1/explain?url=http://{}/puppet/x", up.address)).ok();
    assert_eq!((&why["outcome"], &why["function"]), (&"function".into(), &"local/puppet".into()));
    up.stop();
}
