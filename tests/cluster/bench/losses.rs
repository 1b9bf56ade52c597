//! What a loss costs, and what replacing everything does not.

use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{PUPPET, Project, Zipf, puppet};

use super::clients::{Asked, Manner, ask};
use super::{CLIENTS, Report, WHILE, addresses, ms};
use crate::load::Load;
use crate::site::Site;

const FUNCTIONS: usize = 40;
const GATEWAYS: usize = 4;
const NODES: usize = 4;

/// Others are as quick as before once this has passed.
const BACK: Duration = Duration::from_secs(2);

fn project() -> Project {
    let function = |n| puppet(&format!("f{n}"), "memory = \"64MiB\"\nconcurrency = 16\nmax = 4");
    let manifest: String = (0..FUNCTIONS).map(function).collect();
    Project::new(&manifest).file("puppet.mjs", PUPPET)
}

pub(crate) fn measure(report: &mut Report, rolling: Duration) {
    let site = &mut Site::over(project(), NODES, GATEWAYS);
    for gateway in &site.gateways {
        (0..FUNCTIONS).for_each(|n| _ = gateway.get(&format!("/f{n}")).ok());
    }
    let zipf = Zipf::new(FUNCTIONS);
    let path = |draw: &mut _| format!("/f{}", zipf.draw(draw));
    let peak = Manner { clients: CLIENTS, per_second: None, long: WHILE };
    let half = ask(&addresses(site), peak, path).rate() / 2.0;
    let manner = Manner { per_second: Some(half), long: 3 * WHILE, ..peak };

    let victim = site.hosts.remove(0);
    let began = Instant::now();
    let (asked, killed_at, in_flight) = thread::scope(|scope| {
        let gateways = addresses(site);
        let asking = scope.spawn(move || ask(&gateways, manner, path));
        thread::sleep(WHILE);
        let in_flight = victim.node.admin.sandboxes().iter().map(|one| one.in_flight).sum::<u32>();
        let killed_at = Instant::now();
        victim.node.kill();
        (asking.join().expect("it does not panic"), killed_at, in_flight)
    });
    let Asked { failures, .. } = &asked;
    report.row(
        "kill -9 of one of 4 nodes at half load: failed",
        "those in flight there",
        &format!(
            "{} of {} ({in_flight} in flight there just before)",
            failures.len(),
            asked.count()
        ),
    );
    let far = killed_at + 3 * WHILE;
    report.row(
        "p99 before, within 2 s, and after that",
        "back after 2 s",
        &[(began, killed_at), (killed_at, killed_at + BACK), (killed_at + BACK, far)]
            .map(|(from, to)| ms(asked.p99(from, to)))
            .join(", "),
    );
    roll(site, report, rolling, half);
}

/// Replaces every node and every gateway, over and over.
fn roll(site: &mut Site, report: &mut Report, long: Duration, per_second: f64) {
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
