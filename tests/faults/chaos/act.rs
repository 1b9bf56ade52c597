//! Makes something go wrong, and right again.

use std::time::Duration;

use hatchway_tests::hosts::{Host, Way};

use super::schedule::{Fault, Lost};
use crate::site::Site;

impl Site<'_> {
    /// It goes wrong.
    pub(super) fn befall(&mut self, fault: Fault) {
        for (from, to, way) in self.ways(fault) {
            self.network.set(&from, &to, way);
        }
        match fault {
            Fault::Killed { node } => self.kill_node(node),
            Fault::Replaced { node } => {
                self.kill_node(node);
                let host = self.nodes[node].host.clone();
                self.add_node(&format!("node-{node}-heir"), host);
            }
            Fault::Drained { node } => {
                let machine = &mut self.nodes[node];
                let program = machine.program.take().expect("it runs");
                machine.host.within(|| program.stop());
            }
            Fault::GatewayKilled { gateway } => {
                self.gateways[gateway].program.take().expect("it runs").kill();
            }
            Fault::GatewayDrained { gateway } => {
                self.gateways[gateway].program.take().expect("it runs").stop();
            }
            Fault::Frozen { node } => self.nodes[node].program().freeze(),
            Fault::EtcdFrozen => self.etcd.freeze(),
            Fault::EtcdKilled => self.etcd.kill(),
            Fault::NodeClock { node, seconds } => self.nodes[node].set_clock(seconds),
            Fault::GatewayClock { gateway, seconds } => self.gateways[gateway].set_clock(seconds),
            Fault::Cut { .. }
            | Fault::Alone { .. }
            | Fault::Lossy { .. }
            | Fault::Slow { .. }
            | Fault::Narrow { .. }
            | Fault::EtcdCutFromNodes
            | Fault::EtcdCutFromGateways => {}
        }
    }

    /// It goes right again. Something else may still be wrong: nothing is waited for that this did not hurt.
    pub(super) fn heal(&mut self, fault: Fault) {
        for (from, to, _) in self.ways(fault) {
            self.network.set(&from, &to, Way::default());
        }
        match fault {
            Fault::Killed { node } | Fault::Drained { node } => self.start_node(node),
            Fault::Replaced { node } => {
                let mut heir = self.nodes.pop().expect("it was put behind all others");
                let program = heir.program.take().expect("it runs");
                heir.host.within(|| program.stop());
                self.start_node(node);
            }
            Fault::GatewayKilled { gateway } | Fault::GatewayDrained { gateway } => {
                self.start_gateway(gateway);
            }
            Fault::Frozen { node } => self.nodes[node].program().thaw(),
            Fault::EtcdFrozen => self.etcd.thaw(),
            Fault::EtcdKilled => self.etcd.start_again(),
            Fault::NodeClock { node, .. } => self.nodes[node].set_clock(0),
            Fault::GatewayClock { gateway, .. } => self.gateways[gateway].set_clock(0),
            Fault::Cut { .. }
            | Fault::Alone { .. }
            | Fault::Lossy { .. }
            | Fault::Slow { .. }
            | Fault::Narrow { .. }
            | Fault::EtcdCutFromNodes
            | Fault::EtcdCutFromGateways => {}
        }
    }

    /// Waits until all know each other.
    #[track_caller]
    pub(super) fn wait_for_all(&self) {
        (0..self.nodes.len())
            .filter(|node| self.nodes[*node].program.is_some())
            .for_each(|node| self.wait_for_node(node));
    }

    fn kill_node(&mut self, node: usize) {
        self.nodes[node].program.take().expect("it runs").kill();
    }

    /// The ways that a fault makes bad.
    fn ways(&self, fault: Fault) -> Vec<(Host, Host, Way)> {
        let node = |node: usize| vec![self.nodes[node].host.clone()];
        let nodes = || self.nodes.iter().map(|machine| machine.host.clone()).collect::<Vec<_>>();
        let gateways = || self.gateways.iter().map(|machine| machine.host.clone()).collect();
        let etcd = vec![self.etcd_host.clone()];
        match fault {
            Fault::Cut { node: n, gateway, lost } => {
                let gateway = vec![self.gateways[gateway].host.clone()];
                match lost {
                    Lost::Both => both(&node(n), &gateway, Way::CUT),
                    Lost::ToNode => one(&gateway, &node(n), Way::CUT),
                    Lost::FromNode => one(&node(n), &gateway, Way::CUT),
                }
            }
            Fault::Alone { node: n } => both(&node(n), &[gateways(), etcd].concat(), Way::CUT),
            Fault::Lossy { node: n, permille } => {
                both(&node(n), &gateways(), Way { lost_permille: permille, ..Way::default() })
            }
            Fault::Slow { node: n, ms } => {
                let delay = Duration::from_millis(ms);
                both(&node(n), &gateways(), Way { delay, ..Way::default() })
            }
            Fault::Narrow { node: n, kib_per_second } => {
                let bytes_per_second = Some(kib_per_second << 10);
                both(&node(n), &gateways(), Way { bytes_per_second, ..Way::default() })
            }
            Fault::EtcdCutFromNodes => both(&etcd, &nodes(), Way::CUT),
            Fault::EtcdCutFromGateways => both(&etcd, &gateways(), Way::CUT),
            Fault::Frozen { .. }
            | Fault::Killed { .. }
            | Fault::Replaced { .. }
            | Fault::Drained { .. }
            | Fault::GatewayKilled { .. }
            | Fault::GatewayDrained { .. }
            | Fault::NodeClock { .. }
            | Fault::GatewayClock { .. }
            | Fault::EtcdFrozen
            | Fault::EtcdKilled => Vec::new(),
        }
    }
}

/// From each of these to each of those.
fn one(these: &[Host], those: &[Host], way: Way) -> Vec<(Host, Host, Way)> {
    let to_each = |from: &Host| {
        let from = from.clone();
        those.iter().map(move |to| (from.clone(), to.clone(), way))
    };
    these.iter().flat_map(to_each).collect()
}

fn both(these: &[Host], those: &[Host], way: Way) -> Vec<(Host, Host, Way)> {
    [one(these, those, way), one(those, these, way)].concat()
}
