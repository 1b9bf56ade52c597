//! A gateway: the real placing, over what it would know.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchway_gateway::place::order::rank;
use hatchway_gateway::place::{
    Board, Group, Health, NodeFacts, Pick, Place, Policy, RetryBudget, Seen,
};
use hatchway_gateway::spread::mix;
use tokio::time::Instant;

use crate::node::{Admitted, Node};
use crate::world::Function;

/// Nodes that are asked for a request, as links have it.
const TRIES: usize = 3;

pub(crate) struct Gateway {
    policy: Policy,
    facts: Vec<NodeFacts>,
    places: Vec<Option<Place>>,
    board: Board,
    health: Vec<Health>,
    retries: RetryBudget,
    draws: u64,
    began: Instant,
}

/// How a request was placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Where it runs; none when nobody took it.
    pub(crate) node: Option<usize>,
    pub(crate) admitted: Admitted,
    /// What nodes that refused it have cost, in microseconds.
    pub(crate) lost_us: u64,
    pub(crate) refusals: u32,
}

impl Gateway {
    pub(crate) fn new(policy: Policy, nodes: usize, functions: usize, seed: u64) -> Self {
        let zone = |n| BTreeMap::from([("zone".to_owned(), format!("z{}", n % 3))]);
        let facts = |n| NodeFacts::new(&format!("node-{n}"), 1, zone(n));
        let mut this = Self {
            policy,
            facts: (0..nodes).map(facts).collect(),
            places: Vec::new(),
            board: Board::default(),
            health: vec![Health::default(); nodes],
            retries: RetryBudget::default(),
            draws: mix(seed),
            began: Instant::now(),
        };
        this.forget(functions);
        this.look(&vec![0; nodes], 0);
        this
    }

    /// It has started anew.
    pub(crate) fn forget(&mut self, functions: usize) {
        self.places = (0..functions).map(|_| None).collect();
        self.health.fill(Health::default());
        self.retries = RetryBudget::default();
    }

    fn at(&self, now: u64) -> Instant {
        self.began + Duration::from_micros(now)
    }

    /// What nodes have told, in thousandths.
    pub(crate) fn look(&mut self, used: &[u16], now: u64) {
        let now = self.at(now);
        let seen = used.iter().zip(&self.health).map(|(used, health)| Seen {
            used_permille: Some(*used),
            failures: health.failures(),
            ramp_permille: health.ramp_permille(now),
            ..Seen::default()
        });
        self.board.look(self.facts.iter().zip(seen).map(Some));
    }

    /// Places a request that runs for `runs_us` among `nodes`.
    pub(crate) fn place(
        &mut self,
        f: u32,
        of: &Function,
        (nodes, runs_us): (&mut [Node], u64),
        now: u64,
    ) -> Placed {
        let at = self.at(now);
        self.retries = self.retries.offered();
        let (mut tried, mut refusals, mut lost_us) = (Vec::with_capacity(TRIES), 0, 0);
        while tried.len() < TRIES
            && let Some(Pick { node, is_choosy, .. }) = self.pick(f, of, &tried, at)
        {
            if nodes[node].is_dead {
                self.health[node].failed(at);
                self.board.put_out(node);
                tried.push(node);
                continue;
            }
            tried.push(node);
            let is_choosy = is_choosy && tried.len() < TRIES && self.retries.is_ample();
            let admitted = nodes[node].offer(f, of, (is_choosy, runs_us), now);
            let Admitted::Refused(after_us) = admitted else {
                let node = (admitted != Admitted::Failed).then_some(node);
                return Placed { node, admitted, lost_us, refusals };
            };
            (refusals, lost_us) = (refusals + 1, lost_us + after_us);
            if let Some(place) = &mut self.places[f as usize] {
                place.refused(node, at);
            }
            let Some(left) = self.retries.again() else { break };
            self.retries = left;
        }
        Placed { node: None, admitted: Admitted::Failed, lost_us, refusals }
    }

    pub(crate) fn pick(
        &mut self,
        f: u32,
        of: &Function,
        tried: &[usize],
        at: Instant,
    ) -> Option<Pick> {
        let (facts, draws) = (&self.facts, &mut self.draws);
        let new = || Place::new(of.key, rank(of.key, facts.iter().enumerate(), Group::BASE), at);
        let place = self.places[f as usize].get_or_insert_with(new);
        let draw = || {
            *draws = draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(*draws)
        };
        self.policy.pick(place, &self.board, at, tried, draw)
    }
}
