//! What a loss costs, and what replacing everything does not.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Draw, PUPPET, Project, Zipf, puppet};

use super::clients::{Answered, Manner, ask};
use super::functions::function;
use super::{GATEWAYS, MANNER, Report, WHILE, addresses, ms};
use crate::load::Load;
use crate::site::Site;

const FUNCTIONS: usize = 40;
const NODES: usize = 4;

/// Others are as quick as before once this has passed.
const BACK: Duration = Duration::from_secs(2);

fn project() -> Project {
    let function = |n| puppet(&format!("f{n}"), "memory = \"64MiB\"\nconcurrency = 16\nmax = 4");
    let manifest: String = (0..FUNCTIONS).map(function).collect();
    Project::new(&manifest).file("puppet.mjs", PUPPET)
}

/// Nodes that serve every function, and half of what they can serve at most in a second.
fn start() -> (Site, f64) {
    let site = Site::over(project(), NODES, GATEWAYS);
    for gateway in &site.gateways {
        (0..FUNCTIONS).for_each(|n| _ = gateway.get(&format!("/f{n}")).ok());
    }
    let half = ask(&addresses(&site), MANNER, by_zipf()).rate() / 2.0;
    (site, half)
}

fn by_zipf() -> impl Fn(&mut Draw) -> String {
    let zipf = Zipf::new(FUNCTIONS);
    move |draw| format!("/f{}", zipf.draw(draw))
}

pub(crate) fn measure(report: &mut Report) {
    let (site, half) = &mut start();
    // So many that those who wait for a start keep nobody from asking.
    let clients = 8 * MANNER.clients;
    let manner = Manner { clients, per_second: Some(*half), long: 3 * WHILE };

    let victim = site.hosts.remove(0);
    let began = Instant::now();
    let (asked, killed_at, had) = thread::scope(|scope| {
        let gateways = addresses(site);
        let asking = scope.spawn(move || ask(&gateways, manner, by_zipf()));
        thread::sleep(WHILE);
        let had = victim.node.admin.sandboxes();
        let killed_at = Instant::now();
        victim.node.kill();
        (asking.join().expect("it does not panic"), killed_at, had)
    });
    let in_flight = had.iter().map(|one| one.in_flight).sum::<u32>();
    report.row(
        "kill -9 of one of 4 nodes at half load: failed",
        "those in flight there",
        &format!(
            "{} of {} ({in_flight} in flight there just before)",
            asked.failures.len(),
            asked.count()
        ),
    );
    let moved: HashSet<usize> = had.iter().filter_map(|one| number(&one.function)).collect();
    let has_moved = |one: &Answered| function(&one.path).is_some_and(|n| moved.contains(&n));
    let spans = [
        (began, killed_at),
        (killed_at, killed_at + BACK),
        (killed_at + BACK, killed_at + 3 * BACK),
        (killed_at + 3 * BACK, killed_at + 3 * WHILE),
    ];
    for (which, is_moved) in [("that were there", true), ("of other nodes", false)] {
        let p99 = |(from, to): (Instant, Instant)| {
            let is_it = |one: &Answered| (from..to).contains(&one.due);
            ms(asked.p99_of(|one| is_it(one) && has_moved(one) == is_moved))
        };
        report.row(
            &format!("p99 of functions {which}: before, then until 2 s, 6 s, 20 s after"),
            "back after 2 s",
            &spans.map(p99).join(", "),
        );
    }
}

fn number(function: &str) -> Option<usize> {
    function.strip_prefix("local/f")?.parse().ok()
}

/// Replaces every node and every gateway, over and over.
pub(crate) fn roll(report: &mut Report, long: Duration) {
    let (mut site, per_second) = start();
    let site = &mut site;
    let load = Load::paced(8, FUNCTIONS, addresses(site), per_second);
    let (end, mut rounds) = (Instant::now() + long, 0);
    while Instant::now() < end {
        for _ in 0..site.hosts.len() {
            site.add_node();
            load.go_on(200);
            site.hosts.remove(0).node.stop();
            load.go_on(200);
        }
        for _ in 0..GATEWAYS {
            let next = site.gateway(&[]);
            site.gateways.push(next);
            let leaving = site.gateways.remove(0);
            load.spread_over(addresses(site));
            leaving.stop();
            load.go_on(200);
        }
        rounds += 1;
    }
    let (asked, failures) = load.end();
    report.row(
        "every node and gateway replaced at half load: failed",
        "0",
        &format!("{} of {asked}, {rounds} times all", failures.len()),
    );
    assert!(failures.is_empty(), "{failures:#?}");
}
