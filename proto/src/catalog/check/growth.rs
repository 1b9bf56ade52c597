//! What is wrong with the growth of a function.

use std::time::Duration;

use super::Found;
use crate::catalog::Growth;
use crate::growth::schedule;

/// More than any fleet has.
const MOST: u32 = 100_000;

/// What is averaged over less is chance; over more, nobody would see it shrink.
const WINDOW: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3600));

/// Times of one function.
const TIMES: usize = 32;

/// Adds what is wrong with `growth`.
pub(super) fn growth(found: &mut Found, growth: &Growth) {
    let mut within = |field: &str, value: u64, (low, high): (u64, u64)| {
        if !(low..=high).contains(&value) {
            found.add(format!("growth.{field}"), format!("{value} is not from {low} to {high}"));
        }
    };
    let most = growth.max.unwrap_or(MOST);
    within("max", most.into(), (1, MOST.into()));
    within("min", growth.min.into(), (0, most.into()));
    for (field, value) in [
        ("in_flight", growth.in_flight.map(u64::from)),
        ("requests_per_second", growth.requests_per_second.map(u64::from)),
    ] {
        within(field, value.unwrap_or(1), (1, u32::MAX.into()));
    }
    within("early_percent", growth.early_percent.into(), (1, 100));
    within("cpu_percent", growth.cpu_percent.unwrap_or(1).into(), (1, 100));
    within("memory_percent", growth.memory_percent.unwrap_or(1).into(), (1, 100));
    if growth.memory_percent.is_some() && growth.max.is_none() {
        let why =
            "needs a `max`: sandboxes that take memory while they do nothing grow without end";
        found.add("growth.memory_percent", why);
    }
    let (low, high) = WINDOW;
    if !(low..=high).contains(&growth.window) {
        found.add("growth.window", "is not from 6s to 1h");
    }
    if growth.delay > high {
        found.add("growth.delay", "is longer than 1h");
    }
    if growth.schedule.len() > TIMES {
        found.add("growth.schedule", format!("has more than {TIMES} times"));
    }
    for (index, timed) in growth.schedule.iter().enumerate() {
        if let Err(error) = schedule::check(timed, most) {
            found.add(format!("growth.schedule[{index}].{}", error.field()), error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let timed = |cron: &str| json!({"schedule": [{"cron": cron, "long": "1h", "min": 2}]});
        for (value, expected) in [
            (json!({"min": 4, "max": 40}), ""),
            (json!({"min": 4, "max": 3}), "growth.min: 4 is not from 0 to 3"),
            (json!({"max": 0}), "growth.max: 0 is not from 1"),
            (json!({"early_percent": 0}), "growth.early_percent: 0 is not from 1 to 100"),
            (json!({"memory_percent": 80}), "growth.memory_percent: needs a `max`"),
            (json!({"memory_percent": 80, "max": 2}), ""),
            (json!({"window": "5s"}), "growth.window: is not from 6s to 1h"),
            (timed("0 8 * * MON-FRI"), ""),
            (timed("0 25 * * *"), "growth.schedule[0].cron: \"0 25 * * *\" is no time of cron"),
            (
                json!({"schedule": [{"cron": "0 8 * * *", "long": "1h", "min": 2, "zone": "Mars"}]}),
                "growth.schedule[0].zone: \"Mars\" is no zone",
            ),
            (
                json!({"max": 1, "schedule": [{"cron": "0 8 * * *", "long": "1h", "min": 2}]}),
                "growth.schedule[0].min: 2 is more than `max`, which is 1",
            ),
            (
                json!({"schedule": [{"cron": "0 8 * * *", "long": "200h", "min": 2}]}),
                "growth.schedule[0].long: is not from 1s to a week",
            ),
        ] {
            let mut found = Found(Vec::new());
            growth(&mut found, &serde_json::from_value(value.clone()).expect("it is one"));
            let told: Vec<_> = found.0.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), usize::from(!expected.is_empty()), "{value}: {told:?}");
            assert!(told.iter().all(|told| told.starts_with(expected)), "{value}: {told:?}");
        }
    }
}
