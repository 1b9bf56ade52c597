//! What a node has, what its sandboxes take of it, and whether one more fits. Arithmetic only.
//!
//! Memory and process ids are charged as reserved until a sandbox has been measured, and as measured plus headroom from then on: most
//! functions stay far below their limits, and charging limits would leave most of a node empty. Processor time is charged for
//! sandboxes that start or run requests: an idle one takes none.

use hatchway_proto::catalog::Resources;

/// What all sandboxes of a node may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Memory.
    pub memory_bytes: u64,
    /// Thousandths of a core that there really are.
    pub cpu_millis: u64,
    /// How far processor time may be promised beyond what there is; 100 is not at all.
    pub cpu_overcommit_percent: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Budget {
    /// Measured memory above this share of the budget makes idle sandboxes go before their time: what is left is
    /// what the others may still grow by.
    const HIGH_WATER_PERCENT: u64 = 90;

    /// Where that stops. The distance keeps one sandbox at the border from being ended and hatched in turn.
    const LOW_WATER_PERCENT: u64 = 80;

    /// Thousandths of a core that may be promised.
    pub(super) fn cpu_promised_millis(&self) -> u64 {
        self.cpu_millis.saturating_mul(self.cpu_overcommit_percent) / 100
    }

    pub(super) fn high_water_bytes(&self) -> u64 {
        percent(self.memory_bytes, Self::HIGH_WATER_PERCENT)
    }

    pub(super) fn low_water_bytes(&self) -> u64 {
        percent(self.memory_bytes, Self::LOW_WATER_PERCENT)
    }
}

fn percent(of: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// What one sandbox took when it was measured last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) memory_bytes: u64,
    /// Processes and threads; 0 where they are not counted.
    pub(super) pids: u64,
}

/// What one sandbox, or all of them, take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) memory_bytes: u64,
    pub(super) cpu_millis: u64,
    pub(super) pids: u64,
}

impl Charge {
    /// What is reserved for a sandbox while nothing is known about it.
    pub(super) fn reserved(resources: &Resources) -> Self {
        Self {
            memory_bytes: resources.memory_bytes,
            cpu_millis: resources.cpu_millis.into(),
            pids: resources.pids.into(),
        }
    }

    /// What a function may start at any moment beside what runs, before the next measurement. Other than memory, processes come by
    /// handfuls: a shell and what it calls.
    const SPARE_PIDS: u64 = 8;

    /// The same once it has been measured.
    pub(super) fn measured(self, used: Used, headroom_percent: u32) -> Self {
        let headroom = percent(used.memory_bytes, headroom_percent.into());
        let memory_bytes = used.memory_bytes.saturating_add(headroom);
        let pids = match used.pids {
            0 => self.pids,
            pids => pids + percent(pids, headroom_percent.into()).max(Self::SPARE_PIDS),
        };
        Self {
            memory_bytes: memory_bytes.min(self.memory_bytes.max(used.memory_bytes)),
            pids: pids.min(self.pids.max(used.pids)),
            ..self
        }
    }

    /// The same while no request runs.
    pub(super) fn idle(self) -> Self {
        Self { cpu_millis: 0, ..self }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            pids: self.pids.saturating_add(other.pids),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            pids: self.pids.saturating_sub(other.pids),
        }
    }

    /// The first thing of which this is more than the budget.
    pub(super) fn exceeds(&self, budget: &Budget) -> Option<&'static str> {
        if self.memory_bytes > budget.memory_bytes {
            Some("memory")
        } else if self.cpu_millis > budget.cpu_promised_millis() {
            Some("cpu")
        } else if self.pids > budget.pids {
            Some("pids")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const RESERVED: Charge = Charge { memory_bytes: 128 * MIB, cpu_millis: 500, pids: 64 };

    #[test]
    fn a_measured_sandbox_is_charged_its_use_with_headroom_up_to_its_limit() {
        let of = |memory_bytes| RESERVED.measured(Used { memory_bytes, pids: 1 }, 25).memory_bytes;
        assert_eq!([40, 120, 200].map(|mib| of(mib * MIB) / MIB), [50, 128, 200]);
        let of = |pids| RESERVED.measured(Used { memory_bytes: MIB, pids }, 25).pids;
        assert_eq!([1, 40, 60, 70].map(of), [9, 50, 64, 70]);
        assert_eq!(of(0), 64, "nobody counts them");
    }

    #[test]
    fn the_first_thing_that_is_used_up_is_named() {
        let budget = Budget {
            memory_bytes: 256 * MIB,
            cpu_millis: 1000,
            cpu_overcommit_percent: 150,
            pids: 1000,
        };
        let two = RESERVED.plus(RESERVED);
        assert_eq!(two.exceeds(&budget), None);
        assert_eq!(two.plus(RESERVED).exceeds(&budget), Some("memory"));
        assert_eq!(Charge { cpu_millis: 1501, ..two }.exceeds(&budget), Some("cpu"));
        assert_eq!(Charge { pids: 1001, ..two }.exceeds(&budget), Some("pids"));
    }
}
