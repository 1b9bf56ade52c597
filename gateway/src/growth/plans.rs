//! From what gateways and nodes say to the plan of one function: nothing here waits or writes.

use std::collections::{BTreeMap, HashMap};

use hatchway_proto::catalog::{Growth as Rule, Registration, Version};
use hatchway_proto::growth::divide::{Before, Wanted, divide};
use hatchway_proto::growth::schedule::min_at;
use hatchway_proto::growth::{Because, Load, NodeReport, Placed, Plan, Scaler, Targets, Wish};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::catalog::etcd::growth::{GatewayReport, Standing};

use crate::catalog::{Snapshot, Target};
use crate::forward::key;
use crate::place::order::{LISTED, rank_of};
use crate::place::{Group, NodeFacts};

/// The time of a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// By a clock that does not go back.
    pub(super) second: u64,
    /// Since 1970.
    pub(super) unix: u64,
}

/// What all have said last, by name.
pub(super) struct Said<'a> {
    pub(super) gateways: &'a BTreeMap<String, GatewayReport>,
    pub(super) nodes: &'a BTreeMap<String, NodeReport>,
    pub(super) registered: &'a BTreeMap<String, Registration>,
}

/// A node that takes new work.
pub(super) struct Member<'a> {
    name: &'a str,
    facts: NodeFacts,
    runtimes: &'a [String],
}

/// A function that grows, and what is planned of it.
pub(super) struct About<'a> {
    snapshot: &'a Snapshot,
    target: &'a Target,
    rule: &'a Rule,
    before: Option<&'a Standing>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Planner {
    scalers: HashMap<VersionId, Scaler>,
    /// What schedules keep ready, and in which minute that was looked up.
    scheduled: (u64, HashMap<FunctionName, u32>),
}

impl Planner {
    /// The next plan, and its figures: sandboxes that are wished for, that are there, and that no node has room for.
    pub(super) fn plan(
        &mut self,
        about: &About<'_>,
        (said, fleet): (&Said<'_>, &[Member<'_>]),
        now: Moment,
    ) -> (Plan, [u32; 3]) {
        let reports = said.reports(about);
        let scheduled = self.scheduled(about, now);
        let mut wanted = Vec::new();
        for (index, (id, version)) in about.versions().enumerate() {
            let (load, alive) = said.load(&id, &reports);
            let scaler = self.scalers.entry(id).or_insert_with(|| about.scaler(&id, now));
            let wish = scaler.wish(now.second, load, alive, &Targets::new(about.rule, version));
            let wish = match index {
                0 => wish.within(about.rule, scheduled),
                // What is kept in any case is kept of the stable one.
                _ => wish.within(&Rule { min: 0, ..about.rule.clone() }, 0),
            };
            let order = order(fleet, about.group(&id), (&id, version), &wish);
            wanted.push(Wanted { version: id, wish, per_node: version.max.max(1), order });
        }
        let before = about.before.map(|it| Before { plan: &it.plan, revision: it.revision });
        let plan = divide(&wanted, about.rule.max, before, &reports);
        let figures = figures(&plan, &reports);
        (plan, figures)
    }

    /// Forgets versions whose functions grow no more.
    pub(super) fn forget_all_but(&mut self, snapshot: &Snapshot) {
        self.scalers.retain(|version, _| {
            let version = snapshot.objects.versions.get(version);
            version.is_some_and(|version| snapshot.growing.contains(&version.function))
        });
    }

    /// What a schedule keeps ready now. It is looked up once a minute: cron knows no less.
    fn scheduled(&mut self, about: &About<'_>, now: Moment) -> u32 {
        if about.rule.schedule.is_empty() {
            return 0;
        }
        let minute = now.unix / 60;
        if self.scheduled.0 != minute {
            self.scheduled = (minute, HashMap::new());
        }
        let look = || min_at(about.rule, now.unix);
        *self.scheduled.1.entry(about.target.name.clone()).or_insert_with(look)
    }
}

impl<'a> About<'a> {
    /// None where the function is gone, or does not grow.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        function: &FunctionName,
        before: Option<&'a Standing>,
    ) -> Option<Self> {
        let target = snapshot.targets.get(function)?;
        let rule = target.function.growth.as_ref()?;
        Some(Self { snapshot, target, rule, before })
    }

    /// Those that its release may choose, stable first.
    fn versions(&self) -> impl Iterator<Item = (VersionId, &'a Version)> {
        let snapshot = self.snapshot;
        let releases = self.target.releases.iter().flat_map(|releases| releases.targets());
        releases.filter_map(move |release| {
            Some((release.version, &**snapshot.objects.versions.get(&release.version)?))
        })
    }

    /// True of its versions, those among them that no release leads to any more.
    fn has(&self, version: &VersionId) -> bool {
        let known = self.snapshot.objects.versions.get(version);
        known.is_some_and(|known| known.function == self.target.name)
            || self.before.is_some_and(|before| before.plan.versions.contains_key(version))
    }

    /// Goes on from what another leader has wished for.
    fn scaler(&self, version: &VersionId, now: Moment) -> Scaler {
        let placed = self.before.and_then(|before| before.plan.versions.get(version));
        placed.map_or_else(Scaler::default, |placed| Scaler::resumed(now.second, placed.wish))
    }

    /// A version that serves a lane alone is kept where that is.
    fn group(&self, version: &VersionId) -> Group {
        let release = self.snapshot.objects.releases.get(&self.target.name);
        let Some(release) = release else { return Group::BASE };
        let is_everybodys = release.stable == *version
            || release.shares.iter().any(|share| share.version == *version);
        let mut lanes = release.lanes.iter().filter(|(_, of)| !is_everybodys && *of == version);
        lanes.next().map_or(Group::BASE, |(lane, _)| Group::lane(lane))
    }
}

impl<'a> Said<'a> {
    /// The nodes that take new work.
    pub(super) fn fleet(&self) -> Vec<Member<'a>> {
        let takes = self.registered.iter().filter(|(_, node)| !node.is_draining);
        let member = |(name, node): (&'a String, &'a Registration)| Member {
            name,
            facts: NodeFacts::new(name, node.capacity_mib, node.labels.clone()),
            runtimes: &node.runtimes,
        };
        takes.map(member).collect()
    }

    /// What nodes say of the versions of a function; those that drain still have some.
    fn reports(&self, about: &About<'_>) -> BTreeMap<&'a str, NodeReport> {
        let report = |name: &String| {
            let Some(said) = self.nodes.get(name) else { return NodeReport::default() };
            let own = said.versions.iter().filter(|(version, _)| about.has(version));
            NodeReport { heard: said.heard, versions: own.map(|(id, it)| (*id, *it)).collect() }
        };
        self.registered.keys().map(|name| (name.as_str(), report(name))).collect()
    }

    /// What all sandboxes of a version bear, and how many there are.
    fn load(&self, id: &VersionId, reports: &BTreeMap<&str, NodeReport>) -> (Load, u32) {
        let mut load = Load::default();
        for asked in self.gateways.values().filter_map(|report| report.get(id)) {
            load.in_flight += asked.in_flight;
            load.per_second += asked.per_second;
        }
        let mut alive = 0;
        for holds in reports.values().filter_map(|report| report.versions.get(id)) {
            alive += holds.alive;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let (cpu, memory) = (holds.cpu_millis as f64, holds.memory_bytes as f64);
            load.cpu_millis += cpu;
            load.memory_bytes += memory;
        }
        (load, alive)
    }
}

/// Who may have a version, in the order in which gateways ask: the nearest that there are to its group.
fn order<'a>(
    fleet: &[Member<'a>],
    group: Group,
    (id, version): (&VersionId, &Version),
    wish: &Wish,
) -> Vec<&'a str> {
    let starts = version.runtime.word();
    let can = |node: &Member<'_>| node.runtimes.iter().any(|runtime| runtime == starts);
    let able = || fleet.iter().enumerate().filter(|(_, node)| can(node));
    let nearest = able().map(|(_, node)| group.tier(&node.facts)).min();
    let near = able().filter(|(_, node)| Some(group.tier(&node.facts)) == nearest);
    let listed = LISTED + wish.count as usize;
    let order = rank_of(listed, key(id), near.map(|(n, node)| (n, &node.facts)), group);
    order.iter().map(|n| fleet[*n].name).collect()
}

fn figures(plan: &Plan, reports: &BTreeMap<&str, NodeReport>) -> [u32; 3] {
    let kept = |placed: &Placed| placed.nodes.values().map(|share| share.keep).sum::<u32>();
    let wished = plan.versions.values().map(|placed| placed.wish).sum();
    let alive = reports.values().flat_map(|report| report.versions.values()).map(|it| it.alive);
    // Where there may not be more, more nodes would not help.
    let is_bound = |placed: &&Placed| placed.because == Because::Max.word();
    let unplaced = plan.versions.values().filter(|placed| !is_bound(placed));
    let unplaced = unplaced.map(|placed| placed.wish.saturating_sub(kept(placed)));
    [wished, alive.sum(), unplaced.sum()]
}
