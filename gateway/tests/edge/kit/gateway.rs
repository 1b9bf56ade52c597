//! The gateway, as `hatchway-gateway` puts it together.

use std::net::SocketAddr;
use std::sync::Arc;

use hatchway_gateway::accept::{self, Door};
use hatchway_gateway::catalog::{self, apply::apply};
use hatchway_gateway::forward::{Fleet, RemoteNodes};
use hatchway_gateway::handle::Gateway;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_proto::catalog::Objects;
use hatchway_wire::core::Cores;
use hatchway_wire::link::Security;
use hatchway_wire::listen::{self, Address};
use prometheus::{Registry, TextEncoder};

use super::{Client, Recorder};

/// A running gateway; drains when it is dropped.
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    cores: Option<Cores>,
    /// Its nodes.
    pub(crate) fleet: Fleet,
    registry: Registry,
}

/// A catalog in which every path leads to `local/a`, except for what is said of `/limited` and `/unreleased`.
pub(crate) fn catalog() -> Objects {
    let clock =
        r#"{"queue": "5s", "start": "10s", "first_byte": "30s", "idle": "60s", "run": "300s"}"#;
    let text = format!(
        r#"{{
          "functions": {{
            "local/a": {{}},
            "local/limited": {{"rate_per_second": 1}},
            "local/unreleased": {{}}
          }},
          "versions": {{
            "0123456789abcdef": {{
              "function": "local/a",
              "package": {{"root": "/nowhere", "digest": "00"}},
              "runtime": {{"kind": "command", "argv": ["./server"]}},
              "resources": {{"cpu_millis": 100, "memory_bytes": 1000000, "pids": 10, "files": 100, "tmp_bytes": 0}},
              "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "30s", "clocks": {clock}
            }},
            "fedcba9876543210": {{
              "function": "local/limited",
              "package": {{"root": "/nowhere", "digest": "00"}},
              "runtime": {{"kind": "command", "argv": ["./server"]}},
              "resources": {{"cpu_millis": 100, "memory_bytes": 1000000, "pids": 10, "files": 100, "tmp_bytes": 0}},
              "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "30s", "clocks": {clock}
            }}
          }},
          "routes": {{
            "all": {{"path": "/", "function": "local/a"}},
            "limited": {{"path": "/limited", "function": "local/limited"}},
            "unreleased": {{"path": "/unreleased", "function": "local/unreleased"}},
            "elsewhere": {{"host": "only-a.example", "path": "/a", "function": "local/a"}}
          }},
          "releases": {{
            "local/a": {{"stable": "0123456789abcdef"}},
            "local/limited": {{"stable": "fedcba9876543210"}}
          }}
        }}"#
    );
    serde_json::from_str(&text).expect("the catalog is one")
}

impl Edge {
    /// In front of one node.
    pub(crate) fn before(node: &Recorder) -> Self {
        Self::start(vec![node.address], Door::default(), catalog())
    }

    pub(crate) fn start(nodes: Vec<SocketAddr>, door: Door, objects: Objects) -> Self {
        let registry = Registry::new();
        let (publisher, catalog) = catalog::channel();
        let metrics = Arc::new(EdgeMetrics::register(&registry, &catalog));
        let snapshot = apply(&publisher.current(), Arc::new(objects));
        publisher.publish(snapshot);
        let any_port = Address::Tcp(([127, 0, 0, 1], 0).into());
        // One core: what is shared by requests of one core is what can go wrong.
        let (listeners, bound) = listen::bind(&any_port, 1).expect("loopback has free ports");
        let Address::Tcp(address) = bound else { panic!("bound to a path") };
        let fleet = Fleet::from(nodes.into_iter().map(Address::Tcp).collect::<Vec<_>>());
        fleet.register(&registry);
        let of_cores = fleet.clone();
        let cores = accept::start(listeners, door, move |core| {
            let nodes = RemoteNodes::new(&of_cores, Security::default(), &core.ticker);
            Gateway::new(catalog.cached(), nodes, Arc::clone(&metrics))
        });
        Self { address, cores: Some(cores.expect("threads can be started")), fleet, registry }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The value of a metric, by its name and labels as Prometheus writes them.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        let text = text.expect("metrics can be written");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a metric is a number"))
    }

    /// Takes nothing new; what runs goes on.
    pub(crate) fn drain(&self) {
        if let Some(cores) = &self.cores {
            cores.drain();
        }
    }

    /// Waits until everything has ended.
    pub(crate) fn join(mut self) {
        if let Some(cores) = self.cores.take() {
            cores.drain();
            cores.join();
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(cores) = self.cores.take() {
            // Not joined: a client that a failed test has left open would be waited for.
            cores.drain();
        }
    }
}
