//! All nodes that this gateway may ask, and how full each said it was: the same for all cores.

use std::sync::Arc;

use hatchway_proto::link::LoadSummary;
use hatchway_wire::link::NodeLoad;
use hatchway_wire::listen::Address;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};

/// Nodes at fixed addresses. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Fleet(Arc<[Member]>);

/// One of them.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) address: Address,
    pub(super) load: Arc<NodeLoad>,
}

impl From<Vec<Address>> for Fleet {
    fn from(addresses: Vec<Address>) -> Self {
        let member = |address| Member { address, load: Arc::default() };
        Self(addresses.into_iter().map(member).collect())
    }
}

impl Fleet {
    pub(super) fn members(&self) -> &[Member] {
        &self.0
    }

    /// How full a node said last that it was, by its place in the list of addresses; none while no link to it is open.
    pub fn load(&self, node: usize) -> Option<LoadSummary> {
        self.0.get(node)?.load.read()
    }

    /// Has the loads shown among the metrics.
    ///
    /// # Panics
    /// When they are registered already: a registry has one gateway.
    pub fn register(&self, registry: &Registry) {
        let collector = Box::new(Loads::new(self.clone()));
        registry.register(collector).expect("a registry has one gateway");
    }
}

/// One number of a load.
type Read = fn(&LoadSummary) -> i64;

/// Reads the loads when somebody asks for the metrics.
struct Loads {
    fleet: Fleet,
    up: IntGaugeVec,
    of_load: [(IntGaugeVec, Read); 4],
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
        for member in self.fleet.members() {
            let (name, load) = (member.address.to_string(), member.load.read());
            self.up.with_label_values(&[&name]).set(load.is_some().into());
            for (gauge, read) in &self.of_load {
                // What nobody knows is not shown as a zero.
                match &load {
                    Some(load) => gauge.with_label_values(&[&name]).set(read(load)),
                    None => drop(gauge.remove_label_values(&[&name])),
                }
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
    fn a_node_that_nobody_has_heard_of_is_down_and_has_no_load() {
        let registry = Registry::new();
        let fleet = Fleet::from(vec!["unix:/a".parse().unwrap()]);
        fleet.register(&registry);
        assert_eq!((fleet.load(0), fleet.load(1)), (None, None));
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(names, ["gateway_node_up"]);
        assert_eq!(families[0].get_metric()[0].get_gauge().get_value(), 0.0);
    }
}
