//! Several gateways and nodes that know each other by etcd: where functions go, and what becomes of requests when programs leave.

mod bench;
mod lanes;
mod load;
#[expect(dead_code, reason = "it is for the tests of growth too")]
mod site;

use hatchway_tests::{GatewayProgram, eventually, together};

use crate::load::Load;
use crate::site::{Site, state, status};

#[test]
fn every_function_has_one_node_whichever_gateway_is_asked() {
    const FUNCTIONS: usize = 8;
    let site = Site::start(FUNCTIONS, 3, 3);
    for gateway in &site.gateways {
        for n in 0..FUNCTIONS {
            gateway.get(&format!("/f{n}")).ok();
        }
    }
    assert_eq!(site.nodes_of(FUNCTIONS), [1; FUNCTIONS]);
    let used = site.hosts.iter().filter(|host| !host.node.admin.sandboxes().is_empty()).count();
    assert!(used > 1, "they are spread");
    let told = status(&site);
    let line = |name: &str| told.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    for (name, zone) in [("node-0", "zone=z1"), ("node-1", "zone=z0"), ("node-2", "zone=z1")] {
        assert!(line(name).is_some_and(|line| line.contains(zone)), "{told}");
    }
}

#[test]
fn a_node_that_is_killed_fails_nobody_who_comes_after_and_its_functions_move() {
    let site = &mut Site::start(6, 3, 1);
    for n in 0..6 {
        site.gateways[0].get(&format!("/f{n}")).ok();
    }
    let victim = site.hosts.remove(0);
    victim.node.kill();
    for n in 0..6 {
        // What is sent before the loss is heard of may fail once: it was under way.
        eventually("an answer", || {
            (site.gateways[0].get(&format!("/f{n}")).status == 200).then_some(())
        });
    }
    assert_eq!(site.nodes_of(6), [1; 6]);
    eventually("the lease runs out", || {
        let told = status(site);
        (told.contains("node-1") && !told.contains("node-0")).then_some(())
    });
}

#[test]
fn without_etcd_nodes_are_asked_on_and_a_gateway_starts_with_those_it_knew() {
    let site = &mut Site::start(4, 2, 0);
    let kept = site.project.root().join("gateway");
    let folder = kept.display().to_string();
    let gateway = site.gateway(&["--state", &folder]);
    (0..4).for_each(|n| _ = gateway.get(&format!("/f{n}")).ok());
    eventually("both on disk", || {
        let nodes = std::fs::read_to_string(kept.join("nodes.json")).ok()?;
        let is_catalog = gateway.admin.status()["catalog"]["disk"]["source_revision"].as_i64()? > 0;
        (nodes.contains("node-0") && nodes.contains("node-1") && is_catalog).then_some(())
    });
    site.etcd.kill();
    eventually("it is missed", || {
        (gateway.admin.status()["catalog"]["link"]["state"] == "lost").then_some(())
    });
    (0..4).for_each(|n| _ = gateway.get(&format!("/f{n}")).ok());
    gateway.stop();

    let words = [site.rules().to_vec(), vec!["--state".to_owned(), folder]].concat();
    let gateway = GatewayProgram::start_alone(&site.project, &words);
    (0..4).for_each(|n| _ = gateway.get(&format!("/f{n}")).ok());
    assert_eq!(site.nodes_of(4), [1; 4], "each is where it was");
}

#[test]
fn a_node_is_not_asked_where_the_gateway_does_not_allow_it() {
    let site = Site::start(1, 1, 0);
    let words = [&site.rules()[..], &["--node-allow".to_owned(), "10.0.0.0/8".to_owned()]].concat();
    let gateway = GatewayProgram::start_alone(&site.project, &words);
    gateway.output().wait_for("not among those of --node-allow");
    // Nodes are heard of before the rules are.
    let reason = eventually("the rules are served", || {
        let reason = gateway.get("/f0").problem().reason;
        (reason != "no-route").then_some(reason)
    });
    assert_eq!(reason, "no-node");
    assert_eq!(state(&gateway, "node-0"), None);
}

#[test]
fn a_burst_on_a_function_that_has_no_sandbox_is_served_whole() {
    let site = Site::start(1, 2, 2);
    let statuses = together(40, |n| {
        let gateway = &site.gateways[n % 2];
        (0..5).map(|_| gateway.get("/f0").status).collect::<Vec<_>>()
    });
    assert!(statuses.iter().flatten().all(|status| *status == 200), "{statuses:?}");
}

#[test]
fn every_node_and_gateway_is_replaced_under_load_without_a_failed_request() {
    const FUNCTIONS: usize = 5;
    let site = &mut Site::start(FUNCTIONS, 2, 2);
    let addresses = |site: &Site| site.gateways.iter().map(|gateway| gateway.address).collect();
    let load = Load::start(4, FUNCTIONS, addresses(site));
    load.go_on(200);
    for _ in 0..2 {
        site.add_node();
        load.go_on(50);
        site.hosts.remove(0).node.stop();
        load.go_on(50);
    }
    for _ in 0..2 {
        let next = site.gateway(&[]);
        site.gateways.push(next);
        let leaving = site.gateways.remove(0);
        load.spread_over(addresses(site));
        leaving.stop();
        load.go_on(50);
    }
    let (asked, failures) = load.end();
    assert!(failures.is_empty(), "{} of {asked} failed: {failures:#?}", failures.len());
}
