//! What fails between machines and on them: networks that are cut, lose or delay, programs that freeze, die or find another in their
//! place, clocks that jump. Each machine is a network namespace on this one.
//!
//! Functions tell each of their runs to a [`book`] that outlives every program, so a call that was run twice is found even if nobody
//! was answered. Here is one fault at a time; [`chaos`] is all of them for ten minutes.

mod book;
mod caller;
mod chaos;
mod clock;
mod site;

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_tests::hosts::{Host, Way, on_hosts};
use hatchway_tests::{eventually, skipped};

use crate::caller::Outcome;
use crate::site::Site;

/// Between two calls of which nobody knows whether the one before is answered.
const PAUSE: Duration = Duration::from_millis(250);

/// Asserts that each of these was answered by the function, and run once.
#[track_caller]
fn served_once(site: &Site<'_>, calls: &[(u64, Outcome)]) {
    for (call, outcome) in calls {
        assert_eq!(*outcome, Outcome::Served, "call {call}");
        assert_eq!(site.book.of(*call).len(), 1, "runs of call {call}");
    }
}

/// A node says nothing for as long as `befalls` is true. What it was asked before that was noticed is answered once it is back, having
/// been run once; what comes after goes elsewhere.
fn a_silent_node(test: &str, befalls: impl Fn(&Site<'_>, usize, bool) + Sync) {
    on_hosts(test, 1, |network, _| {
        let site = Site::start(network, 0..1, 2, 1);
        let home = site.home(0);
        befalls(&site, home, true);
        let calls = thread::scope(|scope| {
            let mut calls = vec![scope.spawn(|| site.call(0, 0))];
            // The first one is on its way to the node, and so may be some more.
            while !calls.iter().any(thread::ScopedJoinHandle::is_finished) {
                calls.push(scope.spawn(|| site.call(0, 0)));
                thread::sleep(PAUSE);
            }
            befalls(&site, home, false);
            calls.into_iter().map(|call| call.join().expect("a client")).collect::<Vec<_>>()
        });
        served_once(&site, &calls);
        let elsewhere = &site.nodes[1 - home].name;
        let of_last = site.book.of(calls[calls.len() - 1].0);
        assert_eq!(of_last, [elsewhere.as_str()], "the node was still asked");
        assert_eq!(site.book.of(calls[0].0), [site.nodes[home].name.as_str()]);
    });
}

/// Cuts the ways between a node and the gateway, or opens them.
fn cut(site: &Site<'_>, (from, to): (&Host, &Host), is_cut: bool) {
    site.network.set(from, to, if is_cut { Way::CUT } else { Way::default() });
}

#[test]
fn a_node_behind_a_cut_network_gets_no_more_calls() {
    a_silent_node("a_node_behind_a_cut_network_gets_no_more_calls", |site, node, is_cut| {
        let (node, gateway) = (&site.nodes[node].host, &site.gateways[0].host);
        cut(site, (node, gateway), is_cut);
        cut(site, (gateway, node), is_cut);
    });
}

#[test]
fn a_node_whose_answers_are_lost_gets_no_more_calls_and_runs_none_twice() {
    let test = "a_node_whose_answers_are_lost_gets_no_more_calls_and_runs_none_twice";
    a_silent_node(test, |site, node, is_cut| {
        cut(site, (&site.nodes[node].host, &site.gateways[0].host), is_cut);
    });
}

#[test]
fn a_node_that_is_frozen_gets_no_more_calls() {
    a_silent_node("a_node_that_is_frozen_gets_no_more_calls", |site, node, is_frozen| {
        let program = site.nodes[node].program();
        if is_frozen { program.freeze() } else { program.thaw() }
    });
}

#[test]
fn over_a_network_that_is_slow_narrow_and_loses_packets_every_call_is_served() {
    let test = "over_a_network_that_is_slow_narrow_and_loses_packets_every_call_is_served";
    on_hosts(test, 2, |network, _| {
        let site = Site::start(network, 0..4, 2, 1);
        let poor = Way {
            lost_permille: 20,
            delay: Duration::from_millis(10),
            bytes_per_second: Some(500_000),
        };
        for node in &site.nodes {
            site.network.set_both(&node.host, &site.gateways[0].host, poor);
        }
        let calls = hatchway_tests::together(4, |function| {
            (0..20).map(|_| site.call(function, 0)).collect::<Vec<_>>()
        });
        served_once(&site, &calls.concat());
    });
}

#[test]
fn whoever_took_the_address_of_a_node_is_not_taken_for_it() {
    on_hosts("whoever_took_the_address_of_a_node_is_not_taken_for_it", 3, |network, _| {
        let mut site = Site::start(network, 0..1, 2, 1);
        let home = site.home(0);
        let host = site.nodes[home].host.clone();
        let old = site.nodes[home].program.take().expect("it runs");
        host.within(|| old.kill());
        site.add_node("node-9", host);
        let calls: Vec<_> = (0..20).map(|_| site.call(0, 0)).collect();
        served_once(&site, &calls);
        let output = site.gateways[0].program().output();
        output.wait_for("another program answers there");
    });
}

#[test]
fn without_etcd_within_reach_a_node_may_die_and_its_functions_move() {
    let test = "without_etcd_within_reach_a_node_may_die_and_its_functions_move";
    on_hosts(test, 4, |network, _| {
        let mut site = Site::start(network, 0..4, 3, 1);
        let home = site.home(0);
        let gateways = site.gateways.iter().map(|machine| &machine.host);
        for host in gateways.chain(site.nodes.iter().map(|machine| &machine.host)) {
            site.network.set_both(host, &site.etcd_host, Way::CUT);
        }
        let victim = site.nodes[home].program.take().expect("it runs");
        site.nodes[home].host.within(|| victim.kill());
        // The link ends with the program, but not at the same instant.
        let name = site.nodes[home].name.clone();
        eventually("the gateway misses it", || {
            (site.gateways[0].state_of(&name)? == "down").then_some(())
        });
        let calls: Vec<_> = (0..20).map(|n| site.call(n % 4, 0)).collect();
        served_once(&site, &calls);
    });
}

/// When the only node says that a call has printed its number, in seconds.
#[track_caller]
fn printed_at(site: &Site<'_>, call: u64) -> i64 {
    let (node, number) = (&site.nodes[0], call.to_string());
    eventually("what it has printed is read", || {
        let lines = node.host.within(|| node.program().admin.logs("function=f0"));
        let line = lines.into_iter().find(|line| line["line"].as_str() == Some(&number))?;
        Some(line["unix_ms"].as_i64()? / 1000)
    })
}

fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_secs()).expect("it is long before the end of time")
}

#[test]
fn clocks_that_jump_end_no_sandbox_no_link_and_no_call() {
    const DAY: i64 = 24 * 3600;
    let test = "clocks_that_jump_end_no_sandbox_no_link_and_no_call";
    on_hosts(test, 5, |network, _| {
        let site = Site::start(network, 0..1, 1, 1);
        if site.nodes[0].clock.is_none() {
            return skipped(test, "libfaketime");
        }
        site.home(0);
        let node = &site.nodes[0];
        let sandboxes = || node.host.within(|| node.program().admin.sandboxes());
        let before: Vec<_> = sandboxes().into_iter().map(|sandbox| sandbox.pid).collect();
        for seconds in [DAY, -DAY, 0] {
            for clock in [&node.clock, &site.gateways[0].clock].into_iter().flatten() {
                clock.set(seconds);
            }
            eventually("the node's clock has jumped", || {
                let (call, outcome) = site.call(0, 0);
                served_once(&site, &[(call, outcome)]);
                let off = printed_at(&site, call) - unix_now();
                ((off - seconds).abs() < 60).then_some(())
            });
            served_once(&site, &[site.call(0, 100)]);
        }
        let after: Vec<_> = sandboxes().into_iter().map(|sandbox| sandbox.pid).collect();
        assert_eq!(before, after, "sandboxes have ended");
        let output = site.gateways[0].program().output();
        assert!(output.with("a node is not reached").is_empty(), "links have ended");
    });
}
