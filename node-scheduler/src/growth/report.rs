//! What a node says of versions whose functions grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hatchway_proto::growth::{Holds, NodeReport};
use hatchway_proto::name::SandboxId;

use super::Growing;
use crate::hatch::ProcessHatchery;
use crate::pool::{Load, Pool, SandboxStatus};

/// What differs by less than such a part of it is not said again.
const NEWS_PERCENT: u64 = 5;

/// Remembers what sandboxes had used, to tell what they use.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    cpu: BTreeMap<SandboxId, Duration>,
    at: Option<Instant>,
}

impl Reporter {
    /// What there is of the versions that grow.
    pub(super) fn look(&mut self, pool: &Pool<ProcessHatchery>, growing: &Growing) -> NodeReport {
        // In this order: whatever is started after the plans were kept is seen with them.
        let heard = pool.plans_kept();
        if growing.is_empty() {
            return NodeReport { heard, ..NodeReport::default() };
        }
        let load = pool.load();
        let room = |version| pool.version(version).map_or(0, |pool| room(&load, pool.version()));
        let holds = |version| Holds { room: room(version), ..Holds::default() };
        let mut versions: BTreeMap<_, _> = growing.keys().map(|id| (*id, holds(id))).collect();
        let elapsed = self.at.replace(Instant::now()).map(|at| at.elapsed());
        let mut cpu = BTreeMap::new();
        for sandbox in pool.sandboxes() {
            let Some(holds) = versions.get_mut(&sandbox.version) else { continue };
            self.count(&sandbox, holds, elapsed);
            cpu.extend(sandbox.usage.map(|usage| (sandbox.id, usage.cpu)));
        }
        self.cpu = cpu;
        NodeReport { heard, versions }
    }

    fn count(&self, sandbox: &SandboxStatus, holds: &mut Holds, elapsed: Option<Duration>) {
        // One that ends runs nothing any more.
        if sandbox.phase == "ending" {
            return;
        }
        holds.alive += 1;
        let Some(usage) = sandbox.usage else { return };
        holds.memory_bytes += usage.memory_bytes;
        let before = self.cpu.get(&sandbox.id).copied().unwrap_or(usage.cpu);
        let used = usage.cpu.saturating_sub(before).as_micros() * 1000;
        let millis = used / elapsed.map_or(u128::MAX, |elapsed| elapsed.as_micros().max(1));
        holds.cpu_millis += u64::try_from(millis).unwrap_or_default();
    }
}

/// Sandboxes more that would fit without anybody making room.
fn room(load: &Load, version: &hatchway_proto::catalog::Version) -> u32 {
    if load.is_draining {
        return 0;
    }
    let fits = |budget: u64, taken: u64, each: u64| budget.saturating_sub(taken) / each.max(1);
    let resources = &version.resources;
    let memory = fits(load.memory_budget_bytes, load.memory_reserved_bytes, resources.memory_bytes);
    let cpu = fits(load.cpu_budget_millis, load.cpu_reserved_millis, resources.cpu_millis.into());
    u32::try_from(memory.min(cpu)).unwrap_or(u32::MAX)
}

/// Whether the others have to hear of it: at once of what is counted, and of what is measured when it has really changed.
pub(super) fn is_news(said: &NodeReport, now: &NodeReport) -> bool {
    let differs = |a: u64, b: u64| a.abs_diff(b) > a.max(b) * NEWS_PERCENT / 100;
    let has_changed = |(said, now): (&Holds, &Holds)| {
        said.alive != now.alive
            || (said.room == 0) != (now.room == 0)
            || differs(said.room.into(), now.room.into())
            || differs(said.cpu_millis, now.cpu_millis)
            || differs(said.memory_bytes, now.memory_bytes)
    };
    said.heard != now.heard
        || !said.versions.keys().eq(now.versions.keys())
        || said.versions.values().zip(now.versions.values()).any(has_changed)
}

#[cfg(test)]
mod tests {
    use hatchway_proto::name::VersionId;

    use super::*;

    #[test]
    fn a_count_is_news_and_a_little_memory_is_not() {
        let version = VersionId::parse("0123456789abcdef").expect("it is an id");
        let said = Holds { alive: 2, room: 40, cpu_millis: 1000, memory_bytes: 1000 };
        let report = |holds| NodeReport { heard: 1, versions: [(version, holds)].into() };
        for (now, is) in [
            (said, false),
            (Holds { alive: 3, ..said }, true),
            (Holds { room: 39, ..said }, false),
            (Holds { room: 0, ..said }, true),
            (Holds { memory_bytes: 1040, ..said }, false),
            (Holds { cpu_millis: 1060, ..said }, true),
        ] {
            assert_eq!(is_news(&report(said), &report(now)), is, "{now:?}");
        }
        assert!(is_news(&report(said), &NodeReport { heard: 2, ..report(said) }));
        assert!(is_news(&report(said), &NodeReport { heard: 1, ..NodeReport::default() }));
    }
}
