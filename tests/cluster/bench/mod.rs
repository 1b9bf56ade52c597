//! `make bench-cluster`: gateways and nodes on one machine, and what is asked of a cluster: functions that stay where they are warm, room
//! that is used, losses that cost what they have to.
//!
//! [`clients`] ask [`functions`]; [`affinity`] is where functions go, [`interleaved`] what it costs to serve many of them ([`plain`] is the
//! control), [`losses`] what becomes of requests when programs die or are replaced, and [`pressure`] a burst and an overload.

mod affinity;
mod clients;
mod functions;
mod interleaved;
mod losses;
mod plain;
mod pressure;

use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_tests::duration;

use self::clients::{Asked, Manner};
use crate::site::Site;

/// Of one measurement.
const WHILE: Duration = Duration::from_secs(10);

/// Clients that ask at a time: more than two cores can answer.
const CLIENTS: usize = 16;

/// Each client asks again when it is answered.
const MANNER: Manner = Manner { clients: CLIENTS, per_second: None, long: WHILE };

const GATEWAYS: usize = 4;

/// Of the measurements where all is well.
const NODES: usize = 8;

/// Figures beside what is to be reached.
#[derive(Debug, Default)]
struct Report(String);

impl Report {
    /// Prints a table of what `measure` has found.
    fn of(measure: impl FnOnce(&mut Self)) {
        let mut this = Self::default();
        measure(&mut this);
        println!("\n| | to reach | |\n|---|--:|--:|\n{}", this.0);
    }

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

#[track_caller]
fn sound(asked: Asked) -> Asked {
    assert!(asked.failures.is_empty(), "{:#?}", &asked.failures[..asked.failures.len().min(5)]);
    asked
}

/// `DURATION`, or a minute.
fn rolling() -> Duration {
    env::var("DURATION").map_or(Duration::from_secs(60), |text| duration(&text))
}

#[test]
#[ignore = "takes a minute, of an optimised build: make bench-cluster runs it"]
fn figures_of_affinity() {
    Report::of(affinity::measure);
}

#[test]
#[ignore = "takes five minutes, of an optimised build: make bench-cluster runs it"]
fn figures_of_five_hundred_functions() {
    Report::of(interleaved::measure);
}

#[test]
#[ignore = "takes a minute, of an optimised build: make bench-cluster runs it"]
fn figures_of_a_loss() {
    Report::of(losses::measure);
}

#[test]
#[ignore = "takes a minute, or DURATION, of an optimised build: make bench-cluster runs it"]
fn figures_of_replacing_everything() {
    Report::of(|report| losses::roll(report, rolling()));
}

#[test]
#[ignore = "takes a minute, of an optimised build: make bench-cluster runs it"]
fn figures_under_pressure() {
    Report::of(pressure::measure);
}
