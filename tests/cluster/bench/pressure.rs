//! A burst on a function that has no sandbox, and three times as much as can be served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{PUPPET, Project, Raw, eventually, proc, puppet};

use super::clients::{Manner, ask, exchange};
use super::{GATEWAYS, MANNER, Report, WHILE, addresses, hatches, ms};
use crate::site::Site;

const NODES: usize = 4;

/// Requests of the burst, and how many of them one process of the function runs at a time.
const BURST: usize = 1000;
const CONCURRENCY: usize = 64;

/// What one process of the other function runs at a time, of which every node has one, and how long each takes.
const SLOTS: usize = 4;
const WORK_MS: usize = 50;

fn project() -> Project {
    let burst = format!("memory = \"64MiB\"\nconcurrency = {CONCURRENCY}\nmax = 16");
    let work = format!("memory = \"64MiB\"\nconcurrency = {SLOTS}\nmax = 1\nqueue = {SLOTS}");
    let manifest = puppet("burst", &burst) + &puppet("work", &work);
    Project::new(&manifest).file("puppet.mjs", PUPPET)
}

pub(crate) fn measure(report: &mut Report) {
    let site = &Site::over(project(), NODES, GATEWAYS);
    burst(site, report);
    overload(site, report);
}

fn burst(site: &Site, report: &mut Report) {
    let gateways = addresses(site);
    let connect = |n: usize| {
        let patience = Duration::from_secs(60);
        Raw::try_connect(gateways[n % gateways.len()], patience).expect("gateways listen")
    };
    let mut clients: Vec<_> = (0..BURST).map(connect).collect();
    let (before, began) = (hatches(site), Instant::now());
    let request = "GET /burst?do=work&ms=100 HTTP/1.1\r\nHost: test\r\n\r\n";
    clients.iter_mut().for_each(|client| _ = client.send(request));
    let is_served = |client: &mut Raw| client.try_head().is_ok_and(|head| head.status == 200);
    let served = clients.iter_mut().map(is_served).filter(|is_served| *is_served).count();
    let took = began.elapsed();
    report.row(
        "a burst of 1,000 on a function at zero: answered 200",
        "1,000",
        &format!("{served} in {:.1} s", took.as_secs_f64()),
    );
    let needs = BURST.div_ceil(CONCURRENCY);
    report.row(
        "sandboxes hatched for it, of 64 requests each",
        &format!("{needs}"),
        &format!("{:.0}", hatches(site) - before),
    );
}

fn overload(site: &Site, report: &mut Report) {
    let path = |_: &mut _| format!("/work?do=work&ms={WORK_MS}");
    let slots = NODES * SLOTS;
    // As many wait as run: no slot is ever free. All nodes have theirs when the first one is over.
    let peak = Manner { clients: 2 * slots, ..MANNER };
    let [_, peak] = [(); 2].map(|()| ask(&addresses(site), peak, path).rate());
    let resident = || site.gateways.iter().map(|one| proc::resident_bytes(one.pid())).max();
    let (before, is_over) = (resident().unwrap_or_default(), AtomicBool::new(false));
    let (asked, slowest) = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                for gateway in &site.gateways {
                    let began = Instant::now();
                    gateway.admin.status();
                    slowest = slowest.max(began.elapsed());
                }
                thread::sleep(Duration::from_millis(100));
            }
            slowest
        });
        let manner = Manner { clients: 20 * slots, per_second: Some(3.0 * peak), long: 2 * WHILE };
        let asked = ask(&addresses(site), manner, path);
        is_over.store(true, Ordering::Relaxed);
        (asked, looking.join().expect("gateways answer their operators"))
    });
    report.row(
        "goodput at 3 times the most that is served (16 slots of 50 ms), over that",
        ">= 90 %",
        &format!(
            "{:.0} % ({:.0}/s of {peak:.0}/s; {:.0}/s offered)",
            100.0 * asked.rate() / peak,
            asked.rate(),
            asked.count() as f64 / asked.took.as_secs_f64()
        ),
    );
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let after = resident().unwrap_or_default();
    report.row(
        "largest gateway before and after; slowest answer to an operator",
        "flat; answers",
        &format!("{}, {}; {}", mib(before), mib(after), ms(Some(slowest))),
    );
    let mut client = Raw::try_connect(addresses(site)[0], WHILE).expect("it listens");
    eventually("it is as before", || {
        exchange(&mut client, "/work").is_ok_and(|(status, _)| status == 200).then_some(())
    });
}
