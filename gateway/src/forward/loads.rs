//! The loads of nodes, among the metrics.

use hatchway_proto::link::LoadSummary;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};

use super::fleet::Fleet;

/// One number of a load.
type Read = fn(&LoadSummary) -> i64;

/// Reads the loads when somebody asks for the metrics.
struct Loads {
    fleet: Fleet,
    up: IntGaugeVec,
    of_load: [(IntGaugeVec, Read); 5],
}

impl Fleet {
    /// Has the loads shown among the metrics.
    ///
    /// # Panics
    /// When they are registered already: a registry has one gateway.
    pub fn register(&self, registry: &Registry) {
        let collector = Box::new(Loads::new(self.clone()));
        registry.register(collector).expect("a registry has one gateway");
    }
}

fn gauge(name: &str, help: &str) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), &["node"]).expect("the names are good")
}

impl Loads {
    fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            up: gauge("gateway_node_up", "1 while a link to the node is open."),
            of_load: [
                (
                    gauge("gateway_node_requests_in_flight", "Requests that the node runs."),
                    |load| load.in_flight.into(),
                ),
                (
                    gauge("gateway_node_room", "Requests that it could run without a start."),
                    |load| load.room.into(),
                ),
                (
                    gauge("gateway_node_requests_waiting", "Requests that wait there for a slot."),
                    |load| load.waiting.into(),
                ),
                (
                    gauge(
                        "gateway_node_used_permille",
                        "What its sandboxes take of the scarcest that it has, in thousandths.",
                    ),
                    |load| load.used_permille.into(),
                ),
                (gauge("gateway_node_draining", "1 while it takes nothing new."), |load| {
                    load.is_draining.into()
                }),
            ],
        }
    }
}

impl Collector for Loads {
    fn desc(&self) -> Vec<&Desc> {
        let of_load = self.of_load.iter().flat_map(|(gauge, _)| gauge.desc());
        self.up.desc().into_iter().chain(of_load).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Those that have left are not shown for ever.
        self.up.reset();
        self.of_load.iter().for_each(|(gauge, _)| gauge.reset());
        for (node, load) in self.fleet.nodes() {
            let name: &str = &node.facts.name;
            self.up.with_label_values(&[name]).set(load.is_some().into());
            // What nobody knows is not shown as a zero.
            let Some(load) = load else { continue };
            for (gauge, read) in &self.of_load {
                gauge.with_label_values(&[name]).set(read(&load));
            }
        }
        let of_load = self.of_load.iter().flat_map(|(gauge, _)| gauge.collect());
        self.up.collect().into_iter().chain(of_load).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_node_that_nobody_has_heard_of_it_is_shown_that_it_is_down() {
        let registry = Registry::new();
        let fleet = Fleet::from(vec!["unix:/a".parse().expect("it is an address")]);
        fleet.register(&registry);
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(names, ["gateway_node_up"]);
        assert_eq!(families[0].get_metric()[0].get_gauge().get_value(), 0.0);
        fleet.set(Vec::new());
        assert!(registry.gather().is_empty(), "it is gone");
    }
}
