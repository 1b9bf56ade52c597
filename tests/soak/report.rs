//! The summary, as a table.

use std::time::Duration;

use hatchway_tests::Up;

use crate::Rest;
use crate::fleet::Fleet;
use crate::load::Tally;
use crate::watch::{self, Sample};

/// Everything that is told.
pub(crate) struct Soak<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) up: &'a Up,
    pub(crate) tally: &'a Tally,
    pub(crate) took: Duration,
    pub(crate) samples: &'a [Sample],
    pub(crate) before: Rest,
    pub(crate) after: Rest,
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("  {name:<34} {value}");
}

pub(crate) fn print(soak: &Soak<'_>) {
    let seconds = soak.took.as_secs_f64();
    let total: u64 = soak.tally.done.values().sum();
    println!("\nsoak: {} functions, {seconds:.0} s", soak.fleet.functions.len());
    row("requests", format!("{total} ({:.0} a second)", total as f64 / seconds));
    for (what, count) in &soak.tally.done {
        row(&format!("  {what}"), count);
    }
    row("failed", soak.tally.failed);
    let mut latencies = soak.tally.latencies_us.clone();
    latencies.sort_unstable();
    let millis = |share: f64| quantile(&latencies, share) as f64 / 1000.0;
    row(
        "latency, cold starts included",
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
            millis(0.5),
            millis(0.99),
            millis(0.999)
        ),
    );
    life(soak);
    memory(soak.samples);
    row(
        "descriptors at rest",
        format!("{} before, {} after", soak.before.descriptors, soak.after.descriptors),
    );
    row(
        "control groups at rest",
        format!("{} before, {} after", soak.before.groups, soak.after.groups),
    );
    println!();
}

fn life(soak: &Soak<'_>) {
    let metrics = soak.up.admin.metrics();
    let count = |name| metrics.sum(name, &[]);
    row("sandboxes hatched", count("node_hatches_total"));
    row("  reaped", count("node_reaps_total"));
    row("  died", count("node_deaths_total"));
    let most = soak.samples.iter().map(|sample| sample.sandboxes).max();
    row("  alive at a time, at most", most.unwrap_or_default());
}

fn memory(samples: &[Sample]) {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let third = samples.len() / 3;
    let parts = [
        ("first third", &samples[..third]),
        ("second third", &samples[third..2 * third]),
        ("last third", &samples[2 * third..]),
    ];
    for (part, samples) in parts {
        let spawner = samples.iter().map(|sample| sample.spawner_bytes).max().unwrap_or_default();
        let open = samples.iter().map(|sample| sample.descriptors).max().unwrap_or_default();
        row(
            &format!("resident memory, {part}"),
            format!(
                "{} (median), spawner {}, {open} descriptors at most",
                mib(watch::resident(samples)),
                mib(spawner)
            ),
        );
    }
    let ends = [samples.first(), samples.get(samples.len() / 2), samples.last()];
    let shown: Vec<_> = ends
        .iter()
        .flatten()
        .map(|sample| format!("{} at {:.0} s", mib(sample.resident_bytes), sample.at.as_secs_f64()))
        .collect();
    row("resident memory, start/middle/end", shown.join(", "));
}

fn quantile(sorted: &[u64], share: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let index = (last as f64 * share) as usize;
    sorted.get(index).copied().unwrap_or_default()
}
