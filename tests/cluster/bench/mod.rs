//! `make bench-cluster`: gateways and nodes on one machine, and what is asked of a cluster: functions that stay where they are warm, room
//! that is used, losses that cost what they have to.
//!
//! [`clients`] ask; [`affinity`] is where functions go, [`losses`] what becomes of requests when programs die or are replaced, and
//! [`pressure`] a burst and an overload.

mod affinity;
mod clients;
mod losses;
mod pressure;

use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_tests::duration;

use crate::site::Site;

/// Of one measurement.
const WHILE: Duration = Duration::from_secs(10);

/// Clients that ask at a time: more than two cores can answer.
const CLIENTS: usize = 16;

/// Figures beside what is to be reached.
#[derive(Debug, Default)]
struct Report(String);

impl Report {
    fn row(&mut self, what: &str, goal: &str, figure: &str) {
        println!("{what}: {figure} ({goal})");
        writeln!(self.0, "| {what} | {goal} | {figure} |").expect("a string takes every write");
    }
}

fn addresses(site: &Site) -> Vec<SocketAddr> {
    site.gateways.iter().map(|gateway| gateway.address).collect()
}

fn hatches(site: &Site) -> f64 {
    let of = |n: usize| site.hosts[n].node.admin.metrics().sum("node_hatches_total", &[]);
    (0..site.hosts.len()).map(of).sum()
}

fn ms(time: Option<Duration>) -> String {
    time.map_or("none".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

#[test]
#[ignore = "takes minutes, of an optimised build: make bench-cluster runs it"]
fn figures_of_a_cluster_on_one_machine() {
    let rolling = env::var("DURATION").map_or(Duration::from_secs(60), |text| duration(&text));
    let mut report = Report::default();
    affinity::measure(&mut report);
    losses::measure(&mut report, rolling);
    pressure::measure(&mut report);
    println!("\n| | to reach | |\n|---|--:|--:|\n{}", report.0);
}
