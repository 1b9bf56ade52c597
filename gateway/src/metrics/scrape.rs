//! The counts of functions and versions as Prometheus reads them: of those that the rules name at that moment, and that have had
//! a request. Series end with what they count.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::CLASSES;
use super::function::Counts;
use super::version::VersionMetrics;
use super::words::Words;
use crate::catalog::{Catalog, Target};

/// All families of functions and versions.
#[derive(Debug)]
pub(super) struct Scrape {
    catalog: Catalog,
    families: Vec<Family>,
}

/// Series of one name.
#[derive(Debug)]
pub(super) struct Family {
    desc: Desc,
    kind: MetricType,
    read: Read,
}

/// What a family reads of everything that has counts.
#[derive(Clone, Copy, Debug)]
enum Read {
    Function(fn(&Counts, &mut Rows)),
    Version(fn(&VersionMetrics, &mut Rows)),
}

/// The series of a family, while one thing after the other is read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Of what is being read.
    labels: Vec<LabelPair>,
    metrics: Vec<Metric>,
}

impl Rows {
    fn add(&mut self, own: Option<(&str, &str)>) -> &mut Metric {
        let mut labels = self.labels.clone();
        labels.extend(own.map(|(name, value)| label(name, value)));
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        self.metrics.push(Metric::from_label(labels));
        self.metrics.last_mut().expect("one was just put there")
    }

    pub(super) fn count(&mut self, own: Option<(&str, &str)>, count: u64) {
        let mut counter = Counter::default();
        counter.set_value(count as f64);
        self.add(own).set_counter(counter);
    }

    pub(super) fn classes(&mut self, counts: &[std::sync::atomic::AtomicU64; 6]) {
        for (class, count) in CLASSES.iter().zip(counts) {
            self.count(Some(("class", class)), count.load(Relaxed));
        }
    }

    pub(super) fn words(&mut self, name: &str, words: &Words) {
        for (word, count) in words.read() {
            self.count(Some((name, word)), count);
        }
    }

    pub(super) fn gauge(&mut self, value: i64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value as f64);
        self.add(None).set_gauge(gauge);
    }

    pub(super) fn histogram(&mut self, histogram: Histogram) {
        self.add(None).set_histogram(histogram);
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

impl Family {
    /// `name`, `help` and kind, the label beside the function, and what is read.
    pub(super) fn of_function(
        (name, help, kind): (&str, &str, MetricType),
        own: Option<&str>,
        read: fn(&Counts, &mut Rows),
    ) -> Self {
        Self { desc: described(name, help, &["function"], own), kind, read: Read::Function(read) }
    }

    /// The same of a version.
    pub(super) fn of_version(
        (name, help, kind): (&str, &str, MetricType),
        own: Option<&str>,
        read: fn(&VersionMetrics, &mut Rows),
    ) -> Self {
        let desc = described(name, help, &["function", "version"], own);
        Self { desc, kind, read: Read::Version(read) }
    }

    fn read(&self, target: &Target, rows: &mut Rows) {
        let function = label("function", target.name.as_str());
        match self.read {
            Read::Function(read) => {
                let Some(counts) = target.metrics.read() else { return };
                rows.labels = vec![function];
                read(counts, rows);
            }
            Read::Version(read) => {
                let releases = target.releases.iter().flat_map(|releases| releases.targets());
                for (release, counts) in releases.filter_map(|it| Some((it, it.tally.as_ref()?))) {
                    let version = label("version", release.version.as_str());
                    rows.labels = vec![function.clone(), version];
                    read(counts, rows);
                }
            }
        }
    }
}

fn described(name: &str, help: &str, labels: &[&str], own: Option<&str>) -> Desc {
    let labels = labels.iter().copied().chain(own).map(ToOwned::to_owned).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new()).expect("the names are good")
}

impl Scrape {
    pub(super) fn new(catalog: Catalog, families: Vec<Family>) -> Self {
        Self { catalog, families }
    }
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(|family| &family.desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.catalog.snapshot();
        let collected = self.families.iter().map(|family| {
            let mut rows = Rows::default();
            for target in snapshot.targets.iter() {
                family.read(target, &mut rows);
            }
            let mut collected = MetricFamily::default();
            collected.set_name(family.desc.fq_name.clone());
            collected.set_help(family.desc.help.clone());
            collected.set_field_type(family.kind);
            collected.set_metric(rows.metrics);
            collected
        });
        collected.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hatchway_wire::backend::Timing;
    use hatchway_wire::http1::Outcome;
    use prometheus::{Registry, TextEncoder};

    use super::super::EdgeMetrics;
    use crate::catalog::{self, apply::apply};

    fn objects(canary_bp: u16, functions: &[&str]) -> serde_json::Value {
        let version = |function: &str| {
            serde_json::json!({
                "function": function, "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
                "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
                "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
                "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
            })
        };
        let shares =
            serde_json::json!([{"version": "00000000000000bb", "basis_points": canary_bp}]);
        let shares = if canary_bp == 0 { serde_json::json!([]) } else { shares };
        let functions: serde_json::Map<_, _> =
            functions.iter().map(|name| ((*name).to_owned(), serde_json::json!({}))).collect();
        serde_json::json!({
            "functions": functions, "routes": {},
            "versions": {"00000000000000aa": version("a"), "00000000000000bb": version("a")},
            "releases": {"local/a": {"stable": "00000000000000aa", "shares": shares}}
        })
    }

    #[test]
    fn series_begin_with_the_first_request_and_end_with_what_they_count() {
        let (publisher, catalog) = catalog::channel();
        let registry = Registry::new();
        let metrics = EdgeMetrics::register(&registry, &catalog);
        let serve = |objects: serde_json::Value| {
            let objects = Arc::new(serde_json::from_value(objects).unwrap());
            publisher.publish(apply(&publisher.current(), objects));
        };
        let shown = |series: &str| {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.map(|value| value.parse::<f64>().unwrap())
        };
        let request = || {
            let snapshot = catalog.snapshot();
            let target = snapshot.targets.iter().find(|it| it.name.name() == "a").unwrap();
            let outcome =
                Outcome { status: 500, total: Duration::from_millis(3), ..Outcome::default() };
            target.metrics.finish(&outcome, None);
            target.metrics.refused("crashed");
            let canary = target.releases.as_ref().and_then(|all| all.targets().get(1));
            if let Some(tally) = canary.and_then(|canary| canary.tally.as_ref()) {
                tally.count(&outcome, &Timing::default(), true);
            }
        };

        serve(objects(500, &["local/a", "local/b"]));
        assert_eq!(shown(r#"gateway_requests_total{class="5xx",function="local/a"}"#), None);
        request();
        for (series, expected) in [
            (r#"gateway_requests_total{class="5xx",function="local/a"}"#, Some(1.0)),
            (r#"gateway_requests_total{class="2xx",function="local/a"}"#, Some(0.0)),
            (r#"gateway_requests_total{class="5xx",function="local/b"}"#, None),
            (r#"gateway_failures_total{function="local/a",reason="crashed"}"#, Some(1.0)),
            (r#"gateway_request_seconds_bucket{function="local/a",le="0.0025"}"#, Some(0.0)),
            (r#"gateway_request_seconds_bucket{function="local/a",le="0.005"}"#, Some(1.0)),
            (
                r#"gateway_version_errors_total{function="local/a",version="00000000000000bb"}"#,
                Some(1.0),
            ),
            (
                r#"gateway_version_errors_total{function="local/a",version="00000000000000aa"}"#,
                Some(0.0),
            ),
        ] {
            assert_eq!(shown(series), expected, "{series}");
        }
        assert_eq!((metrics.total().all, metrics.total().failed), (1, 1));

        serve(objects(0, &["local/a"]));
        request();
        let canary =
            r#"gateway_version_errors_total{function="local/a",version="00000000000000bb"}"#;
        assert_eq!(shown(canary), None, "a version that no release names");
        assert_eq!(shown(r#"gateway_requests_total{class="5xx",function="local/a"}"#), Some(2.0));
        serve(objects(0, &["local/b"]));
        assert_eq!(shown(r#"gateway_requests_total{class="5xx",function="local/a"}"#), None);
    }
}
