//! How a function grows and shrinks over all nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units;

/// By what a function grows, and how far: over all nodes together. One gateway of all decides once a second how many sandboxes are
/// kept ready where; what a node starts for requests that wait already it starts by itself. It needs etcd: where the rules
/// are in a file, each node goes by `min` and `max` of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Sandboxes of its stable version that are kept ready on all nodes together.
    #[serde(default)]
    pub min: u32,
    /// Sandboxes at most on all nodes together, those of all its versions. Each node has its own `max` beside it. No limit
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Requests in flight that fill one sandbox, 1..=65535; the version's `concurrency` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u16>,
    /// Requests a second that fill one sandbox; not looked at when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// It grows when sandboxes are so full of requests, in percent: 70 when absent.
    #[serde(default = "early")]
    pub early_percent: u8,
    /// It grows when sandboxes take so much of their processor time, in percent; not looked at when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u8>,
    /// It grows when sandboxes take so much of their memory, in percent; not looked at when absent. One that takes as much while it
    /// does nothing makes it grow up to `max`, which has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u8>,
    /// The time over which a load is averaged before the function shrinks; a tenth of it is what growing goes by. "60s" when
    /// absent.
    #[serde(default = "window", with = "units::duration")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// It shrinks to what was enough for so long; "30s" when absent.
    #[serde(default = "delay", with = "units::duration")]
    #[schemars(with = "String")]
    pub delay: Duration,
    /// Times at which more are kept ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Timed>,
}

/// A time that comes back, at which more sandboxes are kept ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// When it begins, as cron writes it: minute, hour, day of the month, month, day of the week. `"0 8 * * MON-FRI"`.
    pub cron: String,
    /// How long it lasts, at most a week.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub long: Duration,
    /// Sandboxes that are kept ready meanwhile.
    pub min: u32,
    /// Whose clock is meant, by its name in the IANA database: `"Europe/Berlin"`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A start takes about as long as the rest takes to fill.
const fn early() -> u8 {
    70
}

/// Knative's stable window: a burst a minute keeps its sandboxes.
const fn window() -> Duration {
    Duration::from_secs(60)
}

/// So that a load that comes and goes every half minute starts nothing anew.
const fn delay() -> Duration {
    Duration::from_secs(30)
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            min: 0,
            max: None,
            in_flight: None,
            requests_per_second: None,
            early_percent: early(),
            cpu_percent: None,
            memory_percent: None,
            window: window(),
            delay: delay(),
            schedule: Vec::new(),
        }
    }
}
