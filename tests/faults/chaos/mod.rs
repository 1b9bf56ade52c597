//! `make chaos`: everything that can go wrong does, by a schedule that a seed draws, while clients go on calling; and what the design
//! promises is looked at all the while.
//!
//! [`schedule`] says what and when, [`act`] does it, [`load`] are the clients, [`watch`] looks at the programs, and [`judge`] holds
//! what became of every call against what was promised.

mod act;
mod judge;
mod load;
mod schedule;
mod watch;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::duration;
use hatchway_tests::hosts::on_hosts;

use self::judge::{Verdict, Window};
use self::load::{Call, Load};
use self::schedule::{Fault, Fleet, Schedule, Step};
use self::watch::{Seen, Watch};
use crate::caller::Outcome;
use crate::site::Site;

const FLEET: Fleet = Fleet { nodes: 4, gateways: 3 };
const FUNCTIONS: usize = 12;
const CLIENTS: u64 = 16;

/// What a program may have grown from the first third of the time to the last: allocators round.
const GROWTH_BYTES: u64 = 8 << 20;

/// The longest that an operator waits for a gateway's answer, on a machine that is busy.
const ADMIN: Duration = Duration::from_secs(5);

#[test]
#[ignore = "takes ten minutes: make chaos runs it"]
fn what_is_promised_is_held_whatever_goes_wrong() {
    let long = env::var("DURATION").map_or(Duration::from_secs(600), |text| duration(&text));
    let seed = env::var("SEED").map_or(1, |text| text.parse().expect("SEED is a number"));
    on_hosts("what_is_promised_is_held_whatever_goes_wrong", seed, |network, _| {
        let site = Site::start(network, 0..FUNCTIONS, FLEET.nodes, FLEET.gateways);
        let verdicts = run(site, seed, long);
        println!("\nseed {seed}, {} s\n\n| promise | |\n|---|---|", long.as_secs());
        for Verdict { promise, against } in &verdicts {
            let held = if against.is_empty() { "held" } else { "VIOLATED" };
            println!("| {promise} | {held} |");
        }
        let against: Vec<_> = verdicts.iter().flat_map(|verdict| &verdict.against).collect();
        assert!(against.is_empty(), "seed {seed}: {against:#?}");
    });
}

fn run(mut site: Site<'_>, seed: u64, long: Duration) -> Vec<Verdict> {
    (0..FUNCTIONS).for_each(|function| _ = site.home(function));
    let gateways = site.gateways.iter().map(|machine| machine.host.at(8080)).collect();
    let (begun, watch) = (Instant::now(), Watch::start());
    watch.follow(&site);
    let load = Load::start(seed, CLIENTS, FUNCTIONS, gateways);
    let mut windows = Vec::new();
    for step in Schedule::new(seed, FLEET) {
        if begun.elapsed() + step.pause + step.holds > long {
            break;
        }
        windows.extend(take(&mut site, step, &watch, &load));
    }
    thread::sleep(long.saturating_sub(begun.elapsed()));
    let (calls, seen) = (load.end(), watch.end());
    tell(&calls, &windows, &seen, begun);

    let mut verdicts = judge::judge(&calls, &site.book, &windows, begun);
    verdicts.push(agreement(&site));
    verdicts.push(memory(&seen));
    let late = seen.answers.iter().filter(|took| **took > ADMIN).map(|took| format!("{took:?}"));
    let promise = format!("gateways answer operators within {} s", ADMIN.as_secs());
    verdicts.push(Verdict { promise, against: late.collect() });
    let is_clean = catch_unwind(AssertUnwindSafe(|| drop(site)));
    verdicts.push(Verdict {
        promise: "all end when they are asked to, and leave nothing".to_owned(),
        against: is_clean.err().map(|_| "see the panic above".to_owned()).into_iter().collect(),
    });
    verdicts
}

/// One step: wrong, and right again.
fn take(site: &mut Site<'_>, step: Step, watch: &Watch, load: &Load) -> Vec<Window> {
    thread::sleep(step.pause);
    let faults: Vec<Fault> = [Some(step.fault), step.beside].into_iter().flatten().collect();
    watch.look_away();
    if let Fault::GatewayDrained { gateway } = step.fault {
        load.pass_over(Some(gateway));
    }
    let began: Vec<_> = faults
        .iter()
        .map(|fault| {
            let began = Instant::now();
            site.befall(*fault);
            began
        })
        .collect();
    watch.follow(site);
    thread::sleep(step.holds);
    watch.look_away();
    // etcd first: without it nobody hears of a node that has come back as another.
    let healed = Instant::now();
    faults.iter().rev().for_each(|fault| site.heal(*fault));
    site.wait_for_all();
    let whole = Instant::now();
    watch.follow(site);
    load.pass_over(None);
    let of = faults.into_iter().zip(began);
    of.map(|(fault, began)| Window { fault, began, healed, whole }).collect()
}

fn tell(calls: &[Call], windows: &[Window], seen: &Seen, begun: Instant) {
    println!("\n| at | | for | hurt somebody for | all well again after |\n|--:|---|--:|--:|--:|");
    for window in windows {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        println!(
            "| {} | {} | {} | {} | {} |",
            seconds(window.began - begun),
            window.fault,
            seconds(window.healed - window.began),
            window.hurt(calls).map_or_else(String::new, seconds),
            seconds(window.whole - window.healed),
        );
    }
    let failed = calls.iter().filter(|call| call.outcome != Outcome::Served).count();
    let mut took: Vec<_> =
        calls.iter().map(|call| call.took.saturating_sub(Duration::from_millis(call.ms))).collect();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "\n{} calls, {failed} failed; beyond what the function wanted p50 {:.1} ms, p99 {:.1} ms; {} faults",
        calls.len(),
        at(50),
        at(99),
        windows.len()
    );
    let longest = seen.answers.iter().max().copied().unwrap_or_default();
    println!("operators were answered {} times, within {longest:.1?}", seen.answers.len());
}

/// When all is well again, every function has one node again, whichever gateway is asked.
fn agreement(site: &Site<'_>) -> Verdict {
    let promise = "in the end all gateways send a function to one node".to_owned();
    let against = (0..FUNCTIONS).filter_map(|function| {
        let mut by: Vec<_> = (0..FLEET.gateways)
            .flat_map(|gateway| {
                let (call, _) = site.call_by(gateway, function, 0);
                site.book.of(call)
            })
            .collect();
        by.sort_unstable();
        by.dedup();
        (by.len() != 1).then(|| format!("f{function} was run by {by:?}"))
    });
    Verdict { promise, against: against.collect() }
}

/// Programs that were started anew are as large as those before.
fn memory(seen: &Seen) -> Verdict {
    let promise = format!("no program grows by more than {} MiB", GROWTH_BYTES >> 20);
    let grown = seen.resident.iter().filter_map(|(name, resident)| {
        let third = resident.len() / 3;
        let (first, last) = (median(&resident[..third])?, median(&resident[2 * third..])?);
        println!("{name}: {:.1} MiB, then {:.1} MiB", mib(first), mib(last));
        (last > first + GROWTH_BYTES).then(|| format!("{name}: from {first} to {last} bytes"))
    });
    Verdict { promise, against: grown.collect() }
}

fn median(all: &[u64]) -> Option<u64> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
