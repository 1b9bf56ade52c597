//! What goes wrong when: drawn from a seed, so that a run that has failed can be run again.

use std::fmt;
use std::time::Duration;

use hatchway_tests::Draw;

/// How many of each there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) nodes: usize,
    pub(crate) gateways: usize,
}

/// Which packets are lost between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Both,
    ToNode,
    FromNode,
}

/// Something that goes wrong. Nodes and gateways by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A node and one gateway do not reach each other.
    Cut {
        node: usize,
        gateway: usize,
        lost: Lost,
    },
    /// Nobody reaches a node, and it reaches nobody.
    Alone {
        node: usize,
    },
    /// A node's packets are lost, come late, or stand in line.
    Lossy {
        node: usize,
        permille: u64,
    },
    Slow {
        node: usize,
        ms: u64,
    },
    Narrow {
        node: usize,
        kib_per_second: u64,
    },
    /// By SIGSTOP.
    Frozen {
        node: usize,
    },
    /// By SIGKILL; it comes back with another instance.
    Killed {
        node: usize,
    },
    /// As killed, and another node is started at its address meanwhile.
    Replaced {
        node: usize,
    },
    /// Asked to stop, and started again.
    Drained {
        node: usize,
    },
    GatewayKilled {
        gateway: usize,
    },
    GatewayDrained {
        gateway: usize,
    },
    /// Wall clocks of a node or of a gateway.
    NodeClock {
        node: usize,
        seconds: i64,
    },
    GatewayClock {
        gateway: usize,
        seconds: i64,
    },
    EtcdFrozen,
    EtcdKilled,
    EtcdCutFromNodes,
    EtcdCutFromGateways,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Nothing goes wrong for so long.
    pub(crate) pause: Duration,
    pub(crate) fault: Fault,
    /// Etcd may be away at the same time.
    pub(crate) beside: Option<Fault>,
    /// How long it lasts.
    pub(crate) holds: Duration,
}

/// Kinds that are drawn, one after another: each comes once before any comes again.
const KINDS: u64 = 13;

/// The schedule: endless.
#[derive(Debug)]
pub(crate) struct Schedule {
    draw: Draw,
    fleet: Fleet,
    /// Kinds that have not come in this round.
    left: Vec<u64>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, fleet: Fleet) -> Self {
        Self { draw: Draw::new(seed), fleet, left: Vec::new() }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw.below(end as u64)).expect("it is below a usize")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.draw.below(to - from))
    }

    fn fault(&mut self) -> Fault {
        if self.left.is_empty() {
            self.left = (0..KINDS).collect();
        }
        let at = self.below(self.left.len());
        let kind = self.left.swap_remove(at);
        let (node, gateway) = (self.below(self.fleet.nodes), self.below(self.fleet.gateways));
        let seconds = self.of(&[24 * 3600, 3600, -3600]);
        match kind {
            0 => {
                let lost = self.of(&[Lost::Both, Lost::ToNode, Lost::FromNode]);
                Fault::Cut { node, gateway, lost }
            }
            1 => Fault::Alone { node },
            2 => Fault::Lossy { node, permille: self.of(&[10, 30, 60]) },
            3 => Fault::Slow { node, ms: self.of(&[5, 30, 100]) },
            4 => Fault::Narrow { node, kib_per_second: self.of(&[64, 256]) },
            5 => Fault::Frozen { node },
            6 => Fault::Killed { node },
            7 => Fault::Replaced { node },
            8 => Fault::Drained { node },
            9 => Fault::GatewayKilled { gateway },
            10 => Fault::GatewayDrained { gateway },
            11 => self.of(&[
                Fault::NodeClock { node, seconds },
                Fault::GatewayClock { gateway, seconds },
            ]),
            _ => self.etcd(),
        }
    }

    fn etcd(&mut self) -> Fault {
        self.of(&[
            Fault::EtcdFrozen,
            Fault::EtcdKilled,
            Fault::EtcdCutFromNodes,
            Fault::EtcdCutFromGateways,
        ])
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (fault, pause) = (self.fault(), self.ms(500, 3000));
        let beside = (!fault.is_etcd() && self.below(4) == 0).then(|| self.etcd());
        // Some are over before anybody notices, some last longer than a link waits and a lease lives.
        let holds = if self.below(4) == 0 { self.ms(16_000, 20_000) } else { self.ms(300, 7000) };
        Some(Step { pause, fault, beside, holds })
    }
}

impl Fault {
    fn is_etcd(self) -> bool {
        use Fault::{EtcdCutFromGateways, EtcdCutFromNodes, EtcdFrozen, EtcdKilled};
        matches!(self, EtcdCutFromGateways | EtcdCutFromNodes | EtcdFrozen | EtcdKilled)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { node, gateway, lost } => {
                let lost = match lost {
                    Lost::Both => "both ways",
                    Lost::ToNode => "towards the node",
                    Lost::FromNode => "from the node",
                };
                write!(f, "node-{node} and gateway-{gateway} cut {lost}")
            }
            Self::Alone { node } => write!(f, "node-{node} cut from all"),
            Self::Lossy { node, permille } => write!(f, "node-{node} loses {permille} ‰"),
            Self::Slow { node, ms } => write!(f, "node-{node} {ms} ms away"),
            Self::Narrow { node, kib_per_second } => {
                write!(f, "node-{node} behind {kib_per_second} KiB/s")
            }
            Self::Frozen { node } => write!(f, "node-{node} frozen"),
            Self::Killed { node } => write!(f, "node-{node} killed"),
            Self::Replaced { node } => write!(f, "node-{node} killed, another in its place"),
            Self::Drained { node } => write!(f, "node-{node} drained"),
            Self::GatewayKilled { gateway } => write!(f, "gateway-{gateway} killed"),
            Self::GatewayDrained { gateway } => write!(f, "gateway-{gateway} drained"),
            Self::NodeClock { node, seconds } => write!(f, "clock of node-{node} {seconds:+} s"),
            Self::GatewayClock { gateway, seconds } => {
                write!(f, "clock of gateway-{gateway} {seconds:+} s")
            }
            Self::EtcdFrozen => f.write_str("etcd frozen"),
            Self::EtcdKilled => f.write_str("etcd killed"),
            Self::EtcdCutFromNodes => f.write_str("etcd cut from nodes"),
            Self::EtcdCutFromGateways => f.write_str("etcd cut from gateways"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Fleet = Fleet { nodes: 4, gateways: 3 };

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_each_kind_comes_in_turn() {
        let of = |seed| Schedule::new(seed, FLEET).take(26).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let killed = |steps: &[Step]| {
            steps.iter().filter(|step| matches!(step.fault, Fault::Killed { .. })).count()
        };
        let steps = of(3);
        assert_eq!((killed(&steps[..13]), killed(&steps[13..])), (1, 1));
    }
}
