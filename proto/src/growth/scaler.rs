//! How many sandboxes the load of one version asks for: more at once, fewer only after a while.
//!
//! Each of four loads is a total over all sandboxes, and each has a part of it that one sandbox is meant to bear: requests in flight,
//! requests a second, processor time, memory. The load that asks for most is heard. Growing goes by the mean of a tenth of the window
//! as well as by that of the whole window, shrinking by both and by the most that was asked for during the delay. A load that doubles
//! within a tenth of the window is a panic, as Knative's autoscaler has it: nothing shrinks until a whole window has passed since.

use std::collections::VecDeque;

use super::window::Window;
use crate::catalog::{Growth, Version};

/// Where the short mean asks for so many times what there is, nothing shrinks for a window (Knative's `panic-threshold-percentage`).
const PANIC_TIMES: u32 = 2;

/// The short window is such a part of the long one (Knative's `panic-window-percentage`).
const SHORT_PART: u64 = 10;

/// At most such a part is given up in one second (Knative's `max-scale-down-rate`).
const SHRINK_PART: u32 = 2;

/// What all sandboxes of a version bear together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Requests in flight, those that wait among them.
    pub in_flight: f64,
    /// Requests a second.
    pub per_second: f64,
    /// Thousandths of a core.
    pub cpu_millis: f64,
    /// Memory in bytes.
    pub memory_bytes: f64,
}

/// What one sandbox is meant to bear; none where it does not matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    in_flight: f64,
    per_second: Option<f64>,
    cpu_millis: Option<f64>,
    memory_bytes: Option<f64>,
    long: u64,
    delay: u64,
}

impl Targets {
    /// Of a version whose function grows by `growth`.
    pub fn new(growth: &Growth, version: &Version) -> Self {
        let part = |of: f64, percent: u8| of * f64::from(percent.clamp(1, 100)) / 100.0;
        let in_flight = growth.in_flight.unwrap_or(version.concurrency).max(1);
        let early = growth.early_percent;
        let resources = &version.resources;
        #[expect(clippy::cast_precision_loss, reason = "memory far below 2^53 bytes")]
        let memory = resources.memory_bytes.max(1) as f64;
        let cpu = f64::from(resources.cpu_millis.max(1));
        Self {
            in_flight: part(in_flight.into(), early),
            per_second: growth.requests_per_second.map(|rate| part(rate.max(1).into(), early)),
            cpu_millis: growth.cpu_percent.map(|percent| part(cpu, percent)),
            memory_bytes: growth.memory_percent.map(|percent| part(memory, percent)),
            long: growth.window.as_secs().max(1),
            delay: growth.delay.as_secs(),
        }
    }

    fn short(&self) -> u64 {
        (self.long / SHORT_PART).max(1)
    }
}

/// How many, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Sandboxes that should be ready.
    pub count: u32,
    /// What asks for them.
    pub because: Because,
}

/// What asks for sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Nothing does.
    Quiet,
    /// Requests in flight.
    InFlight,
    /// Requests a second.
    PerSecond,
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// What was asked for during the delay.
    Delay,
    /// The load has doubled not long ago.
    Panic,
    /// So many are always kept.
    Min,
    /// So many are kept at this time.
    Schedule,
    /// There may not be more.
    Max,
}

impl Because {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Quiet => "no load",
            Self::InFlight => "requests in flight",
            Self::PerSecond => "requests a second",
            Self::Cpu => "processor time",
            Self::Memory => "memory",
            Self::Delay => "the load of a moment ago",
            Self::Panic => "a burst not long ago",
            Self::Min => "min",
            Self::Schedule => "the schedule",
            Self::Max => "max",
        }
    }
}

/// The loads of one version over time, and what they have asked for.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    loads: [Window; 4],
    /// What was asked for in each second of the delay.
    asked: VecDeque<(u64, u32)>,
    /// The last second of a panic, and the most that it has asked for.
    panic: Option<(u64, u32)>,
    last: u32,
}

impl Scaler {
    /// Takes over from somebody else, who wished for so many: they are not given up before the delay.
    pub fn resumed(second: u64, count: u32) -> Self {
        Self { asked: VecDeque::from([(second, count)]), last: count, ..Self::default() }
    }

    /// How many sandboxes should be ready, `alive` of which are. Once a second, with the mean load of that second; `second` counts by
    /// any clock that does not go back.
    pub fn wish(&mut self, second: u64, load: Load, alive: u32, targets: &Targets) -> Wish {
        let values = [load.in_flight, load.per_second, load.cpu_millis, load.memory_bytes];
        for (window, value) in self.loads.iter_mut().zip(values) {
            window.put(second, value, targets.long);
        }
        let (short, because) = self.needed(second, targets.short(), targets);
        let (long, because_long) = self.needed(second, targets.long, targets);
        let now = if long > short { (long, because_long) } else { (short, because) };

        if short >= alive.max(1).saturating_mul(PANIC_TIMES) {
            let most = self.panic.map_or(0, |(_, most)| most);
            self.panic = Some((second + targets.long, most));
        }
        self.panic = self.panic.filter(|(until, _)| *until > second);
        if let Some((_, most)) = &mut self.panic {
            *most = now.0.max(*most);
        }

        self.asked.retain(|(at, _)| at + targets.delay >= second);
        let before = self.asked.iter().map(|(_, count)| *count).max().unwrap_or_default();
        self.asked.push_back((second, now.0));

        let panicking = self.panic.map_or(0, |(_, most)| most);
        let slowly = self.last.div_ceil(SHRINK_PART).min(self.last.saturating_sub(1));
        let all = [
            (now.0, now.1),
            (before, Because::Delay),
            (panicking, Because::Panic),
            (slowly, Because::Delay),
        ];
        // Of equal ones the first gives the reason.
        let (count, because) = all.into_iter().rev().max_by_key(|(count, _)| *count).unwrap_or(now);
        self.last = count;
        Wish { count, because }
    }

    /// What the mean loads of the last `over` seconds ask for.
    fn needed(&self, second: u64, over: u64, targets: &Targets) -> (u32, Because) {
        let each = [
            (Some(targets.in_flight), Because::InFlight),
            (targets.per_second, Because::PerSecond),
            (targets.cpu_millis, Because::Cpu),
            (targets.memory_bytes, Because::Memory),
        ];
        let mut most = (0, Because::Quiet);
        for (window, (target, because)) in self.loads.iter().zip(each) {
            let Some(target) = target else { continue };
            let count = sandboxes(window.mean(second, over), target);
            if count > most.0 {
                most = (count, because);
            }
        }
        most
    }
}

/// Those that bear `load` together. What is no more than a rounding of the mean asks for nobody.
fn sandboxes(load: f64, target: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer that there is"
    )]
    let count = (load / target - 1e-9).ceil() as u32;
    count
}

impl Wish {
    /// Within what is kept in any case and what may be.
    #[must_use]
    pub fn within(self, growth: &Growth, scheduled: u32) -> Self {
        let mut wish = self;
        for (min, because) in [(growth.min, Because::Min), (scheduled, Because::Schedule)] {
            if wish.count < min {
                wish = Self { count: min, because };
            }
        }
        match growth.max {
            Some(max) if wish.count > max => Self { count: max, because: Because::Max },
            Some(_) | None => wish,
        }
    }
}

#[cfg(test)]
mod tests;
