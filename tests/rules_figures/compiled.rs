//! What a gateway does with rules, in this process: finds the function of a request, and takes in a change.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use hatchway_gateway::catalog::Snapshot;
use hatchway_gateway::catalog::apply::apply;
use hatchway_gateway::route::Asked;
use hatchway_proto::http1::{Limits, parse_request};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::catalog;
use crate::report::{Report, percentile};

/// Two counters beside every allocation, of which a request's way through the rules makes none.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests for different functions, more than caches hold.
const ASKED: usize = 50_000;
const ROUNDS: usize = 21;
const CHANGES: usize = 2000;

pub(crate) fn measure(count: usize, report: &mut Report) {
    let one = applied(1);
    let many = applied(count);
    let (of_one, of_many) = (resolving(&one, 1), resolving(&many, count));
    report.row(
        "finding the version of a request, over one route",
        "0.3 us",
        format!("{:.3} us ({of_many:.3} us, {of_one:.3} us with one)", of_many - of_one),
    );
    change(many, count, report);
}

fn applied(count: usize) -> Snapshot {
    let snapshot = apply(&Snapshot::default(), Arc::new(catalog::objects(count)));
    assert!(snapshot.problems.is_empty());
    snapshot
}

/// Microseconds a request, in the fastest of some rounds: in the others somebody else has had the core.
fn resolving(snapshot: &Snapshot, count: usize) -> f64 {
    let texts: Vec<String> = (0..ASKED)
        .map(|n| {
            // A large prime: no two that follow one another are neighbours.
            let n = n.wrapping_mul(7_919_999) % count;
            format!("GET /{n}/x HTTP/1.1\r\nHost: {}\r\n\r\n", catalog::host(n))
        })
        .collect();
    let limits = Limits::default();
    let heads = texts.iter().map(|text| parse_request(text.as_bytes(), &limits));
    let heads: Vec<_> = heads.map(|head| head.expect("good").expect("whole")).collect();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for head in &heads {
                let asked = Asked { head, client: None };
                let found = snapshot.resolve(asked).expect("there is a route");
                let releases = found.target.releases.as_ref().expect("there is a release");
                black_box(releases.choose(asked, (None, None), || 0).is_ok());
            }
            begun.elapsed().as_secs_f64() * 1e6 / ASKED as f64
        })
        .collect();
    percentile(&mut rounds, 0)
}

fn change(mut snapshot: Snapshot, count: usize, report: &mut Report) {
    let mut objects = (*snapshot.objects).clone();
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for n in 0..CHANGES {
        let n = n.wrapping_mul(7_919_999) % count;
        let region = Region::new(ALLOCATOR);
        let begun = Instant::now();
        let json = catalog::route(n, &format!("/changed-{n}"));
        objects.put(catalog::object(&format!("routes/route-{n}"), &json));
        let next = apply(&snapshot, Arc::new(objects.clone()));
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        let change = region.change();
        bytes.push((change.bytes_allocated - change.bytes_deallocated) as f64 / 1024.0);
        snapshot = next;
    }
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    report.row("one change, read and applied", "100 us", format!("{p50:.1} us, p99 {p99:.1} us"));
    let (p50, p99) = (percentile(&mut bytes, 50), percentile(&mut bytes, 99));
    report.row("its new memory", "64 KiB", format!("{p50:.1} KiB, p99 {p99:.1} KiB"));
}
