//! Functions that grow over all nodes: two gateways, three nodes, and the one gateway that plans for all, by a real etcd.

#[path = "../cluster/site.rs"]
#[expect(dead_code, reason = "it is for the tests of clusters too")]
mod site;

use std::sync::atomic::{AtomicBool, Ordering};

use hatchway_tests::{
    Client, GatewayProgram, PUPPET, Project, Raw, Sandbox, apply_to, eventually, puppet,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::site::Site;

/// A puppet `f0` that grows as `growth` says.
fn project(growth: &str, lines: &str) -> Project {
    let lines = format!("memory = \"64MiB\"\ngrowth = {{ {growth} }}\n{lines}");
    Project::new(&puppet("f0", &lines)).file("puppet.mjs", PUPPET)
}

fn site(growth: &str, lines: &str) -> Site {
    Site::over(project(growth, lines), 3, 2)
}

/// Sandboxes that start or serve, by node.
fn alive(site: &Site) -> Vec<usize> {
    let serves = |phase: &str| ["starting", "idle", "busy"].contains(&phase);
    let of = |host: &site::Host| {
        host.node.admin.sandboxes().iter().filter(|one| serves(&one.phase)).count()
    };
    site.hosts.iter().map(of).collect()
}

/// The same, the fullest first.
fn fullest_first(site: &Site) -> Vec<usize> {
    let mut alive = alive(site);
    alive.sort_unstable_by(|a, b| b.cmp(a));
    alive
}

#[track_caller]
fn wait_for(site: &Site, what: &str, wanted: &[usize]) {
    let mut last = Vec::new();
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(what, || {
            last = fullest_first(site);
            (last == wanted).then_some(())
        });
    }));
    assert!(seen.is_ok(), "{what}: {last:?} in place of {wanted:?}, by {}", plan(site));
}

/// The plan as it stands in etcd.
fn plan(site: &Site) -> String {
    site.etcd.ctl(&["get", "--print-value-only", "--prefix", "/hatchway/v1-growth/plans/"])
}

fn leads(gateway: &GatewayProgram) -> bool {
    gateway.admin.metrics().sum("gateway_growth_leads", &[]) == 1.0
}

/// A request that runs until its body is sent: 2 bytes.
fn hold(gateway: &GatewayProgram) -> Raw {
    let mut client = gateway.raw();
    client.post("/f0", 2);
    client
}

fn let_go(mut client: Raw) {
    client.send("{}");
    assert_eq!(client.head().status, 200);
}

#[test]
fn four_are_kept_ready_over_three_nodes_and_what_a_killed_one_had_is_made_up_for() {
    let site = &mut site("min = 4", "idle_timeout = \"1s\"");
    wait_for(site, "four over three nodes", &[2, 1, 1]);
    assert!(plan(site).contains("\"because\":\"min\""), "{}", plan(site));
    let led = site.gateways.iter().filter(|gateway| leads(gateway)).count();
    assert_eq!(led, 1, "one plans");
    site.hosts.remove(0).node.kill();
    wait_for(site, "four over two nodes", &[2, 2]);
    site.add_node();
    wait_for(site, "four over three again", &[2, 1, 1]);
    let drained = site.hosts.remove(0);
    drained.node.stop();
    wait_for(site, "four over those that stay", &[2, 2]);
}

#[test]
fn load_makes_it_grow_ahead_and_quiet_brings_it_back() {
    // One sandbox could take all of it, and is full by the rule at two.
    let growth = "min = 1, in_flight = 2, window = \"6s\", delay = \"1s\"";
    let site = &site(growth, "concurrency = 16\nidle_timeout = \"1s\"");
    wait_for(site, "one is ready", &[1, 0, 0]);
    let held: Vec<_> = (0..6).map(|n| hold(&site.gateways[n % 2])).collect();
    // 6 / (2 * 0.7) are 4.3.
    wait_for(site, "five for six in flight", &[2, 2, 1]);
    let in_flight: u32 = site.hosts.iter().map(|host| host.node.admin.in_flight("f0")).sum();
    assert_eq!(in_flight, 6);
    held.into_iter().for_each(let_go);
    wait_for(site, "one again", &[1, 0, 0]);
}

#[test]
fn there_are_never_more_than_max_over_all_nodes_whoever_plans() {
    let site = &mut site(
        "max = 3, window = \"6s\", delay = \"1s\"",
        "concurrency = 1\nidle_timeout = \"1s\"",
    );
    eventually("a plan", || plan(site).contains("\"max\":3").then_some(()));
    // What nodes may have is theirs once they have said that they go by the plan.
    eventually("all three are given", || {
        let plan: serde_json::Value = serde_json::from_str(&plan(site)).ok()?;
        let versions = plan["versions"].as_object()?.values();
        let nodes = versions
            .filter_map(|placed| placed["nodes"].as_object())
            .flat_map(|nodes| nodes.values());
        let most: u64 = nodes.filter_map(|share| share["most"].as_u64()).sum();
        (most == 3).then_some(())
    });
    let is_over = &AtomicBool::new(false);
    let addresses: Vec<_> = site.gateways.iter().map(|gateway| gateway.address).collect();
    std::thread::scope(|scope| {
        for n in 0..12 {
            let address = addresses[n % 2];
            scope.spawn(move || {
                let client = Client::new(address);
                while !is_over.load(Ordering::Relaxed) {
                    // Many more than there may be at a time: some are refused, and one gateway is killed.
                    if client.request("GET", "/f0?do=work&ms=20", &[], b"").is_err() {
                        break;
                    }
                }
            });
        }
        let most = |site: &Site, looks: usize| -> usize {
            (0..looks).map(|_| alive(site).iter().sum()).max().unwrap_or_default()
        };
        let served = eventually("three at a time", || (most(site, 1) == 3).then_some(3));
        assert_eq!(most(site, 100).max(served), 3);
        let leader = site.gateways.iter().position(leads).expect("one leads");
        site.gateways.remove(leader).kill();
        eventually("the other one plans", || {
            assert!(most(site, 1) <= 3);
            leads(&site.gateways[0]).then_some(())
        });
        // A node goes, and its part with it.
        site.hosts.remove(0).node.kill();
        eventually("three over two nodes", || {
            assert!(most(site, 1) <= 3);
            let plan: serde_json::Value = serde_json::from_str(&plan(site)).ok()?;
            let versions = plan["versions"].as_object()?.values();
            let mut nodes = versions.filter_map(|placed| placed["nodes"].as_object());
            let is_gone = nodes.all(|nodes| !nodes.contains_key("node-0"));
            (is_gone && most(site, 1) == 3).then_some(())
        });
        assert_eq!(most(site, 100), 3);
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn another_gateway_plans_when_the_leader_is_killed_and_without_etcd_the_last_plan_holds() {
    let more = project("min = 5", "idle_timeout = \"1s\"");
    let site = &mut site("min = 2", "idle_timeout = \"1s\"");
    wait_for(site, "two over three nodes", &[1, 1, 0]);
    let leader = site.gateways.iter().position(leads).expect("one leads");
    site.gateways.remove(leader).kill();
    apply_to(&more, &site.rules());
    wait_for(site, "five, by the one that is left", &[2, 2, 1]);

    site.etcd.kill();
    let gateway = &site.gateways[0];
    eventually("etcd is missed", || {
        (gateway.admin.status()["catalog"]["link"]["state"] == "lost").then_some(())
    });
    let (host, before) = eventually("one has two that are ready", || {
        let all = site.hosts.iter().map(|host| (host, host.node.admin.sandboxes()));
        let is_it = |of: &[Sandbox]| of.len() == 2 && of.iter().all(|one| one.phase == "idle");
        all.into_iter().find(|(_, sandboxes)| is_it(sandboxes))
    });
    let pid = before[0].pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("it has a process"), Signal::KILL).expect("it is there");
    eventually("the node makes up for it by itself", || {
        let now = host.node.admin.sandboxes();
        let is_new = now.iter().any(|one| before.iter().all(|old| old.id != one.id));
        (is_new && now.iter().filter(|one| one.phase == "idle").count() == 2).then_some(())
    });
    gateway.get("/f0").ok();

    let index = site.hosts.iter().position(|other| other.name == host.name).expect("it is there");
    site.restart_node(index);
    let host = &site.hosts[index];
    host.node.output().wait("plans from disk", |line| {
        line.contains("plans from disk hold until etcd is heard").then_some(())
    });
    eventually("its part of the plan is ready again", || {
        let now = host.node.admin.sandboxes();
        (now.iter().filter(|one| one.phase == "idle").count() == 2).then_some(())
    });
}
