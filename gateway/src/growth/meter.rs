//! What this gateway is asked for, of functions that grow.

use std::collections::BTreeMap;

use hatchway_proto::growth::Asked;
use hatchway_proto::name::VersionId;
use hatchway_wire::catalog::etcd::growth::GatewayReport;
use tokio::time::Instant;

use crate::catalog::{Catalog, Snapshot};

/// What is less of a change than this is not said again.
const NEWS: f64 = 0.02;

/// Reads the counters of versions whose functions grow.
#[derive(Debug)]
pub(super) struct Meter {
    catalog: Catalog,
    /// Samples since the last report, and what they saw in flight in all.
    samples: u32,
    in_flight: BTreeMap<VersionId, f64>,
    /// Requests so far, as of the last report.
    requests: BTreeMap<VersionId, u64>,
    read_at: Instant,
}

impl Meter {
    pub(super) fn new(catalog: Catalog) -> Self {
        let (in_flight, requests) = (BTreeMap::new(), BTreeMap::new());
        Self { catalog, samples: 0, in_flight, requests, read_at: Instant::now() }
    }

    /// True while no function grows.
    pub(super) fn is_idle(&self) -> bool {
        self.catalog.snapshot().growing.is_empty()
    }

    /// Looks at what is in flight: often, for a mean.
    pub(super) fn sample(&mut self) {
        self.samples += 1;
        for (version, in_flight, _) in counts(&self.catalog.snapshot()) {
            *self.in_flight.entry(version).or_default() += f64::from(in_flight);
        }
    }

    /// What has been asked for since the last report.
    pub(super) fn report(&mut self) -> GatewayReport {
        let seconds = self.read_at.elapsed().as_secs_f64().max(0.1);
        self.read_at = Instant::now();
        let samples = f64::from(std::mem::take(&mut self.samples).max(1));
        let in_flight = std::mem::take(&mut self.in_flight);
        let before = std::mem::take(&mut self.requests);
        let mut report = GatewayReport::new();
        for (version, _, requests) in counts(&self.catalog.snapshot()) {
            self.requests.insert(version, requests);
            // What was counted before anybody looked is not of this second.
            let known = before.get(&version).copied().unwrap_or(requests);
            #[expect(clippy::cast_precision_loss, reason = "requests of a second")]
            let came = requests.saturating_sub(known) as f64;
            let seen = in_flight.get(&version).copied().unwrap_or_default();
            let asked =
                Asked { in_flight: round(seen / samples), per_second: round(came / seconds) };
            if asked != Asked::default() {
                report.insert(version, asked);
            }
        }
        report
    }
}

/// In flight, and over so far, by version.
fn counts(snapshot: &Snapshot) -> impl Iterator<Item = (VersionId, u32, u64)> {
    let targets = snapshot.growing.iter().filter_map(|function| snapshot.targets.get(function));
    targets.flat_map(|target| {
        let releases = target.releases.iter().flat_map(|releases| releases.targets());
        releases.map(|release| {
            let (in_flight, requests) = match &release.tally {
                Some(tally) => (tally.in_flight(), tally.requests()),
                // It is the only one.
                None => (target.metrics.in_flight(), target.metrics.requests()),
            };
            (release.version, u32::try_from(in_flight).unwrap_or_default(), requests)
        })
    })
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Whether the one that leads has to hear of it.
pub(super) fn is_news(said: &GatewayReport, now: &GatewayReport) -> bool {
    let differs = |a: f64, b: f64| (a - b).abs() > a.max(b) * NEWS;
    let has_changed = |(said, now): (&Asked, &Asked)| {
        differs(said.in_flight, now.in_flight) || differs(said.per_second, now.per_second)
    };
    !said.keys().eq(now.keys()) || said.values().zip(now.values()).any(has_changed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::catalog::{apply::apply, channel};

    #[test]
    fn what_is_in_flight_is_a_mean_and_what_nobody_asks_for_is_not_said() {
        let version = json!({
            "function": "local/a", "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
            "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
            "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
            "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
        });
        let objects = json!({
            "functions": {"local/a": {"growth": {"min": 1}}, "local/b": {}},
            "versions": {"0000000000000001": version}, "routes": {},
            "releases": {"local/a": {"stable": "0000000000000001"}}
        });
        let objects = Arc::new(serde_json::from_value(objects).expect("they are objects"));
        let (publisher, catalog) = channel();
        let mut meter = Meter::new(catalog.clone());
        assert!(meter.is_idle());
        publisher.publish(apply(&publisher.current(), objects));
        assert!(!meter.is_idle());
        assert!(meter.report().is_empty());

        let snapshot = catalog.snapshot();
        let name = hatchway_proto::name::FunctionName::parse("local/a").expect("it is a name");
        let metrics = &snapshot.targets.get(&name).expect("it is there").metrics;
        metrics.enter();
        meter.sample();
        metrics.enter();
        meter.sample();
        let report = meter.report();
        let asked = report.values().copied().collect::<Vec<_>>();
        assert_eq!(asked, [Asked { in_flight: 1.5, per_second: 0.0 }]);
        assert!(is_news(&GatewayReport::new(), &report) && !is_news(&report, &report));
        metrics.leave();
        metrics.leave();
        meter.sample();
        assert!(meter.report().is_empty());
    }
}
