//! Requests while a thousand rules change every second, beside requests while etcd is as busy with keys that are nobody's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hatchway_tests::{Etcd, GatewayProgram};

use crate::catalog::{self, PREFIX, connect, runtime};
use crate::fleet::asks;
use crate::report::{Report, percentile};

/// Ten changes every ten milliseconds.
const TOGETHER: usize = 10;
const EVERY: Duration = Duration::from_millis(10);

/// Requests of one client that does not wait for its turn: as many as there are of changes.
const PACE: Duration = Duration::from_millis(1);

/// So often each of both takes its turn: what else the machine does is shared out.
const TURNS: u32 = 6;

pub(crate) fn measure(gateway: &GatewayProgram, etcd: &Etcd, lasts: Duration, report: &mut Report) {
    let (mut calm, mut stormy, mut changes) = (Vec::new(), Vec::new(), 0);
    for turn in 0..TURNS {
        let length = lasts / TURNS;
        calm.extend(turn_of(gateway, etcd, "/nobody/v1/", turn, length).0);
        let (times, written) = turn_of(gateway, etcd, PREFIX, turn, length);
        stormy.extend(times);
        changes += written;
    }
    let rate = changes as f64 / lasts.as_secs_f64();
    let (before, after) = (percentile(&mut calm, 99), percentile(&mut stormy, 99));
    let figure = format!(
        "{:+.1} % ({before:.0} us, then {after:.0} us; medians {:.0} us, {:.0} us) at {rate:.0} a second",
        (after / before - 1.0) * 100.0,
        percentile(&mut calm, 50),
        percentile(&mut stormy, 50),
    );
    report.row("p99 of requests while 1,000 rules change each second", "+5 %", figure);
}

/// Microseconds of each request, and how many changes there were.
fn turn_of(
    gateway: &GatewayProgram,
    etcd: &Etcd,
    prefix: &str,
    turn: u32,
    length: Duration,
) -> (Vec<f64>, usize) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| runtime().block_on(write(etcd, prefix, turn, &is_over)));
        let (mut raw, mut times) = (gateway.raw(), Vec::new());
        let begun = Instant::now();
        let mut due = begun;
        while begun.elapsed() < length {
            due += PACE;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            assert_eq!(asks(&mut raw, "test", "/answered"), 308);
            times.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        is_over.store(true, Ordering::Relaxed);
        (times, writer.join().expect("etcd takes every change"))
    })
}

async fn write(etcd: &Etcd, prefix: &str, turn: u32, is_over: &AtomicBool) -> usize {
    let client = connect(etcd).await;
    let mut tick = tokio::time::interval(EVERY);
    let mut written = 0;
    while !is_over.load(Ordering::Relaxed) {
        tick.tick().await;
        let puts = (0..TOGETHER).map(|index| {
            let n = (written + index) % 1000;
            let value = catalog::route(n, &format!("/storm-{turn}-{written}"));
            let mut client = client.clone();
            async move { client.put(format!("{prefix}routes/route-{n}"), value, None).await }
        });
        try_join_all(puts).await.expect("etcd takes it");
        written += TOGETHER;
    }
    written
}
