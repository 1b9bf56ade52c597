//! One run: time, requests, nodes, faults.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hatchway_gateway::place::Policy;

use crate::delays::Delays;
use crate::gateway::Gateway;
use crate::node::{Admitted, Node};
use crate::world::World;

/// Nodes tell their load with answers, ten times a second at most.
const TELL_US: u64 = 100_000;

const SECOND: u64 = 1_000_000;

/// What placing and starting may cost before somebody notices.
const LATE_US: u64 = 200_000;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) gateways: usize,
    pub(crate) nodes: usize,
    pub(crate) functions: u32,
    pub(crate) per_second: f64,
    /// Figures are taken behind the first third.
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// Of each node.
    pub(crate) memory_mib: u32,
    pub(crate) fault: Fault,
}

/// What goes wrong when two thirds have passed; stale loads are stale from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// A tenth of all nodes die, and etcd is away, so that nobody is told.
    Loss,
    /// All gateways start anew.
    Restart,
    /// Loads are ten seconds old.
    Stale,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) cold: u64,
    pub(crate) waited: u64,
    pub(crate) failed: u64,
    /// Failed, or ran more than [`LATE_US`] after they came.
    pub(crate) late: u64,
    pub(crate) lost: u64,
    pub(crate) refusals: u64,
    /// What placing and starting cost each request.
    pub(crate) delays: Delays,
    /// Sums over looks, once a second.
    looks: u64,
    nodes_of_live: f64,
    memory_gib: f64,
    imbalance: f64,
}

impl Figures {
    /// Mean number of nodes that have a sandbox of a function that has any.
    pub(crate) fn spread(&self) -> f64 {
        self.mean(self.nodes_of_live)
    }

    /// Mean memory of all sandboxes.
    pub(crate) fn memory_gib(&self) -> f64 {
        self.mean(self.memory_gib)
    }

    /// Of all requests.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn percent(&self, count: u64) -> f64 {
        count as f64 * 100.0 / self.requests.max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn count(&self, count: u64) -> f64 {
        count as f64
    }

    /// Mean of: the fullest hundredth of the nodes, over the mean of all.
    pub(crate) fn imbalance(&self) -> f64 {
        self.mean(self.imbalance)
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of seconds")]
    fn mean(&self, sum: f64) -> f64 {
        sum / self.looks.max(1) as f64
    }
}

pub(crate) fn run(plan: &Plan, policy: Policy) -> Figures {
    let mut world = World::new(plan.functions, plan.per_second, plan.seed);
    let mut nodes: Vec<Node> = (0..plan.nodes).map(|_| Node::new(plan.memory_mib)).collect();
    let functions = plan.functions as usize;
    let mut gateways: Vec<_> = (0..plan.gateways)
        .map(|n| Gateway::new(policy, plan.nodes, functions, plan.seed + n as u64))
        .collect();
    let mut ends: BinaryHeap<Reverse<(u64, usize, u32)>> = BinaryHeap::new();
    let mut figures = Figures::default();
    let (end, mut tick) = (plan.seconds * SECOND, 0);
    let (measured_from, fault_at) = (end / 3, end / 3 * 2);
    let mut has_failed = false;
    loop {
        let (now, f, runs_us) = world.next();
        if now >= end {
            return figures;
        }
        while tick <= now {
            while let Some(Reverse((at, node, f))) = ends.peek().copied()
                && at <= tick
            {
                ends.pop();
                nodes[node].done(f, at);
            }
            if tick >= fault_at && !std::mem::replace(&mut has_failed, true) {
                figures.lost += fail(plan.fault, &mut nodes, &mut gateways, &mut ends, functions);
            }
            tell(plan.fault, &nodes, &mut gateways, tick);
            if tick.is_multiple_of(SECOND) {
                nodes.iter_mut().for_each(|node| node.reap(&world.functions, tick));
                if tick >= measured_from {
                    look(&mut figures, &nodes, functions);
                }
            }
            tick += TELL_US;
        }
        while let Some(Reverse((at, node, f))) = ends.peek().copied()
            && at <= now
        {
            ends.pop();
            nodes[node].done(f, at);
        }
        // A balancer in front draws: by a hash of the time, the same for every policy.
        let gateway = usize::try_from(hatchway_gateway::spread::mix(now)).unwrap_or_default();
        let gateway = gateway % gateways.len();
        let of = world.functions[f as usize];
        let placed = gateways[gateway].place(f, &of, (&mut nodes, runs_us), now);
        let waits = placed.lost_us
            + match placed.admitted {
                Admitted::Cold(waits) | Admitted::Waited(waits) => waits,
                Admitted::Warm | Admitted::Refused(_) | Admitted::Failed => 0,
            };
        if let Some(node) = placed.node {
            ends.push(Reverse((now + waits + runs_us, node, f)));
        }
        if now >= measured_from {
            figures.requests += 1;
            figures.refusals += u64::from(placed.refusals);
            if placed.node.is_some() {
                figures.delays.count(waits);
            }
            figures.late += u64::from(placed.node.is_none() || waits > LATE_US);
            match placed.admitted {
                Admitted::Warm => {}
                Admitted::Cold(_) => figures.cold += 1,
                Admitted::Waited(_) => figures.waited += 1,
                Admitted::Refused(_) | Admitted::Failed => figures.failed += 1,
            }
        }
    }
}

fn tell(fault: Fault, nodes: &[Node], gateways: &mut [Gateway], now: u64) {
    if fault == Fault::Stale && !now.is_multiple_of(10 * SECOND) {
        return;
    }
    let used: Vec<_> = nodes.iter().map(Node::used_permille).collect();
    for gateway in gateways {
        gateway.look(&used, now);
    }
}

/// Requests that were running where it went wrong.
fn fail(
    fault: Fault,
    nodes: &mut [Node],
    gateways: &mut [Gateway],
    ends: &mut BinaryHeap<Reverse<(u64, usize, u32)>>,
    functions: usize,
) -> u64 {
    match fault {
        Fault::None | Fault::Stale => 0,
        Fault::Restart => {
            gateways.iter_mut().for_each(|gateway| gateway.forget(functions));
            0
        }
        Fault::Loss => {
            let lost = nodes.iter_mut().step_by(10).map(|node| u64::from(node.die())).sum();
            ends.retain(|Reverse((_, node, _))| !nodes[*node].is_dead);
            lost
        }
    }
}

fn look(figures: &mut Figures, nodes: &[Node], functions: usize) {
    let mut nodes_of = vec![0_u32; functions];
    nodes.iter().flat_map(Node::functions).for_each(|f| nodes_of[f as usize] += 1);
    let live = nodes_of.iter().filter(|count| **count > 0).count().max(1);
    let pools: u32 = nodes_of.iter().sum();
    let memory: u32 = nodes.iter().map(Node::taken_mib).sum();
    let mut used: Vec<_> =
        nodes.iter().filter(|node| !node.is_dead).map(Node::used_permille).collect();
    used.sort_unstable_by(|a, b| b.cmp(a));
    let fullest = used[used.len() / 100];
    let total: u32 = used.iter().map(|used| u32::from(*used)).sum();
    figures.looks += 1;
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    let ratio = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    figures.nodes_of_live += ratio(pools as usize, live);
    figures.memory_gib += f64::from(memory) / 1024.0;
    figures.imbalance += ratio(usize::from(fullest) * used.len(), total as usize);
}
