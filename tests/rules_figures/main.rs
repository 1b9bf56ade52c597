//! `make bench-rules`: what rules cost when there are many, each figure beside its goal.
//!
//! `FUNCTIONS` says how many functions there are, each with a version, a route and a release (100,000 by default), `STORM` how
//! long rules change without pause (`60s`). Reading order: [`catalog`] the rules; [`compiled`] what one gateway does with
//! them, in this process, beside [`ruler`], what a step into memory costs; [`fleet`] four real gateways and a real etcd; [`storm`]
//! requests while rules change; [`deploy`] real projects, from the command to the first answer; [`report`] the table of each part.

mod catalog;
mod compiled;
mod deploy;
mod fleet;
mod report;
mod ruler;
mod storm;

use std::env;
use std::time::Duration;

use hatchway_tests::{Etcd, Project};

use crate::report::Report;

fn functions() -> usize {
    env::var("FUNCTIONS").map_or(100_000, |text| text.parse().expect("FUNCTIONS is a number"))
}

fn storm_lasts() -> Duration {
    let text = env::var("STORM").unwrap_or_else(|_| "60s".to_owned());
    let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.expect("STORM is a number of seconds, such as 60s"))
}

#[test]
#[ignore = "takes an optimised build: make bench-rules runs it"]
fn in_one_process() {
    let count = functions();
    let mut report = Report::of(count);
    ruler::measure(&mut report);
    compiled::measure(count, &mut report);
    report.print();
}

#[test]
#[ignore = "takes minutes and an optimised build: make bench-rules runs it"]
fn over_a_fleet() {
    let count = functions();
    let mut report = Report::of(count);
    let project = Project::new("");
    let mut etcd = Etcd::start();
    catalog::write(&etcd, count);
    let fleet = fleet::Fleet::start(&project, &etcd);
    fleet.memory(count, &mut report);
    fleet.push_to_applied(&etcd, &mut report);
    let first = fleet.into_first();
    storm::measure(&first, &etcd, storm_lasts(), &mut report);
    fleet::start_without_etcd(first, &project, &mut etcd, count, &mut report);
    report.print();
}

#[test]
#[ignore = "takes an optimised build, and examples with all that is installed into them: make bench-rules runs it"]
fn deploys() {
    let mut report = Report::of_projects();
    deploy::measure(&mut report);
    report.print();
}
