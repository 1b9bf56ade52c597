//! `make soak`: a hundred functions, random load with clients that hang up, sandboxes that come and go all the time.
//! Nothing may fail, nothing may be left, nothing may grow.
//!
//! `DURATION` says how long (`60s`, `10m`, which is the default), `CLIENTS` how many at once. Reading order: [`fleet`] the
//! functions, [`load`] the clients, [`watch`] what is measured meanwhile, here the claims.

mod fleet;
mod load;
mod report;
mod watch;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Up, duration, eventually};

use crate::fleet::Fleet;
use crate::load::Tally;
use crate::watch::{Sample, Watch};

const DEFAULT_DURATION: Duration = Duration::from_secs(600);

/// Enough to have several in every popular sandbox, few enough that two cores are not the limit.
const DEFAULT_CLIENTS: usize = 24;

/// What the daemon may have grown from the first third to the last: allocators round.
const GROWTH_BYTES: u64 = 4 << 20;

/// How long the daemon is looked at when nobody asks for anything, and how often.
const WHILE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 50;

#[test]
#[ignore = "takes ten minutes: make soak runs it"]
fn a_hundred_functions_under_random_load_fail_no_request_and_leave_nothing() {
    let duration = env::var("DURATION").map_or(DEFAULT_DURATION, |text| duration(&text));
    let clients = env::var("CLIENTS")
        .map_or(DEFAULT_CLIENTS, |text| text.parse().expect("CLIENTS is a number"));
    let fleet = Fleet::new();
    let project = fleet.project();
    let mut up = Up::start_with(&project, &["--cores", "2"]);
    fleet.call_each(&up);
    let before = at_rest(&mut up);

    let watch = Watch::start(&up);
    let begun = Instant::now();
    let tally = load::run(&fleet, &up, clients, begun + duration);
    let took = begun.elapsed();
    let samples = watch.stop();
    let after = at_rest(&mut up);

    report::print(&report::Soak {
        fleet: &fleet,
        up: &up,
        tally: &tally,
        took,
        samples: &samples,
        before,
        after,
    });
    assert_good(&tally, &samples, before, after);
    up.stop();
}

fn assert_good(tally: &Tally, samples: &[Sample], before: Rest, after: Rest) {
    assert!(tally.failures.is_empty(), "{} requests failed: {:#?}", tally.failed, tally.failures);
    assert!(after.descriptors <= before.descriptors, "descriptors: {before:?}, then {after:?}");
    assert!(after.groups <= before.groups, "control groups: {before:?}, then {after:?}");
    let third = samples.len() / 3;
    let (first, last) =
        (watch::resident(&samples[..third]), watch::resident(&samples[2 * third..]));
    assert!(last <= first + GROWTH_BYTES, "the daemon has grown from {first} to {last} bytes");
}

/// What the daemon holds while nobody asks for anything. What is prepared for next starts is taken off: it follows the
/// load, two processes, four descriptors and a group each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) descriptors: usize,
    pub(crate) groups: usize,
}

/// Waits until every slot is back and every sandbox reaped; then the least that the daemon holds within a while, for
/// connections to what has ended are swept once a second.
fn at_rest(up: &mut Up) -> Rest {
    eventually("no request anywhere", || {
        let status = up.admin.status();
        let rows = status["functions"].as_array().expect("a list");
        rows.iter().all(|row| row["in_flight"] == 0 && row["queued"] == 0).then_some(())
    });
    eventually("the end of the last sandbox", || up.admin.sandboxes().is_empty().then_some(()));
    let looks = (0..LOOKS).map(|_| {
        thread::sleep(WHILE / LOOKS);
        watch::rest(up)
    });
    let least = |a: Rest, b: Rest| Rest {
        descriptors: a.descriptors.min(b.descriptors),
        groups: a.groups.min(b.groups),
    };
    looks.reduce(least).expect("there are looks")
}
